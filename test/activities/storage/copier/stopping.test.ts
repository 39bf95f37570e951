import assert from 'node:assert/strict';
import path from 'node:path';
import { inspect } from 'node:util';
import test, { type TestContext } from 'node:test';
import type { Job } from '../../../../activities/storage/copy-job.ts';
import { rangeBytes } from '../../../../activities/storage/copier/geometry.ts';
import type { Checkpoint } from '../../../../model/migration.ts';
import { copierProcesses } from './copier-processes.ts';
import { copier, copyJob, digestJob, undisturbed } from './jobs.ts';
import { nbdkit, qemuNbd } from './source-server.ts';
import { assertSame, mib, mixture, scratchFolder, writeVolume } from './volumes.ts';

// A source that does not answer is given up after 30 seconds: with this limit a stop that waits for it fails the test.
const beforeSilence = { timeout: 20_000 };

interface Prepared {
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: number;
}

async function prepare(t: TestContext, stale = false): Promise<Prepared> {
  const folder = await scratchFolder(t);
  const [from, to] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(to, [[stale ? 'data' : 'hole', sizeBytes]]);
  return { from, to, sizeBytes };
}

/** Runs a job until `position` is told, and then does what `then` says. */
async function interrupt(t: TestContext, job: Job, position: number, then: (stop: () => void) => void) {
  const controller = new AbortController();
  let done = false;
  const told: Checkpoint[] = [];
  const onProgress = (checkpoint: Checkpoint, at: number) => {
    told.push(checkpoint);
    if (done || at < position) return;
    done = true;
    then(() => controller.abort());
  };
  const result = await copier(t)
    .run(job, { signal: controller.signal, onProgress })
    .catch((error: unknown) => error as Error);
  return { result, last: told.at(-1) ?? job.from };
}

for (const stale of [false, true]) {
  const where = stale ? 'over old data' : 'on a fresh file';
  test(`a copy ${where} that is stopped again and again arrives whole, with the digest of one made in one go`, async (t) => {
    const { from, to, sizeBytes } = await prepare(t, stale);
    const { address } = await qemuNbd(t, from);
    const expected = await copier(t).run(digestJob(from, sizeBytes), undisturbed);
    let job = copyJob(address, to, sizeBytes, {
      destination: { path: to, sizeBytes, readsZero: !stale },
      bandwidth: 200 * mib,
    });
    for (const position of [1, 30 * mib, rangeBytes + mib, 2 * rangeBytes]) {
      const { result } = await interrupt(t, job, position, (stop) => stop());
      assert.ok(!(result instanceof Error), inspect(result));
      assert.ok(result.checkpoint.offset >= job.from.offset);
      assert.ok(result.finished || result.checkpoint.offset % rangeBytes === 0);
      job = { ...job, from: result.checkpoint };
    }
    const { checkpoint, finished } = await copier(t).run(job, undisturbed);
    assert.equal(finished, true);
    assert.equal(checkpoint.chain, expected.checkpoint.chain);
    await assertSame(from, to);
  });

  test(`a copy ${where} whose process is killed at any point goes on from the last checkpoint it told`, async (t) => {
    const { from, to, sizeBytes } = await prepare(t, stale);
    const { address } = await qemuNbd(t, from);
    const expected = await copier(t).run(digestJob(from, sizeBytes), undisturbed);
    let job = copyJob(address, to, sizeBytes, {
      destination: { path: to, sizeBytes, readsZero: !stale },
      bandwidth: 60 * mib,
    });
    for (let kills = 0; kills < 4; kills += 1) {
      const position = job.from.offset + Math.floor(Math.random() * rangeBytes);
      const { result, last } = await interrupt(t, job, position, () => {
        for (const { pid, busy } of copierProcesses(process.pid)) if (busy) process.kill(pid, 'SIGKILL');
      });
      if (!(result instanceof Error)) break;
      assert.match(result.message, /killed by SIGKILL/);
      job = { ...job, from: last };
    }
    const { checkpoint } = await copier(t).run({ ...job, bandwidth: null }, undisturbed);
    assert.equal(checkpoint.chain, expected.checkpoint.chain);
    await assertSame(from, to);
  });
}

test('a digest that is stopped goes on where it was', async (t) => {
  const { from, sizeBytes } = await prepare(t);
  const expected = await copier(t).run(digestJob(from, sizeBytes), undisturbed);
  const { result } = await interrupt(
    t,
    digestJob(from, sizeBytes, { bandwidth: 100 * mib }),
    rangeBytes + mib,
    (stop) => stop(),
  );
  assert.ok(!(result instanceof Error), inspect(result));
  assert.equal(result.finished, false);
  const { checkpoint } = await copier(t).run(digestJob(from, sizeBytes, { from: result.checkpoint }), undisturbed);
  assert.equal(checkpoint.chain, expected.checkpoint.chain);
});

test('a stop does not wait for a server that does not answer', beforeSilence, async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const { address } = await nbdkit(t, from, ['delay'], ['delay-read=3600', 'delay-extents=0']);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 1000);
  const job = copyJob(address, to, sizeBytes);
  const result = await copier(t).run(job, { ...undisturbed, signal: controller.signal });
  assert.deepEqual(result, { checkpoint: job.from, finished: false });
});

test(
  'a stop does not wait for a server that is not there any more, nor for one that never greets',
  beforeSilence,
  async (t) => {
    const { from, to, sizeBytes } = await prepare(t);
    const server = await qemuNbd(t, from);
    server.kill('SIGSTOP');
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 500);
    const { finished } = await copier(t).run(copyJob(server.address, to, sizeBytes), {
      ...undisturbed,
      signal: controller.signal,
    });
    assert.equal(finished, false);
  },
);

test('a stop does not wait for a low cap', beforeSilence, async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const { address } = await qemuNbd(t, from);
  const job = copyJob(address, to, sizeBytes, { bandwidth: 64 * 1024 });
  const { result } = await interrupt(t, job, 1, (stop) => stop());
  assert.deepEqual(result, { checkpoint: job.from, finished: false });
});

test('a process that cannot stop is killed, and the last checkpoint is where the copy is', beforeSilence, async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const { address } = await qemuNbd(t, from);
  const job = copyJob(address, to, sizeBytes, { bandwidth: 8 * mib });
  const { result, last } = await interrupt(t, job, 1, (stop) => {
    for (const { pid, busy } of copierProcesses(process.pid)) if (busy) process.kill(pid, 'SIGSTOP');
    stop();
  });
  assert.deepEqual(result, { checkpoint: last, finished: false });
  assert.deepEqual(
    copierProcesses(process.pid).filter(({ busy }) => busy),
    [],
  );
});

test('a copy that is not wanted any more when it begins does nothing', async (t) => {
  const job = copyJob({ host: '127.0.0.1', port: 1, exportName: 'x', tls: false }, '/nowhere', mib);
  const result = await copier(t).run(job, { ...undisturbed, signal: AbortSignal.abort() });
  assert.deepEqual(result, { checkpoint: job.from, finished: false });
});

test('no more is moved than the cap allows, while holes are free', async (t) => {
  const { from, to, sizeBytes } = await prepare(t);
  const { address } = await qemuNbd(t, from);
  const rate = 16 * mib;
  const started = performance.now();
  const excess: number[] = [];
  const controller = new AbortController();
  const onProgress = (_: Checkpoint, position: number) => {
    const allowed = (rate * (performance.now() - started)) / 1000;
    // The first hole of the mixture is within this reach: position is more than what was moved.
    if (position - 5 * mib > allowed + 4 * mib) excess.push(position);
    if (position > 24 * mib) controller.abort();
  };
  const job = copyJob(address, to, sizeBytes, { bandwidth: rate });
  await copier(t).run(job, { signal: controller.signal, onProgress });
  assert.deepEqual(excess, []);
});
