import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { VolumeDriver } from '../activities/storage/driver.ts';
import { capabilitiesOf } from '../configuration/capabilities.ts';
import type { NodeConfiguration } from '../configuration/schema.ts';
import { downAfterMs } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import { reportBackEnds } from '../registry/back-ends.ts';
import type { Registry } from '../registry/open-registry.ts';
import type { OwnStorage } from './own-storage.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/** No longer is waited for what a back end can hold: the node's others must be heard of meanwhile. Milliseconds. */
const capacityMs = 10_000;
const answerSlices = 10;

/** What a back end said, and when. Milliseconds of `performance.now()`. */
interface Answer {
  capacity: Awaited<ReturnType<VolumeDriver['capacity']>>;
  atMs: number;
}

/**
 * Tells the registry, before it returns and every few seconds from then on, that this node's back ends are served and what they can hold. A report that
 * fails is said in the log and made again at the next beat. A back end that is slow to answer is told as it last was, until that is as
 * long ago as a node may be silent: a busy machine must not take it out of service.
 */
export async function startReporting(deps: {
  node: NodeConfiguration;
  drivers: ReadonlyMap<string, VolumeDriver>;
  ownStorages: ReadonlyMap<string, OwnStorage>;
  registry: Registry;
  log: Logger;
  /** Why no work comes to this worker; null as long as it does. */
  whyUnreachable: () => string | null;
  answerMs?: number;
  downMs?: number;
}): Promise<{ stop: () => void; now: () => void }> {
  const {
    node,
    drivers,
    ownStorages,
    registry,
    log,
    whyUnreachable,
    answerMs = capacityMs,
    downMs = downAfterMs,
  } = deps;
  /** One that hangs is asked once, and is waited for no longer than the others can wait. */
  const asked = new Map<string, Promise<Answer>>();
  const lastAnswers = new Map<string, Answer>();
  const answered = async (name: string, driver: VolumeDriver) => {
    if (!asked.has(name)) {
      const ask = async () => {
        await ownStorages.get(name)?.refresh();
        const answer = { capacity: await driver.capacity(), atMs: performance.now() };
        lastAnswers.set(name, answer);
        return answer;
      };
      const answer = ask().finally(() => asked.delete(name));
      answer.catch(() => lastAnswers.delete(name));
      asked.set(name, answer);
    }
    const silence = new AbortController();
    try {
      return await Promise.race([
        asked.get(name)!,
        silent(silence.signal).then(() => {
          const last = lastAnswers.get(name);
          if (last && performance.now() - last.atMs < downMs) return last;
          throw new Error(`it does not answer for more than ${(last ? downMs : answerMs) / 1000} s`);
        }),
      ]);
    } finally {
      silence.abort();
    }
  };
  /** In slices: if this process was suspended, only one of them has passed when it goes on, and an answer that waits is heard. */
  const silent = async (signal: AbortSignal) => {
    for (let i = 0; i < answerSlices; i += 1) await sleep(answerMs / answerSlices, null, { signal });
  };
  const configured = new Map(node.backEnds.map((b) => [`${node.name}@${b.name}`, b]));
  const report = async () => {
    const rows = await Promise.all(
      [...drivers].map(async ([name, driver]) => {
        const base = {
          name,
          availabilityZone: node.availabilityZone,
          driver: driver.kind,
          capabilities: capabilitiesOf(configured.get(name)!, driver),
        };
        try {
          const answer = await answered(name, driver);
          const { placementFault = null, lostDevices = [], ...capacity } = answer.capacity;
          const why = whyUnreachable();
          return {
            ...base,
            ...capacity,
            ageSeconds: (performance.now() - answer.atMs) / 1000,
            placementFault,
            lostDevices: [...lostDevices],
            fault: why === null ? null : `no work reaches its worker: ${why}`,
          };
        } catch (error) {
          // That says nothing of the back end.
          if (error instanceof FerryError && error.type === 'ServiceUnreachable') throw error;
          return {
            ...base,
            placementFault: null,
            lostDevices: [],
            totalBytes: 0,
            freeBytes: 0,
            fault: (error as Error).message,
          };
        }
      }),
    );
    await reportBackEnds(registry, node.name, rows);
  };
  const failed = (error: Error) => log.warn({ error: error.message }, 'back ends could not be reported');
  const rounds = await everyFewSeconds(report, failed);
  return { stop: rounds.stop, now: () => void report().catch(failed) };
}
