import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { startPostgres, type EmbeddedPostgres } from '../workers/embedded/postgres.ts';
import { startTemporal, type EmbeddedTemporal } from '../workers/embedded/temporal.ts';
import { gateway, startNodes, type StorageNodes } from './nodes.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const node = join(root, 'node_modules/node/bin/node');
const ferryMain = join(root, 'bin/ferry.ts');

/** How long a worker may take to its first words on a machine under load. Milliseconds. */
const readyMs = 90_000;

/** A worker that can be started, killed and started again, as a process manager would. */
export interface ManagedWorker {
  start(): Promise<void>;
  /** Signals it; for KILL, TERM and INT resolves when it has ended. */
  signal(signal: NodeJS.Signals): Promise<void>;
}

/** All of Ferry on real parts: Temporal, Postgres, a control worker, storage nodes with a worker each. */
export interface System {
  readonly directory: string;
  readonly temporal: EmbeddedTemporal;
  readonly postgres: EmbeddedPostgres;
  readonly nodes: StorageNodes;
  readonly control: ManagedWorker;
  readonly storage: Readonly<Record<string, ManagedWorker>>;
  /** What a shell needs to run `ferry` against this system. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs the CLI; an exit code other than 0 is an answer, not an error. */
  ferry(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  stop(): Promise<void>;
}

export interface SystemOptions {
  directory: string;
  temporalPort?: number;
  uiPort?: number;
  nodes?: readonly SystemNode[];
  /** How long nodes may be away, seconds. */
  nodeTimeoutSeconds?: number;
}

/** A storage node of the system; its first volume group is the back end `<name>@<group>`. */
export interface SystemNode {
  name: string;
  volumeGroups: readonly { name: string; sizeMib: number }[];
}

/** The seed's two nodes. */
export const seedNodes: readonly SystemNode[] = [
  { name: 'server1', volumeGroups: [{ name: 'lvmstorage-1', sizeMib: 8192 }] },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib: 8192 }] },
];

/** Starts everything; what was started is stopped again when a part fails. Ends with this process. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0).toReversed()) await end();
  };
  try {
    return await start(options, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  options: SystemOptions,
  stops: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<System> {
  const { directory, nodes: specs = seedNodes } = options;
  const services = join(directory, 'services');
  await mkdir(services, { recursive: true });
  const [temporal, postgres] = await Promise.all([
    startTemporal({
      directory: join(services, 'temporal'),
      ...(options.temporalPort ? { port: options.temporalPort } : {}),
      ...(options.uiPort ? { uiPort: options.uiPort } : {}),
    }).then((t) => (stops.push(() => t.stop()), t)),
    startPostgres({ directory: join(services, 'postgres') }).then((p) => (stops.push(() => p.stop()), p)),
  ]);
  const temporalPort = Number(temporal.address.split(':')[1]);
  const database = new URL(postgres.url);
  const nodes = await startNodes({
    directory: join(directory, 'nodes'),
    nodes: specs,
    forward: [temporalPort, Number(database.port)],
  });
  stops.push(() => nodes.stop());

  const common = { nodeTimeoutSeconds: options.nodeTimeoutSeconds ?? 600 };
  const configFile = join(directory, 'ferry.json');
  await writeFile(configFile, JSON.stringify(common));
  const env = { TEMPORAL_ADDRESS: temporal.address, FERRY_DATABASE_URL: postgres.url, FERRY_CONFIG: configFile };

  const control = processWorker(['worker', 'control'], env, join(directory, 'control.log'));
  stops.push(() => control.signal('SIGKILL'));
  const insideUrl = new URL(postgres.url);
  insideUrl.hostname = gateway;
  const insideEnv = { TEMPORAL_ADDRESS: `${gateway}:${temporalPort}`, FERRY_DATABASE_URL: insideUrl.href };
  const storage: Record<string, ManagedWorker> = {};
  for (const spec of specs) storage[spec.name] = await nodeWorker(nodes, spec, common, insideEnv);
  await Promise.all([control.start(), ...Object.values(storage).map((worker) => worker.start())]);

  return {
    directory,
    temporal,
    postgres,
    nodes,
    control,
    storage,
    env,
    async ferry(...args) {
      const run = await execa(node, [ferryMain, ...args], { env, reject: false, stdin: 'ignore' });
      return { exitCode: run.exitCode ?? -1, stdout: run.stdout, stderr: run.stderr };
    },
    stop,
  };
}

/** A worker as a child process of this one. */
function processWorker(args: string[], env: Record<string, string>, log: string): ManagedWorker {
  let child: ChildProcess | null = null;
  return {
    async start() {
      const output = await open(log, 'a+');
      const from = (await output.stat()).size;
      child = spawn(node, [ferryMain, ...args], {
        env: { ...process.env, ...env },
        stdio: ['ignore', output.fd, output.fd],
      });
      const running = child;
      await untilReady(log, async () => {
        if (running.exitCode !== null)
          throw new Error(`ferry ${args.join(' ')} ended with ${running.exitCode}; see ${log}`);
        const { size } = await output.stat();
        const { buffer } = await output.read(Buffer.alloc(size - from), 0, size - from, from);
        return buffer.toString();
      });
      await output.close();
    },
    async signal(signal) {
      const running = child;
      if (!running || running.exitCode !== null || running.signalCode !== null) return;
      const ended = once(running, 'exit');
      running.kill(signal);
      if (endsIt(signal)) await ended;
    },
  };
}

/** The storage worker inside a node. Its state folder and log are on the shared folder: they survive a loss of power, as a disk's do. */
async function nodeWorker(
  nodes: StorageNodes,
  spec: SystemNode,
  common: object,
  env: Record<string, string>,
): Promise<ManagedWorker> {
  const log = join(nodes.share, `${spec.name}.log`);
  const configFile = join(nodes.share, `${spec.name}.json`);
  await writeFile(
    configFile,
    JSON.stringify({
      ...common,
      node: {
        name: spec.name,
        availabilityZone: 'zone1',
        address: nodes.address(spec.name),
        stateDirectory: '/run/ferry',
        insecureNetwork: true,
        backEnds: spec.volumeGroups.map((group) => ({ name: group.name, driver: 'lvm', volumeGroup: group.name })),
      },
    }),
  );
  let pid: number | null = null;
  return {
    async start() {
      const before = (await nodes.exec(spec.name, ['sh', '-c', `cat ${log} 2>/dev/null | wc -c`])).stdout.trim();
      pid = await nodes.spawn(spec.name, [node, ferryMain, 'worker', 'storage'], {
        env: { ...env, FERRY_CONFIG: configFile },
        log,
      });
      await untilReady(
        log,
        async () => (await nodes.exec(spec.name, ['tail', '-c', `+${Number(before) + 1}`, log])).stdout,
      );
    },
    async signal(signal) {
      if (pid !== null) await nodes.kill(spec.name, pid, signal);
      if (endsIt(signal)) pid = null;
    },
  };
}

function endsIt(signal: NodeJS.Signals): boolean {
  return signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT';
}

async function untilReady(log: string, output: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + readyMs;
  while (!/"msg":"ready"/.test(await output())) {
    if (Date.now() > deadline) throw new Error(`not ready after ${readyMs / 1000} s; see ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
