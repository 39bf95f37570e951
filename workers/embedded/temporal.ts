import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { searchAttributes } from '../../model/search-attributes.ts';
import { findTemporal } from '../../setup/find-temporal.mjs';
import { freePorts } from './free-ports.ts';
import { ServerProcess } from './server-process.ts';

export interface EmbeddedTemporalOptions {
  /**
   * What it has said must be there after the machine lost its power. What outlives a crash of the server alone costs half as much time for
   * each step of a workflow.
   */
  survivesPowerLoss?: boolean;
  /** Keeps temporal.db, which later starts go on with. */
  directory: string;
  /** Ports of the loopback; free ones if not given. */
  port?: number;
  uiPort?: number;
  httpPort?: number;
  /** `temporal.log` in the directory if not given. */
  logFile?: string;
}

/** Temporal's development server with a database file: for one machine, for tests and the demo. */
export interface EmbeddedTemporal {
  /** For TEMPORAL_ADDRESS. */
  readonly address: string;
  readonly uiUrl: string;
  /** Base of the HTTP API, for callers without an SDK. */
  readonly httpUrl: string;
  readonly pid: number;
  /** Ends it; the database stays. May be repeated. */
  stop(): Promise<void>;
  /** Kills it, as a crash would. */
  crash(): Promise<void>;
  /** Stops it if it runs, and starts it again with the same database and ports. */
  restart(): Promise<void>;
}

/**
 * A development server has one history shard, and a shard hands out new tasks at most twenty times a second unless it is told otherwise:
 * each step of a migration would wait up to 50 ms for its turn. A cluster of hundreds of shards knows no such wait.
 */
const dynamicConfig = {
  'history.transferProcessorMaxPollRPS': 1000,
};

/** Resolves when the server takes requests and knows the search attributes. It ends with this process. */
export async function startTemporal(options: EmbeddedTemporalOptions): Promise<EmbeddedTemporal> {
  const temporal = findTemporal();
  if (!temporal) throw new Error('The Temporal CLI is not installed; `npm run demo` and `npm test` fetch it.');
  await mkdir(options.directory, { recursive: true });
  const [freePort, freeUiPort, freeHttpPort] = await freePorts(3);
  const { port = freePort, uiPort = freeUiPort, httpPort = freeHttpPort } = options;
  const address = `127.0.0.1:${port}`;
  const server = new ServerProcess({
    name: 'Temporal',
    command: [
      temporal,
      ...['server', 'start-dev', '--disable-config-file', '--disable-config-env', '--log-format', 'json'],
      ...['--ip', '127.0.0.1', '--port', `${port}`, '--ui-port', `${uiPort}`, '--http-port', `${httpPort}`],
      ...['--db-filename', join(options.directory, 'temporal.db')],
      ...(options.survivesPowerLoss ? [] : ['--sqlite-pragma', 'synchronous=off']),
      ...Object.entries(dynamicConfig).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
      ...Object.values(searchAttributes).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ],
    stopSignal: 'SIGTERM',
    logFile: options.logFile ?? join(options.directory, 'temporal.log'),
  });
  const ready = () => probe(address);
  // The development server picks more ports for its own parts, and somebody may take one of them before it does.
  const start = () => server.start(ready).catch(() => server.start(ready));
  await start();
  return {
    address,
    uiUrl: `http://127.0.0.1:${uiPort}`,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    get pid() {
      return server.pid;
    },
    stop: () => server.stop(),
    crash: () => server.crash(),
    async restart() {
      await server.stop();
      await start();
    },
  };
}

async function probe(address: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 1000 });
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    const missing = Object.values(searchAttributes).filter((name) => !(name in customAttributes));
    if (missing.length) throw new Error(`search attributes are not there yet: ${missing.join(', ')}`);
  } finally {
    await connection.close();
  }
}
