import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type TestContext } from 'node:test';
import { execa } from 'execa';
import type { CompareJob, SourceExport } from '../../../../activities/storage/copy-job.ts';
import { rangeBytes } from '../../../../activities/storage/copier/geometry.ts';
import { copyStart } from '../../../../model/migration.ts';
import { makeCertificates } from '../../../../testbed/certificates.ts';
import { cleanUp } from './cleanup.ts';
import { copier, undisturbed } from './jobs.ts';
import { ownServer, qemuNbd } from './source-server.ts';
import { loopDevice, mib, mixture, scratchFolder, writeVolume } from './volumes.ts';

/** A source, and what a mirror has made of it. */
async function prepare(t: TestContext, pieces = mixture) {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, pieces);
  await execa('cp', ['--sparse=always', '--', from, to]);
  return { folder, from, to, sizeBytes };
}

const comparing = (
  source: SourceExport,
  device: string,
  sizeBytes: number,
  change: Partial<CompareJob> = {},
): CompareJob => ({
  kind: 'compare',
  source,
  tls: null,
  device: { path: device, sizeBytes },
  from: copyStart,
  bandwidth: null,
  ...change,
});

async function put(file: string, bytes: Uint8Array, at: number): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.length, at);
  await handle.close();
}

/** A guest that writes to one page all the time; `follow`: where a mirror writes it too, a little later. */
function writeAllTheTime(t: TestContext, file: string, at: number, follow: string | null): void {
  const gone = new AbortController();
  const writing = (async () => {
    while (!gone.signal.aborted) {
      const page = randomBytes(4096);
      await put(file, page, at);
      await sleep(20);
      if (follow) await put(follow, page, at);
    }
  })();
  cleanUp(t, () => (gone.abort(), writing));
}

for (const kind of ['file', 'block'] as const)
  test(`two ${kind}s that hold the same are equal, and nothing is left out`, async (t) => {
    const { from, to, sizeBytes } = await prepare(t);
    const [a, b] = kind === 'file' ? [from, to] : [await loopDevice(t, from), await loopDevice(t, to)];
    const { address } = await ownServer(t, a);
    const { finished, checkpoint } = await copier(t).run(comparing(address, b, sizeBytes), undisturbed);
    assert.equal(finished, true);
    assert.deepEqual(checkpoint, { ...copyStart, offset: sizeBytes, medium: 'direct', unproven: 0 });
  });

test('holes are not read, and count for no cap: so many gigabytes are compared at once', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [
    ['hole', 256 * 1024 * mib],
    ['data', mib],
  ]);
  const { address } = await ownServer(t, from);
  const capped = comparing(address, to, sizeBytes, { bandwidth: 40 * mib });
  assert.equal((await copier(t).run(capped, undisturbed)).finished, true);
});

test('a single byte that differs, and stays so, is found, with its page', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const at = rangeBytes + 3 * mib + 5000;
  for (const [kind, byte] of [
    ['the source', 1],
    ['the destination', 2],
  ] as const) {
    await put(kind === 'the source' ? from : to, Buffer.from([byte]), at);
    const { address } = await ownServer(t, from);
    const offset = at - (at % 4096);
    await assert.rejects(copier(t).run(comparing(address, to, sizeBytes), undisturbed), (error: Error) => {
      const { type, details } = error as Error & { type: string; details: Record<string, unknown> };
      assert.deepEqual([type, details['offset'], details['pages']], ['ChecksumMismatch', offset, 1]);
      return true;
    });
  }
});

test('what the mirror has not brought yet counts when it has', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const page = randomBytes(8192);
  await put(from, page, 2 * mib);
  const { address } = await ownServer(t, from);
  const comparison = copier(t).run(comparing(address, to, sizeBytes), undisturbed);
  await sleep(1_000);
  await put(to, page, 2 * mib);
  const { finished, checkpoint } = await comparison;
  assert.deepEqual([finished, checkpoint.unproven], [true, 0]);
});

test('what the guest writes all the time is told, and is no error', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  writeAllTheTime(t, from, 3 * mib, to);
  // A mirror that is always late: never equal, never the same for long.
  writeAllTheTime(t, from, 70 * mib, null);
  const { address } = await ownServer(t, from);
  const { finished, checkpoint } = await copier(t).run(comparing(address, to, sizeBytes), undisturbed);
  assert.equal(finished, true);
  // The first of them is equal now and then, perhaps never when it was looked at.
  assert.ok([4096, 8192].includes(checkpoint.unproven!), `${checkpoint.unproven} bytes`);
});

test('it goes on from where an earlier try was, with what that had left out', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  await put(to, randomBytes(4096), 0);
  const { address } = await ownServer(t, from);
  const start = { ...copyStart, offset: rangeBytes, unproven: 4096 };
  const { finished, checkpoint } = await copier(t).run(comparing(address, to, sizeBytes, { from: start }), undisturbed);
  assert.deepEqual([finished, checkpoint.unproven], [true, 4096]);
  await assert.rejects(copier(t).run(comparing(address, to, sizeBytes), undisturbed), { type: 'ChecksumMismatch' });
});

test('stopped, it tells how far it came; both sides are as they were', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 3 * rangeBytes]]);
  const { address } = await ownServer(t, from);
  const stop = new AbortController();
  const running = copier(t).run(comparing(address, to, sizeBytes, { bandwidth: 40 * mib }), {
    ...undisturbed,
    signal: stop.signal,
  });
  await sleep(2_500);
  stop.abort();
  const { finished, checkpoint } = await running;
  assert.deepEqual([finished, checkpoint.offset], [false, rangeBytes]);
});

test('a source that tells no digests is read as a whole, over TLS too; what that proves is less', async (t) => {
  const { folder, from, to, sizeBytes } = await prepare(t);
  const { directory, client } = await makeCertificates(path.join(folder, 'tls'));
  const { address } = await qemuNbd(t, from, { tlsDirectory: directory });
  const job = comparing(address, to, sizeBytes, { tls: client });
  const { finished, checkpoint } = await copier(t).run(job, undisturbed);
  assert.deepEqual([finished, checkpoint.medium], [true, 'cache']);
  await put(to, Buffer.from('x'), sizeBytes - 1);
  await assert.rejects(copier(t).run(job, undisturbed), { type: 'ChecksumMismatch' });
});

test('a source of another size is refused, and one that is not there', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const server = await ownServer(t, from);
  const { address } = server;
  await writeVolume(to, [['hole', sizeBytes - mib]]);
  await assert.rejects(copier(t).run(comparing(address, to, sizeBytes - mib), undisturbed), { type: 'SizeMismatch' });
  server.kill('SIGKILL');
  await sleep(200);
  await assert.rejects(copier(t).run(comparing(address, from, sizeBytes), undisturbed), { type: 'SourceUnreachable' });
});
