// Does steps of a storage node on a directory back end, one message after the other, and suspends itself right after the look at the back
// end whose number it is told. What it wants to know of the registry it asks its parent.
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import {
  createStorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { storageInputs } from '../../../activities/inputs/storage.ts';
import { createDirectoryDriver } from '../../../activities/storage/directory/directory-driver.ts';
import { requireWarrants } from '../../../activities/warrants/require-warrants.ts';
import type { FerryError } from '../../../model/errors.ts';

/** What the parent tells it to do. */
export interface LateStep {
  backEnd: string;
  path: string;
  /** Where the device is that the step is about; it is exported. */
  device: string;
  step: string;
  input: unknown;
  /** Null: it is not suspended. */
  stopAt: number | null;
}

/** What it tells the parent. */
export type LateNews = { kind: 'ask'; question: string; args: unknown[] } | { kind: 'done'; error: string | null };

Runtime.install({ logger: new DefaultLogger('ERROR') });

const waiting: ((answer: unknown) => void)[] = [];
const tell = (news: LateNews) => process.send!(news);
const ask =
  (question: string) =>
  async (...args: unknown[]) => {
    tell({ kind: 'ask', question, args });
    const answer = Promise.withResolvers<unknown>();
    waiting.push(answer.resolve);
    return answer.promise as Promise<never>;
  };

process.on('message', (message: LateStep | { answer: unknown }) => {
  if ('answer' in message) waiting.shift()!(message.answer);
  else void run(message);
});
tell({ kind: 'done', error: null });

async function run({ backEnd, path, device, step, input, stopAt }: LateStep): Promise<void> {
  let isCut = false;
  let looks = 0;
  const admit = async () => {
    looks += 1;
    if (looks === stopAt) process.kill(process.pid, 'SIGSTOP');
  };
  const deps: Partial<StorageDependencies> = {
    drivers: new Map([[backEnd, createDirectoryDriver({ path, admit })]]),
    exports: {
      list: async () => (isCut ? [] : [{ exportName: 'attachment-1', path: device, writable: false }]),
      clients: async () => [],
      remove: async () => {
        isCut = true;
        await ask('removeExport')();
      },
      ensure: ask('ensureExport'),
    } as never,
    noProgressMs: 60_000,
    registryTime: async () => new Date().toISOString(),
    needsRepair: async () => false,
    isCurrentLocation: ask('isCurrentLocation'),
    isKeptSource: ask('isKeptSource'),
    whereabouts: ask('whereabouts'),
  };
  const activities = createStorageActivities(deps as StorageDependencies);
  const objection = async () => ((await ask('isStill')()) ? null : 'its operation is over');
  const warrants = Object.fromEntries(Object.keys(activities).map((name) => [name, { objection }]));
  const steps = requireWarrants(storageInputs, warrants as never, activities) as unknown as Record<
    string,
    (i: unknown) => never
  >;
  try {
    await new MockActivityEnvironment().run(steps[step]!, input);
    tell({ kind: 'done', error: null });
  } catch (error) {
    tell({ kind: 'done', error: (error as FerryError).type ?? String(error) });
  }
}
