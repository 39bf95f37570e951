import assert from 'node:assert/strict';
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import { cpioArchive, fileMode } from '../../../testbed/guest/cpio.ts';
import { readConsole } from '../../../testbed/guest/guest-console.ts';
import { fillImage, readRecords } from '../../../testbed/guest/records.ts';

describe('the records on an image', () => {
  let folder: string;
  let image: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-records-'));
    image = join(folder, 'image');
  });
  after(() => rm(folder, { recursive: true }));
  beforeEach(async () => {
    await writeFile(image, '');
    await truncate(image, 64 * 4096);
    await fillImage(image);
  });

  const span = 16;
  /** Writes a record as the guest does. */
  async function record(number: number, change: (block: Buffer) => void = () => {}): Promise<void> {
    const slot = Number((BigInt(number) * 2654435761n) % BigInt(span));
    const block = Buffer.alloc(4096, number);
    block.write('FRRECRD1', 'latin1');
    for (const [index, value] of [number, slot, span].entries()) block.writeBigUInt64LE(BigInt(value), 8 + 8 * index);
    block.writeUInt32LE(crc32(block.subarray(0, 4092)), 4092);
    change(block);
    const file = await open(image, 'r+');
    await file.write(block, 0, block.length, slot * 4096);
    await file.close();
  }

  it('are all there', async () => {
    for (let number = 1; number <= 20; number += 1) await record(number);
    assert.deepEqual(await readRecords(image), { highest: 20, records: 16, fillers: 48, torn: 0, missing: [] });
  });

  it('show a gap', async () => {
    for (const number of [1, 2, 4]) await record(number);
    assert.deepEqual((await readRecords(image)).missing, [3]);
  });

  it('show a record of which only a part was written', async () => {
    await record(1);
    await record(2, (block) => block.fill(0, 2048, 2052));
    await record(3);
    assert.partialDeepStrictEqual(await readRecords(image), { torn: 1, missing: [2] });
  });

  it('show a block that is not where it belongs', async () => {
    const file = await open(image, 'r+');
    const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 8192);
    await file.write(buffer, 0, 4096, 12_288);
    await file.close();
    assert.equal((await readRecords(image)).torn, 1);
  });
});

describe("a guest's console", () => {
  it('tells what was acknowledged, what failed and the longest stall', () => {
    const text =
      'guest up\r\nvda begin bytes=1 span=1 next=1\r\nvda first\r\nvda acked=10 worst_us=1500\r\nvda error number=11 errno=5\r\nvda acked=12 worst_us=900\r\nvda acked=13 wor';
    const { up, disks } = readConsole(text);
    assert.equal(up, true);
    assert.deepEqual(disks.get('vda'), {
      acked: 12,
      errors: 1,
      longestStallMs: 1.5,
      gone: false,
      begun: true,
      complaints: [],
    });
  });

  it('begins anew with another disk of the same name', () => {
    const { disks } = readConsole('vdb acked=10 worst_us=1500\nvdb gone\nvdb begin bytes=1 span=1 next=1\n');
    assert.deepEqual(disks.get('vdb'), {
      acked: 0,
      errors: 0,
      longestStallMs: 0,
      gone: false,
      begun: true,
      complaints: [],
    });
  });

  it("shows the kernel's complaints", () => {
    const line = '[   12.3] I/O error, dev vda, sector 8 op 0x1:(WRITE)';
    assert.deepEqual(readConsole(`${line}\r\n`).disks.get('vda')?.complaints, [line]);
  });
});

describe("the guest's first root file system", () => {
  it('is an archive that the kernel can unpack', () => {
    const archive = cpioArchive([{ path: 'init', mode: fileMode, content: Buffer.from('abc') }]).toString('latin1');
    assert.equal(archive.slice(0, 6), '070701');
    assert.equal(archive.slice(110, 114), 'init');
    assert.equal(archive.length % 4, 0);
    assert.ok(archive.includes('TRAILER!!!'));
  });
});
