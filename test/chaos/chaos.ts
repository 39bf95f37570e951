import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFerry } from '../../client/open-ferry.ts';
import { configuration } from '../../configuration/schema.ts';
import { FaultyFiles } from '../../testbed/faulty-files.ts';
import { keepAlive } from '../end-to-end/keep-alive.ts';
import type { Place } from '../end-to-end/sight.ts';
import { setStage } from '../end-to-end/stage.ts';
import { disturb } from './disturb.ts';
import { LivingVolume } from './life.ts';
import { chaosNodes, scenario } from './scenario.ts';
import { Tally } from './tally.ts';

export interface ChaosOptions {
  /** How many volumes live. */
  runs: number;
  seed: number;
  /** How many of them at once. */
  lanes: number;
  /** The only one of the lives that is lived: to look at it alone. */
  only?: number | undefined;
  log?: (line: string) => void;
  /** Told where each volume is before the last look at it: for a test of the look. */
  beforeTheEnd?: (place: Place) => Promise<void>;
}

/** Room for many volumes: they are sparse. */
const sizeMib = 4096 * 1024;

/** Volumes live their random lives on one system while random things befall that. What was seen of both. */
export async function chaos(options: ChaosOptions): Promise<Tally> {
  const { runs, seed, lanes, only, log = () => {}, beforeTheEnd } = options;
  const { lives, disturbances } = scenario(seed, runs);
  const tally = new Tally();
  const nodes = chaosNodes.map(({ name, groups }) => ({
    name,
    volumeGroups: groups.map((group) => ({ name: group, sizeMib })),
  }));
  const folder = await mkdtemp(join(tmpdir(), 'ferry-chaos-'));
  const files = await FaultyFiles.open(join(folder, 'faults'));
  const stage = await setStage({ backing: 'directory', nodes, workerEnv: files.env });
  const over = new AbortController();
  process.env['TEMPORAL_ADDRESS'] = stage.temporal.address;
  const ferry = await openFerry({ configuration: configuration.parse({ databaseUrl: stage.postgres.url }) });
  const alive = keepAlive([stage.control, ...Object.values(stage.storage)], over.signal);
  const disturbing = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const { afterMs, it } = disturbances[n % disturbances.length]!;
      await sleep(afterMs, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      log(`  ${JSON.stringify(it)}`);
      await disturb({ stage, ferry, files, tally }, it);
    }
  })();
  const left = lives.map((life, run) => ({ life, run })).filter(({ run }) => only === undefined || run === only);
  const lane = async () => {
    for (let one = left.shift(); one; one = left.shift()) {
      const { life, run } = one;
      try {
        await new LivingVolume(ferry, stage, tally, life).live(beforeTheEnd);
        log(`run ${run}: well`);
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        tally.violations.push({ run, steps: life, what });
        log(`run ${run}: ${what}`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    over.abort();
    await disturbing.catch((error: unknown) => tally.violations.push({ run: -1, steps: null, what: String(error) }));
    await ferry.close();
    await alive;
    await stage.strike();
    await files.close();
    await rm(folder, { recursive: true, force: true });
  }
  return tally;
}
