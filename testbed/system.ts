import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePorts } from '../workers/embedded/free-ports.ts';
import { startPostgres, type EmbeddedPostgres } from '../workers/embedded/postgres.ts';
import { startTemporal, type EmbeddedTemporal } from '../workers/embedded/temporal.ts';
import { makeCertificates } from './certificates.ts';
import type { DatabaseRole } from '../registry/database-roles.ts';
import { asRole, provideDatabase } from './database-roles.ts';
import { directoryNode } from './directory-node.ts';
import { nodeWorker } from './node-worker.ts';
import { gateway, startNodes, type StorageNodes } from './nodes.ts';
import { type ManagedWorker, processWorker } from './process-worker.ts';
import { runWarmCli } from './warm-cli.ts';

export type { ManagedWorker };

/** All of Ferry on real parts: Temporal, Postgres, a control worker, and a storage worker a node. */
export interface PlainSystem {
  readonly directory: string;
  readonly temporal: EmbeddedTemporal;
  readonly postgres: EmbeddedPostgres;
  readonly control: ManagedWorker;
  readonly storage: Readonly<Record<string, ManagedWorker>>;
  /** Where the workers that run on this machine show their metrics: `control`, and with directories every node by its name. */
  readonly metricsUrls: Readonly<Record<string, string>>;
  /** What a shell needs to run `ferry` against this system. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs the CLI; an exit code other than 0 is an answer, not an error. */
  ferry(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** Resolves when Ferry has heard of every back end: volumes may be placed there then. */
  untilUp(): Promise<void>;
  stop(): Promise<void>;
}

/** The same with nodes of their own, which have a real LVM and may lose power. */
export interface System extends PlainSystem {
  readonly nodes: StorageNodes;
}

export interface SystemOptions {
  directory: string;
  temporalPort?: number;
  uiPort?: number;
  nodes?: readonly SystemNode[];
  /** Whether nodes export to each other over TLS, with certificates made for them; else in the clear on a network of their own. */
  tls?: boolean;
  /** How long nodes may be away, seconds. */
  nodeTimeoutSeconds?: number;
  /** How long a transfer may stand still, seconds. */
  noProgressSeconds?: number;
  /** Of the control worker's code, see the configuration. */
  deployment?: { name: string; buildId: string };
  /** Whom the control worker tells what happened, see the configuration. */
  webhooks?: readonly object[];
  /** More for the environment of the workers that run on this machine. */
  workerEnv?: Readonly<Record<string, string>>;
}

/** A storage node of the system; its volume groups are the back ends `<name>@<group>`. */
export interface SystemNode {
  name: string;
  volumeGroups: readonly {
    name: string;
    sizeMib: number;
    capabilities?: Record<string, string>;
    /** Each is the back end `<name>@<pool>`; only where nodes have a real LVM. */
    thinPools?: readonly SystemPool[];
  }[];
}

export interface SystemPool {
  name: string;
  sizeMib: number;
  maxOverSubscriptionRatio?: number;
}

/** The seed's two nodes. */
export const seedNodes: readonly SystemNode[] = [
  { name: 'server1', volumeGroups: [{ name: 'lvmstorage-1', sizeMib: 8192 }] },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib: 8192 }] },
];

/** What a slow machine may need to read its volume groups, several times over. Milliseconds. */
const upMs = 300_000;

type Backing = 'lvm' | 'directory';

/**
 * Starts everything, and resolves when every back end is up; what was started is stopped again when a part fails. Ends with this process.
 *
 * `backing` says what a node is. `lvm`, the default: a guest with a real LVM. `directory`: a worker process on this machine, and each of
 * its volume groups a directory of sparse files in the system's folder: light, and for where guests cannot run.
 * @throws {NodesUnavailable} when this machine cannot run guests
 */
export async function startSystem(options: SystemOptions & { backing: 'directory' }): Promise<PlainSystem>;
export async function startSystem(options: SystemOptions & { backing?: 'lvm' }): Promise<System>;
export async function startSystem(options: SystemOptions & { backing?: Backing }): Promise<PlainSystem> {
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
  options: SystemOptions & { backing?: Backing },
  stops: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<PlainSystem> {
  const { directory } = options;
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
  const common = {
    nodeTimeoutSeconds: options.nodeTimeoutSeconds ?? 600,
    noProgressSeconds: options.noProgressSeconds ?? 60,
  };
  // As in production: each part has the rights of its role, and no more.
  await provideDatabase(postgres.url);
  const reachAs = (role: DatabaseRole) => ({
    TEMPORAL_ADDRESS: temporal.address,
    FERRY_DATABASE_URL: asRole(postgres.url, role),
  });
  const reach = reachAs('ferry_control');
  const storage = await startStorage(options, {
    common,
    reach: { ...options.workerEnv, ...reachAs('ferry_storage') },
    stops,
  });

  const clientConfig = join(directory, 'ferry.json');
  const deployment = options.deployment ? { deployment: options.deployment } : {};
  await writeFile(clientConfig, JSON.stringify({ ...common, ...deployment }));
  const env = { ...reach, FERRY_CONFIG: clientConfig };
  const metrics = await metricsListener();
  const controlConfig = join(directory, 'control.json');
  const { webhooks = [] } = options;
  await writeFile(controlConfig, JSON.stringify({ ...common, ...deployment, ...metrics.configuration, webhooks }));
  const control = processWorker(
    ['worker', 'control'],
    { ...options.workerEnv, ...reach, FERRY_CONFIG: controlConfig },
    join(directory, 'control.log'),
  );
  stops.push(() => control.signal('SIGKILL'));
  await Promise.all([control.start(), ...Object.values(storage.workers).map((worker) => worker.start())]);
  const ferry: PlainSystem['ferry'] = (...args) => runWarmCli(env, args);
  const groups = (options.nodes ?? seedNodes).flatMap(({ volumeGroups }) => volumeGroups);
  const backEnds = groups.flatMap(({ thinPools = [] }) => [null, ...thinPools]).length;
  const untilUp = async () => {
    const deadline = Date.now() + upMs;
    for (;;) {
      const { stdout, exitCode } = await ferry('host', 'list', '--json');
      const listed = exitCode === 0 ? (JSON.parse(stdout) as { state: string }[]) : [];
      if (listed.length === backEnds && listed.every(({ state }) => state === 'up')) return;
      if (Date.now() > deadline) throw new Error(`not every back end is up after ${upMs / 1000} s: ${stdout}`);
      await sleep(100);
    }
  };
  await untilUp();

  return {
    directory,
    temporal,
    postgres,
    ...(storage.nodes ? { nodes: storage.nodes } : {}),
    control,
    storage: storage.workers,
    metricsUrls: { control: metrics.url, ...storage.metricsUrls },
    env,
    ferry,
    untilUp,
    stop,
  };
}

interface Storage {
  nodes: StorageNodes | null;
  /** Not started yet. */
  workers: Record<string, ManagedWorker>;
  metricsUrls: Record<string, string>;
}

interface Surroundings {
  common: object;
  /** How this machine's processes reach Temporal and Postgres. */
  reach: { TEMPORAL_ADDRESS: string; FERRY_DATABASE_URL: string };
  stops: (() => Promise<unknown>)[];
}

function startStorage(options: SystemOptions & { backing?: Backing }, around: Surroundings): Promise<Storage> {
  const directory = join(options.directory, 'nodes');
  const specs = options.nodes ?? seedNodes;
  if (options.backing === 'directory') return inDirectories(directory, specs, options.tls ?? false, around);
  return inGuests(directory, specs, options.tls ?? false, around);
}

/** What tests call their hypervisors, where these are no storage nodes too. */
const hypervisors = ['hv1'];

/** Where a system whose nodes are directories has its certificates: for the hypervisors of a test. */
export function certificateFolder(nodesDirectory: string): string {
  return join(nodesDirectory, '..', 'certificates');
}

async function inDirectories(
  directory: string,
  specs: readonly SystemNode[],
  tls: boolean,
  { common, reach, stops }: Surroundings,
): Promise<Storage> {
  const storage: Storage = { nodes: null, workers: {}, metricsUrls: {} };
  const certificates = tls
    ? await makeCertificates(
        certificateFolder(directory),
        ['127.0.0.1'],
        [...specs.map(({ name }) => name), ...hypervisors],
      )
    : null;
  for (const spec of specs) {
    const own = join(directory, spec.name);
    await mkdir(own, { recursive: true });
    const metrics = await metricsListener();
    const configuration = { ...common, ...metrics.configuration };
    const prepared = await directoryNode(spec, {
      directory: own,
      configuration,
      env: reach,
      tlsDirectory: certificates?.directory ?? null,
    });
    stops.push(() => prepared.stop());
    storage.workers[spec.name] = prepared.worker;
    storage.metricsUrls[spec.name] = metrics.url;
  }
  return storage;
}

async function inGuests(
  directory: string,
  specs: readonly SystemNode[],
  tls: boolean,
  { common, reach, stops }: Surroundings,
): Promise<Storage> {
  const temporalPort = Number(reach.TEMPORAL_ADDRESS.split(':')[1]);
  const insideUrl = new URL(reach.FERRY_DATABASE_URL);
  const nodes = await startNodes({ directory, nodes: specs, forward: [temporalPort, Number(insideUrl.port)] });
  stops.push(() => nodes.stop());
  insideUrl.hostname = gateway;
  const insideEnv = { TEMPORAL_ADDRESS: `${gateway}:${temporalPort}`, FERRY_DATABASE_URL: insideUrl.href };
  const addresses = specs.map(({ name }) => nodes.address(name));
  const names = specs.map(({ name }) => name);
  const certificates = tls ? await makeCertificates(join(nodes.share, 'certificates'), addresses, names) : null;
  const storage: Storage = { nodes, workers: {}, metricsUrls: {} };
  for (const spec of specs) {
    await makeThinPools(nodes, spec);
    storage.workers[spec.name] = await nodeWorker(nodes, spec, common, insideEnv, certificates?.directory ?? null);
  }
  return storage;
}

async function makeThinPools(nodes: StorageNodes, spec: SystemNode): Promise<void> {
  for (const group of spec.volumeGroups) {
    for (const pool of group.thinPools ?? []) {
      const size = ['--size', `${pool.sizeMib}m`];
      await nodes.exec(spec.name, [
        'lvcreate',
        '-qq',
        '-y',
        '--type',
        'thin-pool',
        ...size,
        '-n',
        pool.name,
        group.name,
      ]);
    }
  }
}

async function metricsListener(): Promise<{ configuration: { metricsAddress: string }; url: string }> {
  const [port] = await freePorts(1);
  const metricsAddress = `127.0.0.1:${port}`;
  return { configuration: { metricsAddress }, url: `http://${metricsAddress}/metrics` };
}
