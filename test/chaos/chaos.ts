import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFerry } from '../../client/open-ferry.ts';
import { configuration } from '../../configuration/schema.ts';
import { computeNode } from '../../testbed/compute-node.ts';
import { FaultyFiles } from '../../testbed/faulty-files.ts';
import { Hypervisor } from '../activities/compute/hypervisor.ts';
import { keepAlive } from '../end-to-end/keep-alive.ts';
import { setStage } from '../end-to-end/stage.ts';
import { disturb } from './disturb.ts';
import { Past } from './past.ts';
import { TendedWorker } from './tended-worker.ts';
import { turnUpsideDown } from './upheaval.ts';
import { GuestLife } from './guest-life.ts';
import { chaosNodes, computeHost, otherHost, type Disturbance, type Life, scenario } from './scenario.ts';
import { Tally } from './tally.ts';
import { TenantLife } from './tenant-life.ts';

export interface ChaosOptions {
  /** How many volumes live. */
  runs: number;
  seed: number;
  /** How many tenants' volumes live at once; beside them a quarter as many with guests. */
  lanes: number;
  /** The only ones of the lives that are lived: to look at them alone. */
  only?: readonly number[] | undefined;
  /** Whether the whole system is turned upside down now and then, too. Never while a volume is a guest's. */
  upheavals?: boolean;
  log?: (line: string) => void;
}

/** Room for many volumes: they are sparse. */
const sizeMib = 4096 * 1024;

/** Volumes live their random lives on one system while random things befall that. What was seen of both. */
export async function chaos(options: ChaosOptions): Promise<Tally> {
  const { runs, seed, lanes, only, upheavals: withUpheavals = false, log = () => {} } = options;
  const { lives, disturbances, upheavals, flips } = scenario(seed, runs);
  const all = lives.map((life, run) => ({ life, run })).filter(({ run }) => only?.includes(run) ?? true);
  const tally = new Tally();
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'ferry-chaos-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const files = await FaultyFiles.open(join(folder, 'faults'));
  stack.defer(() => files.close());
  const nodes = chaosNodes.map(({ name, groups }) => ({
    name,
    volumeGroups: groups.map((group) => ({ name: group, sizeMib })),
  }));
  const stage = await setStage({ backing: 'directory', nodes, workerEnv: files.env });
  stack.defer(() => stage.strike());
  const workers = new Map(
    Object.entries({ control: stage.control, ...stage.storage }).map(([name, worker]) => [
      name,
      new TendedWorker(worker),
    ]),
  );

  const hypervisorOf = async (name: string) => {
    const hypervisor = await Hypervisor.start({ hostName: name });
    stack.defer(() => hypervisor.stop());
    const at = { name, directory: join(folder, 'compute'), libvirtUri: hypervisor.libvirt.uri };
    const compute = await computeNode({ ...at, configuration: {}, env: stage.env });
    stack.defer(() => compute.signal('SIGKILL'));
    await compute.start();
    workers.set(name, new TendedWorker(compute));
    return hypervisor;
  };
  const steps = all.flatMap(({ life }) => (life.user === 'guest' ? life.steps : []));
  const hypervisor = steps.length > 0 ? await hypervisorOf(computeHost) : null;
  const other = steps.some((step) => step.do === 'visit another hypervisor') ? await hypervisorOf(otherHost) : null;

  process.env['TEMPORAL_ADDRESS'] = stage.temporal.address;
  const ferry = await openFerry({ configuration: configuration.parse({ databaseUrl: stage.postgres.url }) });
  stack.defer(() => ferry.close());
  const over = new AbortController();
  const alive = keepAlive([...workers.values()], over.signal);
  stack.defer(() => alive);
  const guests = all.filter(({ life }) => life.user === 'guest');
  const tenants = all.filter(({ life }) => life.user === 'tenant');
  const past = new Past();
  const world = { ferry, stage, tally, past };
  const victim = { ...world, files, workers };
  let guestsLeft = guests.length;
  const befall = async (it: Disturbance) => {
    log(`  ${JSON.stringify(it)}`);
    await disturb(victim, it).catch((error: unknown) =>
      tally.violations.push({ run: null, steps: it, what: String(error) }),
    );
  };
  let nth = 0;
  /** What befalls next, and how long it takes, is up to the scenario. */
  const disturbOnce = async (): Promise<boolean> => {
    const { afterMs, it } = disturbances[nth++ % disturbances.length]!;
    await sleep(afterMs, undefined, { signal: over.signal }).catch(() => {});
    if (over.signal.aborted) return false;
    await befall(it);
    return true;
  };
  const disturbing = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const { after, it } = upheavals[n % upheavals.length]!;
      for (let done = 0; done <= after && !over.signal.aborted; done++) await disturbOnce();
      if (over.signal.aborted || !withUpheavals) continue;
      await befall(flips[n % flips.length]!);
      if (over.signal.aborted || guestsLeft > 0) continue;
      log(`  ${JSON.stringify(it)}`);
      const startedAt = Date.now();
      await turnUpsideDown({ ...victim, disturbOnce }, it).then(
        () => log(`  made good after ${Math.round((Date.now() - startedAt) / 1000)} s`),
        (error: unknown) => {
          log(`  ${String(error)}`);
          tally.violations.push({ run: null, steps: it, what: String(error) });
        },
      );
    }
  })();

  const live = (life: Life) =>
    life.user === 'guest'
      ? new GuestLife({ ...world, hypervisor: hypervisor!, other }, life).live().finally(() => (guestsLeft -= 1))
      : new TenantLife(world, life).live();
  const lane = async (left: { life: Life; run: number }[]) => {
    for (let one = left.shift(); one; one = left.shift()) {
      const { life, run } = one;
      try {
        await live(life);
        tally.count('life', `${life.user}'s: well`);
        log(`run ${run}, a ${life.user}'s: well`);
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        tally.violations.push({ run, steps: life, what });
        log(`run ${run}, a ${life.user}'s: ${what}`);
      }
    }
  };
  try {
    const some = (count: number, left: typeof all) => Array.from({ length: count }, () => lane(left));
    await Promise.all([...some(Math.ceil(lanes / 4), guests), ...some(lanes, tenants)]);
  } finally {
    over.abort();
    await disturbing;
  }
  return tally;
}
