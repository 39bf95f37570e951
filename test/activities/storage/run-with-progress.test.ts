import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { copySlots } from '../../../activities/storage/copy-slots.ts';
import { runWithProgress } from '../../../activities/storage/run-with-progress.ts';
import { copyStart, type Checkpoint, type CopyProgress } from '../../../model/migration.ts';
import { ferryError } from '../../registry/world.ts';

const sizeBytes = 1000;

/** A try that goes on from `offset`, and tells these positions one after another. */
function transfer(offset: number, told: readonly number[]) {
  const from: Checkpoint = { ...copyStart, offset };
  const environment = new MockActivityEnvironment({});
  const shown: number[] = [];
  environment.on('heartbeat', (beat: CopyProgress) => shown.push(beat.position));
  const deps = { slots: copySlots(1), reportProgress: async () => undefined, noProgressMs: 1500 };
  const end = environment.run(async () =>
    runWithProgress(deps, { sizeBytes, from }, async (at, { signal, onProgress }) => {
      for (const position of told) {
        onProgress(at, position);
        if (signal.aborted) return { checkpoint: at, finished: false };
        await sleep(500);
      }
      return { checkpoint: { ...from, offset: sizeBytes }, finished: true };
    }),
  );
  return { end, shown };
}

test('who goes over what an earlier try has done does not stand still, and shows no way back', async () => {
  const { end, shown } = transfer(
    sizeBytes,
    Array.from({ length: 8 }, (_, i) => i * 100),
  );
  assert.equal(((await end) as { finished: boolean }).finished, true);
  assert.ok(shown.length > 1 && shown.every((position) => position === sizeBytes), String(shown));
});

test('who stands still in that has failed', async () => {
  await assert.rejects(
    transfer(
      500,
      Array.from({ length: 8 }, () => 100),
    ).end,
    ferryError('NoProgress'),
  );
});

test('who was suspended did not stand still', async () => {
  const environment = new MockActivityEnvironment({});
  const deps = { slots: copySlots(1), reportProgress: async () => undefined, noProgressMs: 3_000 };
  const end = environment.run(async () =>
    runWithProgress(deps, { sizeBytes, from: copyStart }, async (at, { signal, onProgress }) => {
      onProgress(at, 100);
      // What it has asked for comes meanwhile, and is heard of after the beat that is due by then.
      const asked = readFile('/proc/self/stat');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5_000);
      await asked;
      await sleep(200);
      return { checkpoint: { ...at, offset: sizeBytes }, finished: !signal.aborted };
    }),
  );
  assert.equal(((await end) as { finished: boolean }).finished, true);
});
