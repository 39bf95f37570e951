import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, open, truncate } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { randomBytes } from 'node:crypto';
import { Destination } from '../../../../activities/storage/copier/destination.ts';
import { rangeBytes } from '../../../../activities/storage/copier/geometry.ts';
import { Halt } from '../../../../activities/storage/copier/halt.ts';
import { connectNbd } from '../../../../activities/storage/copier/nbd/connection.ts';
import { openReadBack } from '../../../../activities/storage/copier/read-back.ts';
import type { CopyJob, SourceExport } from '../../../../activities/storage/copy-job.ts';
import { copyStart, type Checkpoint } from '../../../../model/migration.ts';
import { makeCertificates } from '../../../../testbed/certificates.ts';
import { cleanUp } from './cleanup.ts';
import { copier, copyJob, digestJob, undisturbed } from './jobs.ts';
import { ownServer, qemuNbd } from './source-server.ts';
import { assertSame, loopDevice, mib, mixture, scratchFolder, strangeFileSystem, writeVolume } from './volumes.ts';

async function prepare(t: TestContext, pieces = mixture, stale = false) {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, pieces);
  await writeVolume(to, [[stale ? 'data' : 'hole', sizeBytes]]);
  return { folder, from, to, sizeBytes };
}

const proving = (source: SourceExport, to: string, sizeBytes: number, change: Partial<CopyJob> = {}) =>
  copyJob(source, to, sizeBytes, { readBack: true, ...change });

for (const kind of ['fresh file', 'block device with old data'] as const) {
  test(`a ${kind} is read back while it is copied onto, and is what the source has read`, async (t) => {
    const { from, to: file, sizeBytes } = await prepare(t, mixture, kind !== 'fresh file');
    const [source, to] = kind.startsWith('block')
      ? [await loopDevice(t, from), await loopDevice(t, file)]
      : [from, file];
    const { address } = await ownServer(t, source);
    const c = copier(t);
    const destination = { path: to, sizeBytes, readsZero: kind === 'fresh file' };
    const copied = await c.run(proving(address, to, sizeBytes, { destination }), undisturbed);
    assert.equal(copied.finished, true);
    assert.deepEqual(copied.checkpoint.proven, { copiedAgain: 0 });
    await assertSame(source, to);
    for (const device of [source, to]) {
      const { checkpoint } = await c.run(digestJob(device, sizeBytes), undisturbed);
      assert.equal(checkpoint.chain, copied.checkpoint.chain);
    }
  });
}

test('an empty volume, and one of holes over many ranges, are proven too', async (t) => {
  const gib = 1024 * mib;
  const { from, to, sizeBytes } = await prepare(t, [
    ['hole', gib + 512 * mib],
    ['data', mib],
    ['hole', gib],
  ]);
  const { address } = await ownServer(t, from);
  const c = copier(t);
  const { checkpoint } = await c.run(proving(address, to, sizeBytes), undisturbed);
  assert.deepEqual(checkpoint.proven, { copiedAgain: 0 });
  assert.ok(checkpoint.transferred <= mib);
  assert.equal((await c.run(digestJob(from, sizeBytes), undisturbed)).checkpoint.chain, checkpoint.chain);
});

test('it is proven over TLS as well', async (t) => {
  const { folder, from, to, sizeBytes } = await prepare(t);
  const { directory, client } = await makeCertificates(path.join(folder, 'tls'));
  const { address } = await ownServer(t, from, directory);
  const c = copier(t);
  const { checkpoint } = await c.run(proving(address, to, sizeBytes, { tls: client }), undisturbed);
  assert.deepEqual(checkpoint.proven, { copiedAgain: 0 });
  await assertSame(from, to);
  const stranger = await makeCertificates(path.join(folder, 'stranger'));
  const tls = { ...stranger.client, ca: client.ca };
  await assert.rejects(c.run(proving(address, to, sizeBytes, { tls }), undisturbed), { type: 'SourceUnreachable' });
});

/** What is on the wire as often as it can be, so that a proxy finds it in whatever pieces it comes. */
const marker = Buffer.from('a flip of a bit!');

/** A way to the source on which a bit flips wherever the marker comes along, `times` times. */
async function flippingWay(t: TestContext, source: SourceExport, times: number): Promise<SourceExport> {
  let left = times;
  const sockets = new Set<net.Socket>();
  const proxy = net.createServer((near) => {
    const far = net.connect({ host: source.host, port: source.port });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => [near, far].forEach((each) => each.destroy()));
    }
    near.pipe(far);
    far.on('data', (bytes: Buffer) => {
      const at = left > 0 ? bytes.indexOf(marker) : -1;
      if (at >= 0) {
        left -= 1;
        bytes[at]! ^= 4;
      }
      near.write(bytes);
    });
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  cleanUp(t, () => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  return { ...source, port: (proxy.address() as net.AddressInfo).port };
}

/** A volume in whose second range only one block has the marker. */
async function marked(t: TestContext) {
  const volume = await prepare(t, [['data', 72 * mib]]);
  const handle = await open(volume.from, 'r+');
  await handle.write(Buffer.alloc(mib, marker), 0, mib, rangeBytes + 5 * mib);
  await handle.sync();
  await handle.close();
  return volume;
}

for (const times of [1, 3]) {
  test(`a bit that flips on its way ${times} times is copied again as often`, async (t) => {
    const { from, to, sizeBytes } = await marked(t);
    const { address } = await ownServer(t, from);
    const way = await flippingWay(t, address, times);
    const { checkpoint } = await copier(t).run(proving(way, to, sizeBytes), undisturbed);
    // Several may flip in one block at once.
    const { copiedAgain } = checkpoint.proven!;
    assert.ok(copiedAgain >= 1 && copiedAgain <= times, `${copiedAgain}`);
    await assertSame(from, to);
  });
}

test('a bit that flips each time is a mismatch, with its place', async (t) => {
  const { from, to, sizeBytes } = await marked(t);
  const { address } = await ownServer(t, from);
  const way = await flippingWay(t, address, Infinity);
  let last = copyStart;
  const onProgress = (checkpoint: Checkpoint) => void (last = checkpoint);
  await assert.rejects(copier(t).run(proving(way, to, sizeBytes), { ...undisturbed, onProgress }), (error) => {
    const { type, details, message } = error as { type: string; details: Record<string, unknown>; message: string };
    assert.equal(type, 'ChecksumMismatch');
    assert.deepEqual(
      [details['from'], details['to'], details['copies']],
      [rangeBytes + 5 * mib, rangeBytes + 6 * mib, 4],
    );
    assert.match(message, /between byte 72351744 and 73400320/);
    return true;
  });
  assert.ok(last.offset <= rangeBytes, 'nothing behind the bad range was told as proven');
});

test('what the destination’s disk gives back otherwise is copied again', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 100 * mib]]);
  await copyFile(from, to);
  const handle = await open(to, 'r+');
  for (const at of [3 * mib + 7, 90 * mib, 100 * mib - 4096]) await handle.write(randomBytes(9), 0, 9, at);
  await handle.sync();
  await handle.close();
  const { address } = await ownServer(t, from);
  const job = proving(address, to, sizeBytes);
  const halt = new Halt(new AbortController().signal);
  const destination = await Destination.open(to, sizeBytes);
  const source = await connectNbd({ address, tls: null, signal: halt.signal });
  const readBack = (await openReadBack({ job, source, destination, halt, from: copyStart }, undefined))!;
  try {
    readBack.written(sizeBytes);
    await readBack.run();
    const copied = { sizeBytes, reached: copyStart, position: sizeBytes };
    const { reached, position } = readBack.position(copied);
    assert.equal(reached.offset, sizeBytes);
    assert.equal(position, sizeBytes);
    assert.deepEqual(reached.proven, { copiedAgain: 2 });
  } finally {
    source.close();
    halt.end();
    await readBack.close();
    await destination.close();
  }
  await assertSame(from, to);
});

test('a copy that is stopped goes on from what is proven, and its chain still holds', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 200 * mib]]);
  const { address } = await ownServer(t, from);
  const c = copier(t);
  let at = copyStart;
  let stops = 0;
  for (let finished = false; !finished; stops += 1) {
    const controller = new AbortController();
    const onProgress = (checkpoint: Checkpoint) => checkpoint.offset > at.offset && stops < 2 && controller.abort();
    const bandwidth = stops < 2 ? 80 * mib : null;
    const before: Checkpoint = at;
    ({ checkpoint: at, finished } = await c.run(proving(address, to, sizeBytes, { from: before, bandwidth }), {
      signal: controller.signal,
      onProgress,
    }));
    assert.ok(at.offset > before.offset);
    assert.deepEqual(at.proven, { copiedAgain: 0 });
  }
  assert.ok(stops >= 2);
  await assertSame(from, to);
  assert.equal((await c.run(digestJob(from, sizeBytes), undisturbed)).checkpoint.chain, at.chain);
});

test('a server that is killed in the middle is a source that is lost; what was proven stays', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 200 * mib]]);
  const server = await ownServer(t, from);
  const c = copier(t);
  let last = copyStart;
  const onProgress = (checkpoint: Checkpoint) => {
    last = checkpoint;
    if (checkpoint.offset > 0) server.kill('SIGKILL');
  };
  const slow = proving(server.address, to, sizeBytes, { bandwidth: 40 * mib });
  await assert.rejects(c.run(slow, { ...undisturbed, onProgress }), { type: 'SourceUnreachable' });
  assert.ok(last.offset > 0 && last.proven);
  const { address } = await ownServer(t, from);
  const { checkpoint } = await c.run(proving(address, to, sizeBytes, { from: last }), undisturbed);
  assert.deepEqual(checkpoint.proven, { copiedAgain: 0 });
  await assertSame(from, to);
});

test('progress counts what is read back too, and never goes back', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 100 * mib]]);
  const { address } = await ownServer(t, from);
  const positions: number[] = [];
  const onProgress = (_: Checkpoint, position: number) => void positions.push(position);
  const job = proving(address, to, sizeBytes, { bandwidth: 100 * mib });
  await copier(t).run(job, { ...undisturbed, onProgress });
  assert.ok(positions.length > 2);
  assert.deepEqual(
    positions,
    positions.toSorted((a, b) => a - b),
  );
});

/** Why a copy is not proven while it is under way; it is whole all the same, with the digest of what arrived. */
const unproven: Record<string, (t: TestContext) => Promise<{ job: CopyJob; from: string }>> = {
  'a server that tells no digests': async (t) => {
    const { from, to, sizeBytes } = await prepare(t);
    const { address } = await qemuNbd(t, from);
    return { job: proving(address, to, sizeBytes), from };
  },
  'a source that cannot be read past the page cache': async (t) => {
    const { from, to, sizeBytes } = await prepare(t, [
      ['data', 2 * mib],
      ['hole', 3 * mib + 512],
    ]);
    const { address } = await ownServer(t, from);
    return { job: proving(address, to, sizeBytes), from };
  },
  'a destination that cannot be read past the page cache': async (t) => {
    const { from, sizeBytes } = await prepare(t);
    const to = path.join(await strangeFileSystem(t, 'overlay'), 'to');
    await writeVolume(to, [['hole', sizeBytes]]);
    const { address } = await ownServer(t, from);
    return { job: proving(address, to, sizeBytes), from };
  },
  'nobody who asks for it': async (t) => {
    const { from, to, sizeBytes } = await prepare(t);
    const { address } = await ownServer(t, from);
    return { job: copyJob(address, to, sizeBytes), from };
  },
};

for (const [why, make] of Object.entries(unproven)) {
  test(`with ${why} a copy does not claim to be proven`, async (t) => {
    const { job, from } = await make(t);
    const c = copier(t);
    const { checkpoint, finished } = await c.run(job, undisturbed);
    assert.equal(finished, true);
    assert.equal(checkpoint.proven, undefined);
    await assertSame(from, job.destination.path);
    const { sizeBytes } = job.destination;
    assert.equal((await c.run(digestJob(from, sizeBytes), undisturbed)).checkpoint.chain, checkpoint.chain);
  });
}

test('what was copied without proof is proven by the next try', async (t) => {
  const { from, to, sizeBytes } = await prepare(t, [['data', 150 * mib]]);
  const { address } = await ownServer(t, from);
  const older = await qemuNbd(t, from);
  const c = copier(t);
  const controller = new AbortController();
  const onProgress = (checkpoint: Checkpoint) => checkpoint.offset > 0 && controller.abort();
  const slow = proving(older.address, to, sizeBytes, { bandwidth: 40 * mib });
  const { checkpoint: half } = await c.run(slow, { signal: controller.signal, onProgress });
  assert.ok(half.offset > 0 && half.offset < sizeBytes && !half.proven);
  const { checkpoint } = await c.run(proving(address, to, sizeBytes, { from: half }), undisturbed);
  assert.deepEqual(checkpoint.proven, { copiedAgain: 0 });
  await assertSame(from, to);
  const back = { ...checkpoint, offset: rangeBytes, chain: half.chain, copied: 2 * rangeBytes };
  const later = await c.run(proving(older.address, to, sizeBytes, { from: back }), undisturbed);
  assert.equal(later.checkpoint.proven, undefined, 'an older server cannot prove the rest');
  assert.equal(later.checkpoint.chain, checkpoint.chain);
});

/** A destination that is copied and proven as far as a try came that was lost, and the checkpoint of that. */
async function afterLostTry(t: TestContext, upTo: { offset: number; copied?: number }) {
  const volume = await prepare(t, [['data', 3 * rangeBytes + 9 * mib]]);
  const { from, to, sizeBytes } = volume;
  await copyFile(from, to);
  const { address } = await ownServer(t, from);
  const c = copier(t);
  const { checkpoint } = await c.run(digestJob(from, sizeBytes), undisturbed);
  const whole = checkpoint.chain;
  const offset = Math.min(upTo.offset, sizeBytes);
  let { chain } = copyStart;
  if (offset === sizeBytes) chain = whole;
  else if (offset > 0)
    ({ chain } = (await c.run(digestJob(await beginningOf(from, offset), offset), undisturbed)).checkpoint);
  const lost: Checkpoint = { ...copyStart, ...upTo, offset, chain, transferred: offset, proven: { copiedAgain: 0 } };
  return { ...volume, address, c, whole, lost };
}

/** A file of its own of the first bytes. */
async function beginningOf(file: string, sizeBytes: number): Promise<string> {
  const beginning = `${file}-beginning`;
  await copyFile(file, beginning);
  await truncate(beginning, sizeBytes);
  return beginning;
}

/** As a disk that has acknowledged a flush shows it after a loss of power. */
async function loseWrite(file: string, offset: number): Promise<void> {
  await using handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(mib), 0, mib, offset);
  await handle.sync();
}

const afterPowerLoss: Record<string, { upTo: { offset: number; copied?: number }; losses: readonly number[] }> = {
  'the first block of what was proven': { upTo: { offset: 2 * rangeBytes }, losses: [0] },
  'several blocks of what was proven': { upTo: { offset: 2 * rangeBytes }, losses: [mib, 2 * rangeBytes - mib] },
  'what was copied, but not proven yet': {
    upTo: { offset: rangeBytes, copied: 3 * rangeBytes },
    losses: [3 * rangeBytes - mib],
  },
  'what was proven, when all of it was': { upTo: { offset: Infinity }, losses: [2 * mib, 3 * rangeBytes + 8 * mib] },
};

for (const [what, { upTo, losses }] of Object.entries(afterPowerLoss)) {
  test(`the next try finds that the disk has lost ${what}`, async (t) => {
    const { from, to, sizeBytes, address, c, whole, lost } = await afterLostTry(t, upTo);
    for (const offset of losses) await loseWrite(to, offset);
    const positions: number[] = [];
    const onProgress = (_: Checkpoint, position: number) => void positions.push(position);
    const job = proving(address, to, sizeBytes, { from: lost });
    const { checkpoint, finished } = await c.run(job, { ...undisturbed, onProgress });
    assert.equal(finished, true);
    assert.deepEqual(checkpoint.proven, { copiedAgain: losses.length });
    assert.equal(checkpoint.chain, whole);
    assert.equal(checkpoint.copied, undefined);
    await assertSame(from, to);
    assert.deepEqual(
      positions,
      positions.toSorted((a, b) => a - b),
    );
  });
}

test('what was copied, though not proven yet, is not copied again', async (t) => {
  const { from, to, sizeBytes, address, c, lost } = await afterLostTry(t, {
    offset: rangeBytes,
    copied: 3 * rangeBytes,
  });
  const { checkpoint } = await c.run(proving(address, to, sizeBytes, { from: lost }), undisturbed);
  assert.equal(checkpoint.transferred - lost.transferred, sizeBytes - 3 * rangeBytes);
  assert.deepEqual(checkpoint.proven, { copiedAgain: 0 });
  await assertSame(from, to);
});

for (const offset of [rangeBytes, Infinity]) {
  test(`stopped before all is read back again from ${offset} on, it is not proven, and nothing is lost`, async (t) => {
    const { to, sizeBytes, address, lost } = await afterLostTry(t, { offset, copied: 3 * rangeBytes + 9 * mib });
    const job = proving(address, to, sizeBytes, { from: lost });
    const halt = new Halt(new AbortController().signal);
    const destination = await Destination.open(to, sizeBytes);
    const source = await connectNbd({ address, tls: null, signal: halt.signal });
    const readBack = (await openReadBack({ job, source, destination, halt, from: lost }, undefined))!;
    try {
      halt.end();
      await readBack.run();
      const { reached, finished } = readBack.position({ sizeBytes, reached: lost, position: sizeBytes });
      assert.equal(finished, false);
      assert.deepEqual({ ...reached, copied: sizeBytes }, { ...lost, copied: sizeBytes });
      assert.equal(reached.copied ?? reached.offset, sizeBytes);
    } finally {
      source.close();
      await readBack.close();
      await destination.close();
    }
  });
}
