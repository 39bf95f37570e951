import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { execa } from 'execa';
import type { Copier } from '../../activities/storage/copy-job.ts';
import type { ExportAddress, Exports } from '../../activities/storage/exports.ts';
import { FaultyFiles } from '../../testbed/faulty-files.ts';
import { copyJob, undisturbed } from '../activities/storage/copier/jobs.ts';
import { freePort } from '../activities/storage/copier/source-server.ts';
import { mib, writeVolume } from '../activities/storage/copier/volumes.ts';
import { loopbackExports } from '../activities/storage/exports/loopback-exports.ts';

const sizeBytes = 8 * mib;
const exportName = 'volume';
let folder: string;
let [from, to] = ['', ''];
let files: FaultyFiles;
let exports: Exports;
let copier: Copier & { dispose(): Promise<void> };
let address: ExportAddress;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-faulty-'));
  files = await FaultyFiles.open(join(folder, 'table'));
  for (const disk of ['good', 'bad']) await mkdir(join(folder, disk));
  [from, to] = [join(folder, 'bad', 'from'), join(folder, 'good', 'to')];
  await writeVolume(from, [['data', sizeBytes]]);
  await writeVolume(to, [['hole', sizeBytes]]);
  // This process is as a worker that was started with them.
  Object.assign(process.env, files.env);
  await import('../../testbed/faulty-copiers.ts');
  const { createCopier } = await import('../../activities/storage/copier/create-copier.ts');
  copier = createCopier();
  const port = await freePort();
  exports = loopbackExports({
    stateDirectory: join(folder, 'state'),
    ports: { from: port, to: port + 20 },
  });
  address = await exports.ensure({ exportName, path: from, writable: true, tags: ['ferry.migration=a1'] });
});
beforeEach(async () => {
  await files.heal(join(folder, 'bad'));
  await files.heal(join(folder, 'good'));
  await files.heal(to);
});
after(async () => {
  await exports.remove(exportName);
  await copier.dispose();
  await files.close();
  await rm(folder, { recursive: true });
});

/** What an export's client sees of commands, one a line. */
async function client(commands: string): Promise<string> {
  const url = `nbd://127.0.0.1:${address.port}/${exportName}`;
  return (await execa('qemu-io', ['-f', 'raw', url], { input: `${commands}\n`, reject: false, all: true })).all;
}

describe('faulty files', () => {
  for (const command of ['read 0 4096', 'write 0 4096', 'write -z 0 1M', 'discard 0 1M']) {
    test(`fail an export's client that does a ${command}, until they are healed`, async () => {
      assert.doesNotMatch(await client(command), /error|failed/i);
      await files.inject(join(folder, 'bad'), { errors: 1 });
      assert.match(await client(command), /Input\/output error/);
      await files.heal(join(folder, 'bad'));
      assert.doesNotMatch(await client(command), /error|failed/i);
    });
  }

  test('fail a copy that reads them, and one that writes them', async () => {
    const job = copyJob(address, to, sizeBytes);
    await files.inject(join(folder, 'bad'), { errors: 1 });
    await assert.rejects(copier.run(job, undisturbed), { type: 'SourceReadFailed' });
    await files.heal(join(folder, 'bad'));
    await files.inject(join(folder, 'good'), { errors: 1 });
    await assert.rejects(copier.run(job, undisturbed), { type: 'DestinationWriteFailed' });
    await files.heal(join(folder, 'good'));
    assert.equal((await copier.run(job, undisturbed)).finished, true);
  });

  test('flip a bit of what a copier writes, and of nothing else', async () => {
    const job = copyJob(address, to, sizeBytes);
    await files.inject(join(folder, 'bad'), { flips: 1 });
    await client('write -P 7 0 4096');
    assert.doesNotMatch(await client('read -P 7 0 4096'), /error|failed/i);
    await files.inject(to, { flips: 1 });
    await copier.run(job, undisturbed);
    const differs = async () => !(await readFile(to)).equals(await readFile(from));
    assert.equal(await differs(), true);
    await files.heal(to);
    await copier.run(job, undisturbed);
    assert.equal(await differs(), false);
  });

  test('fail now and then', async () => {
    await files.inject(join(folder, 'bad'), { errors: 0.5 });
    // Not reads: after the first that fails, qemu-nbd may end the connection, and with it all others.
    const said = await client(Array.from({ length: 100 }, () => 'write 4M 4096').join('\n'));
    assert.match(said, /error/);
    assert.match(said, /4 KiB, 1 ops/);
  });

  test('take their time', async () => {
    await files.inject(join(folder, 'bad'), { delayMs: 700 });
    const startedAt = performance.now();
    assert.doesNotMatch(await client('read 4M 4096'), /error|failed/i);
    assert.ok(performance.now() - startedAt >= 700);
  });

  test('leave the files of other folders alone', async () => {
    await files.inject(join(folder, 'ba'), { errors: 1 });
    assert.doesNotMatch(await client('read 4M 4096'), /error|failed/i);
  });
});
