import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageNodes } from './nodes.ts';
import { quickFork } from './quick-fork.ts';
import { endedEarly, endsIt, ferryMain, type ManagedWorker, node, shortLived, untilReady } from './process-worker.ts';
import type { SystemNode } from './system.ts';

/** What Node has compiled outside serves inside too, as all files of this machine do. */
const compileCache = { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '' };

/** How often it is looked for while it starts. Milliseconds. */
const lookEveryMs = 3000;

/** The storage worker inside a node. Its state folder and log are on the shared folder: they survive a loss of power, as a disk's do. */
export async function nodeWorker(
  nodes: StorageNodes,
  spec: SystemNode,
  common: object,
  env: Record<string, string>,
  tlsDirectory: string | null,
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
        ...(tlsDirectory ? { tls: { directory: tlsDirectory } } : { insecureNetwork: true }),
        backEnds: spec.volumeGroups.flatMap(backEndsOf),
      },
    }),
  );
  let pid: number | null = null;
  return {
    async start() {
      // The log is read out here, where the shared folder is too: each command in the node would take its cpu from the worker.
      const read = () => readFile(log).catch(() => Buffer.alloc(0));
      const from = (await read()).length;
      const said = async () => (await read()).subarray(from).toString();
      const program = [...(await quickFork(env)), node, ...shortLived, ferryMain];
      const running = await nodes.spawn(spec.name, [...program, 'worker', 'storage'], {
        env: { ...compileCache, ...env, FERRY_CONFIG: configFile },
        log,
      });
      pid = running;
      let lookAgainAt = Date.now() + lookEveryMs;
      await untilReady(log, async () => {
        if (Date.now() < lookAgainAt) return said();
        const { code } = await nodes.exec(spec.name, ['sh', '-c', `kill -0 ${running}`], { reject: false });
        lookAgainAt = Date.now() + lookEveryMs;
        if (code !== 0) throw endedEarly(['worker', 'storage'], `on ${spec.name}`, await said(), log);
        return said();
      });
    },
    async signal(signal) {
      if (pid !== null) await nodes.kill(spec.name, pid, signal);
      if (endsIt(signal)) pid = null;
    },
    isRunning: () => pid !== null,
  };
}

function backEndsOf({ name: volumeGroup, capabilities, thinPools = [] }: SystemNode['volumeGroups'][number]) {
  const pools = thinPools.map(({ name, maxOverSubscriptionRatio }) => ({
    name,
    thinPool: name,
    maxOverSubscriptionRatio,
  }));
  return [{ name: volumeGroup, capabilities }, ...pools].map((backEnd) => ({ ...backEnd, driver: 'lvm', volumeGroup }));
}
