import type { FileHandle } from 'node:fs/promises';
import type { DigestJob } from '../copy-job.ts';
import { tellsHoles } from '../file-system.ts';
import { BufferPool } from './aligned-buffers.ts';
import { inspectDevice } from './block-device.ts';
import { checkStart } from './check-start.ts';
import type { JobOptions } from './copy.ts';
import { blockDigest, isZero, zeroBlockDigest } from './digest-chain.ts';
import { fileHoles } from './file-holes.ts';
import { blockBytes } from './geometry.ts';
import { Halt } from './halt.ts';
import { openMedium, weaker } from './open-medium.ts';
import { Progress, type JobResult } from './progress.ts';
import { RangeLedger } from './range-ledger.ts';
import { readBlock } from './read-block.ts';
import { createThrottle } from './token-bucket.ts';
import { ZeroMaps } from './zero-map.ts';

const buffers = 16;

/** Reads a device from its medium and digests it as a copy does; the checkpoint tells how far that could be had. Nothing is written. */
export async function digest(job: DigestJob, { signal, onProgress }: JobOptions): Promise<JobResult> {
  const { path, sizeBytes } = job.device;
  checkStart(job.from, sizeBytes, true);
  const facts = await inspectDevice(path, sizeBytes);
  const halt = new Halt(signal);
  const { file, medium } = await openMedium(facts);
  const from = { ...job.from, medium: weaker(job.from.medium, medium) };
  const ledger = new RangeLedger(sizeBytes, from, true);
  const progress = new Progress({ ledger, halt, flush: async () => undefined, onProgress });
  try {
    const maps = new ZeroMaps(sizeBytes, (await tellsHoles(path)) ? fileHoles(path) : null);
    return await progress.during(() => readAll({ job, file, ledger, halt, maps }));
  } finally {
    halt.end();
    await file.close();
  }
}

interface Reading {
  readonly job: DigestJob;
  readonly file: FileHandle;
  readonly ledger: RangeLedger;
  readonly halt: Halt;
  readonly maps: ZeroMaps;
}

async function readAll(reading: Reading): Promise<void> {
  const { job, ledger, halt, maps } = reading;
  const { sizeBytes } = job.device;
  const pool = new BufferPool(buffers, blockBytes);
  const throttle = createThrottle(job.bandwidth, halt.signal);
  const inFlight = new Set<Promise<void>>();
  try {
    for (let offset = job.from.offset; offset < sizeBytes && !halt.halted;) {
      const map = await maps.next(offset);
      for (; offset < map.to && !halt.halted; offset += blockBytes) {
        const length = Math.min(blockBytes, sizeBytes - offset);
        if (map.dataRuns(offset, length).length === 0) {
          ledger.complete(offset, length, zeroBlockDigest(length), 0);
          continue;
        }
        await throttle(length);
        const buffer = await pool.take();
        const work = digestBlock(reading, buffer.subarray(0, length), offset).finally(() => {
          inFlight.delete(work);
          pool.give(buffer);
        });
        inFlight.add(work);
      }
    }
  } finally {
    await Promise.all(inFlight);
  }
}

async function digestBlock({ job, file, ledger, halt }: Reading, block: Uint8Array, offset: number): Promise<void> {
  try {
    await readBlock(file, job.device.path, block, offset);
    ledger.complete(offset, block.length, isZero(block) ? zeroBlockDigest(block.length) : blockDigest(block), 0);
  } catch (error) {
    halt.fail(error);
  }
}
