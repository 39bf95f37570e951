import assert from 'node:assert/strict';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { alignedMemory } from '../../../../activities/storage/copier/aligned-buffers.ts';
import { Destination } from '../../../../activities/storage/copier/destination.ts';
import { cleanUp } from './cleanup.ts';
import { mib, scratchFolder, writeVolume } from './volumes.ts';

const writers = 8;
const mostUnflushed = 64 * mib;

for (const [what, oddBytes, isBounded] of [
  ['through the page cache', 512, true],
  ['past it', 0, false],
] as const)
  test(`what is written ${what} ${isBounded ? 'waits for its flush, but for a little' : 'need not wait'}`, async (t) => {
    const file = path.join(await scratchFolder(t), 'volume');
    const sizeBytes = 256 * mib + oddBytes;
    await writeVolume(file, [['hole', sizeBytes]]);
    const any = await open(file);
    const kind = Object.getPrototypeOf(any) as FileHandle;
    await any.close();
    let written = 0;
    let flushed = 0;
    let worst = 0;
    // A slow disk behind a large cache.
    const slow = t.mock.method(kind, 'datasync', async function (this: FileHandle) {
      const upTo = written;
      await sleep(50);
      await this.sync();
      flushed = Math.max(flushed, upTo);
    });
    const destination = await Destination.open(file, sizeBytes);
    cleanUp(t, () => destination.close());
    const block = alignedMemory(mib);
    let next = 0;
    await Promise.all(
      Array.from({ length: writers }, async () => {
        while (next < 256) {
          const at = (next += 1) - 1;
          await destination.write(block, at * mib);
          written += mib;
          worst = Math.max(worst, written - flushed);
        }
      }),
    );
    if (!isBounded) return assert.equal(slow.mock.callCount(), 0);
    assert.ok(worst <= mostUnflushed + 2 * writers * mib, `${worst / mib} MiB were not flushed`);
  });
