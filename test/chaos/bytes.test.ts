import assert from 'node:assert/strict';
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { blank, written, wrongBytes } from './bytes.ts';
import { slotBytes, slotOffset } from './scenario.ts';

let folder: string;
let file: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-bytes-'));
  file = join(folder, 'volume');
});
after(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  await writeFile(file, '');
  await truncate(file, 1024 ** 3);
});

async function put(byte: number, offset: number, length: number): Promise<void> {
  await using handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(length, byte), 0, length, offset);
}

describe('the bytes of a volume', () => {
  const one = new Set([1]);

  test('are right when they are what was written', async () => {
    await put(7, slotOffset(2), slotBytes);
    assert.deepEqual(await wrongBytes(file, written(blank, 2, 7, true), one), []);
  });

  test('may be old, new or both after a write of which nothing is known', async () => {
    await put(7, slotOffset(2), slotBytes / 2);
    assert.deepEqual(await wrongBytes(file, written(blank, 2, 7, false), one), []);
  });

  test('are wrong when a write is lost, in part or whole', async () => {
    await put(7, slotOffset(2), slotBytes - 4096);
    assert.match((await wrongBytes(file, written(blank, 2, 7, true), one)).join(), /: 0, not 7/);
  });

  test('are wrong where nobody wrote', async () => {
    await put(1, slotOffset(2) + slotBytes, 1);
    assert.match((await wrongBytes(file, blank, one)).join(), /nobody wrote/);
  });

  test('are wrong when they end too early', async () => {
    assert.match((await wrongBytes(file, blank, new Set([2]))).join(), /not 2 GiB/);
  });
});
