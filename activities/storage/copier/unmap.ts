import { access } from 'node:fs/promises';
import { FerryError } from '../../../model/errors.ts';
import type { UnmapJob } from '../copy-job.ts';
import { alignedMemory } from './aligned-buffers.ts';
import { inspectDevice, type DeviceFacts } from './block-device.ts';
import { checkStart } from './check-start.ts';
import { clearRange } from './clear-range.ts';
import type { JobOptions } from './copy.ts';
import { lockDevice, type DeviceLock } from './device-lock.ts';
import { isZero } from './digest-chain.ts';
import { blockBytes } from './geometry.ts';
import { Halt } from './halt.ts';
import { openDevice } from './open-device.ts';
import { Progress, type JobResult } from './progress.ts';
import { RangeLedger } from './range-ledger.ts';
import { readBlock } from './read-block.ts';
import type { Run } from './zero-map.ts';

/** What is looked at before the next is read: a tool is started for each run of zeros in it. */
const windowBlocks = 32;

/**
 * Gives back the room of the zeros of a device, where they come in whole blocks. Done as far as the device can: one that cannot unmap is left as it
 * is. Holds the device's lock, as a copy onto it does.
 */
export async function unmap(job: UnmapJob, { signal, onProgress }: JobOptions): Promise<JobResult> {
  const { path, sizeBytes } = job.device;
  checkStart(job.from, sizeBytes, false);
  const facts = await inspectDevice(path, sizeBytes);
  const halt = new Halt(signal);
  const lock = await lockDevice(facts.identity);
  const ledger = new RangeLedger(sizeBytes, job.from, false);
  try {
    // Under the lock: whoever has put the file there had it before, and from then on somebody else writes to the device.
    if (await isThere(job.unless)) throw over(path);
    const progress = new Progress({ ledger, halt, flush: async () => undefined, onProgress });
    return await progress.during(() => unmapAll(job, facts, lock, ledger, halt));
  } finally {
    halt.end();
    lock.release();
  }
}

async function unmapAll(job: UnmapJob, facts: DeviceFacts, lock: DeviceLock, ledger: RangeLedger, halt: Halt) {
  const { path, sizeBytes } = job.device;
  const { file } = await openDevice(facts, 'read');
  try {
    const window = alignedMemory(windowBlocks * blockBytes);
    for (let offset = job.from.offset; offset < sizeBytes; offset += window.length) {
      const bytes = window.subarray(0, Math.min(window.length, sizeBytes - offset));
      const blocks = blocksOf(bytes);
      await Promise.all(blocks.map(([from, to]) => readBlock(file, path, bytes.subarray(from, to), offset + from)));
      // Told run by run: on a slow device each of them takes its time.
      let told = 0;
      const done = (upTo: number) => {
        for (const [from, to] of blocks)
          if (from >= told && to <= upTo) ledger.complete(offset + from, to - from, null, 0);
        told = upTo;
      };
      for (const [from, to] of zeroRuns(bytes)) {
        if (halt.halted) return;
        done(from);
        if (!(await clearRange('unmap', facts, lock, { offset: offset + from, length: to - from }, halt.signal)))
          return;
        done(to);
      }
      if (halt.halted) return;
      done(bytes.length);
    }
  } finally {
    await file.close();
  }
}

function blocksOf(bytes: Uint8Array): Run[] {
  return Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, n) => [
    n * blockBytes,
    Math.min((n + 1) * blockBytes, bytes.length),
  ]);
}

/** Whole blocks of zeros, joined: smaller ones would cost more than their room is worth. */
function zeroRuns(bytes: Uint8Array): Run[] {
  const runs: [number, number][] = [];
  for (const [from, to] of blocksOf(bytes)) {
    if (!isZero(bytes.subarray(from, to))) continue;
    const last = runs.at(-1);
    if (last?.[1] === from) last[1] = to;
    else runs.push([from, to]);
  }
  return runs;
}

const isThere = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

function over(path: string): FerryError {
  return new FerryError('NotOwned', `${path} is written to by its guest again; nothing of it is unmapped any more.`, {
    path,
  });
}
