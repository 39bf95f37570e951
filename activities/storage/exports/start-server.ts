import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { FerryError } from '../../../model/errors.ts';
import { isOfCopy } from '../exports.ts';
import { exitCodeOf, toolFailed, type RunCommand } from '../run-command.ts';
import { systemCode } from '../system-errors.ts';
import {
  type Aio,
  type Joined,
  joiningServerCommand,
  listeningServerCommand,
  readerCommand,
  serverCommand,
  type ServerSettings,
} from './server-command.ts';
import { startReader } from './start-reader.ts';

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

interface StartServerOptions {
  readonly folder: string;
  readonly ports: PortRange;
  readonly run: RunCommand;
  /** Where Node keeps what it has compiled of a server of our own. */
  readonly compileCache: string | undefined;
}

/** The process of a server that runs, and what one beside it needs. */
interface Joining {
  readonly pid: number;
  readonly joined: Joined;
}

/** Opening a device that answers takes milliseconds. */
const startMs = 20_000;

/**
 * Makes what starts servers. `start`: on the first port of the range that nobody has, and answers with the port once it
 * listens. Ports that are reserved for others are taken only when there is no other one. Throws `DeviceMissing`, `DeviceInUse`, or `ToolFailed` with the server's last words.
 */
export function createStartServer({ folder, ports, run, compileCache }: StartServerOptions) {
  // Some kernels and containers refuse io_uring. What they refused once is not asked for again.
  let aio: Aio = 'io_uring';

  /** `beside`: the server that it joins. */
  async function tryStart(settings: ServerSettings, beside?: Joining): Promise<void> {
    // What guests use is QEMU's; what copies read has a server that can say what it has read.
    if (isOfCopy(settings)) return startReader(readerCommand(folder, settings), { timeoutMs: startMs, compileCache });
    const start = async (mode: Aio) => {
      const command =
        beside === undefined
          ? listeningServerCommand(folder, settings, mode)
          : joiningServerCommand(folder, settings, { ...beside, aio: mode });
      try {
        await run(command, { timeoutMs: startMs });
      } catch (error) {
        throw asOfServer(error, serverCommand(folder, settings, mode));
      }
    };
    try {
      await start(aio);
    } catch (error) {
      // Anything that is not QEMU's own refusal (a cancel, a time-out) is no question of the kernel's.
      if (aio === 'threads' || exitCodeOf(error) === null) throw error;
      if (beside === undefined && (await isTaken(settings))) throw error;
      await start('threads');
      aio = 'threads';
    }
  }

  async function start(
    settings: Omit<ServerSettings, 'port'>,
    { taken, reserved }: { taken: ReadonlySet<number>; reserved: ReadonlySet<number> },
    preferred?: number,
  ): Promise<number> {
    const { exportName, path, address } = settings;
    if (!(await exists(path)))
      throw new FerryError('DeviceMissing', `there is no ${path} to export`, { exportName, path });
    for (const port of candidates(ports, reserved, preferred)) {
      if (taken.has(port) || (await isTaken({ address, port }))) continue;
      try {
        await tryStart({ ...settings, port });
        return port;
      } catch (error) {
        // Somebody took it meanwhile: the next one. After a cancel or a time-out that may be the server just started.
        if (exitCodeOf(error) !== null && (await isTaken({ address, port }))) continue;
        throw classify(error, settings);
      }
    }
    throw new FerryError(
      'ToolFailed',
      `no port from ${ports.from} to ${ports.to} of ${address} is free to export ${path}; widen node.exportPorts`,
      { exportName },
    );
  }

  return {
    start,
    /** Starts one beside a server that runs, at the same port. */
    join: (settings: ServerSettings, beside: Joining): Promise<void> => tryStart(settings, beside),
  };
}

/** Told of the server: what listened for it has become it, or has said why it did not. */
function asOfServer(error: unknown, command: readonly [string, ...string[]]): unknown {
  const exitCode = exitCodeOf(error);
  if (exitCode === null) return error;
  const { stderr } = (error as FerryError).details;
  return toolFailed(command, { exitCode, signal: null, stderr: String(stderr) });
}

/** The preferred port, if it is in the range, then all of the range, the reserved ones last. */
function* candidates({ from, to }: PortRange, reserved: ReadonlySet<number>, preferred?: number): Generator<number> {
  if (preferred !== undefined && preferred >= from && preferred <= to) yield preferred;
  for (let port = from; port <= to; port += 1) if (!reserved.has(port)) yield port;
  for (let port = from; port <= to; port += 1) if (reserved.has(port)) yield port;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (systemCode(error) === 'ENOENT') return false;
      throw error;
    },
  );
}

/** Whether the port cannot be listened on because somebody does. */
async function isTaken({ address, port }: { address: string; port: number }): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', (error) => {
      if (systemCode(error) === 'EADDRINUSE') return resolve(true);
      reject(
        new FerryError(
          'InvalidInput',
          `exports cannot listen on ${address} (${error.message}): node.address must be an address of this node`,
        ),
      );
    });
    server.listen({ host: address, port }, () => server.close(() => resolve(false)));
  });
}

/** QEMU has one exit code for everything: only its words tell that another process has locked the file. */
function classify(error: unknown, { exportName, path }: { exportName: string; path: string }): unknown {
  if (!(error instanceof FerryError) || error.type !== 'ToolFailed') return error;
  const { stderr } = error.details;
  if (typeof stderr !== 'string') return error;
  const details = { exportName, path, stderr };
  if (/Failed to get (shared )?".*" lock|Device or resource busy/.test(stderr)) {
    return new FerryError('DeviceInUse', `${path} cannot be exported: another process uses it`, details, {
      cause: error,
    });
  }
  return error;
}
