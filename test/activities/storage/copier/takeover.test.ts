import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa, execaNode } from 'execa';
import type { CopyJob } from '../../../../activities/storage/copy-job.ts';
import { inspectDevice } from '../../../../activities/storage/copier/block-device.ts';
import { copierMark, lockDevice } from '../../../../activities/storage/copier/device-lock.ts';
import { cleanUp } from './cleanup.ts';
import { copierProcesses } from './copier-processes.ts';
import { copier, copyJob, undisturbed } from './jobs.ts';
import { qemuNbd } from './source-server.ts';
import { assertSame, loopDevice, mib, mixture, scratchFolder, writeVolume } from './volumes.ts';

/** Has not ended; whether its new parent has taken note of that does not matter. */
function alive(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)![0] !== 'Z';
  } catch {
    return false;
  }
}

async function prepare(t: TestContext, device: 'file' | 'block'): Promise<{ job: CopyJob; from: string }> {
  const folder = await scratchFolder(t);
  const [from, file] = [path.join(folder, 'from'), path.join(folder, 'to')];
  const sizeBytes = await writeVolume(from, mixture);
  await writeVolume(file, [['hole', sizeBytes]]);
  const { address } = await qemuNbd(t, from);
  const to = device === 'file' ? file : await loopDevice(t, file);
  return { job: copyJob(address, to, sizeBytes), from };
}

/** A worker with a slow copy under way, and the copier that does it. */
async function slowWorker(t: TestContext, job: CopyJob) {
  const program = fileURLToPath(new URL('worker-stand-in.ts', import.meta.url));
  const worker = execaNode(program, [JSON.stringify({ ...job, bandwidth: 8 * mib })], {
    nodePath: process.execPath,
    reject: false,
  });
  await once(worker.stdout, 'data');
  const children = copierProcesses(worker.pid!);
  cleanUp(t, async () => {
    worker.kill('SIGKILL');
    await worker;
    for (const { pid } of children) if (alive(pid)) process.kill(pid, 'SIGKILL');
  });
  return { worker, children, busy: children.find(({ busy }) => busy)!.pid };
}

for (const device of ['file', 'block'] as const) {
  test(`a worker that is killed leaves no copier behind that writes to a ${device}`, async (t) => {
    const { job, from } = await prepare(t, device);
    const { worker, children } = await slowWorker(t, job);
    worker.kill('SIGKILL');
    while (children.some(({ pid }) => alive(pid))) await sleep(20);
    const { finished } = await copier(t).run(job, undisturbed);
    assert.equal(finished, true);
    await assertSame(from, job.destination.path);
  });

  test(`a suspended copier left by a killed worker is ended before the next writes to the ${device}`, async (t) => {
    const { job, from } = await prepare(t, device);
    const { worker, busy } = await slowWorker(t, job);
    process.kill(busy, 'SIGSTOP');
    worker.kill('SIGKILL');
    await worker;
    assert.ok(alive(busy));
    const { finished } = await copier(t).run(job, undisturbed);
    assert.equal(finished, true);
    assert.ok(!alive(busy));
    await assertSame(from, job.destination.path);
  });

  test(`of two copies to one ${device} the later one goes on, and the earlier one ends`, async (t) => {
    const { job, from } = await prepare(t, device);
    const controller = new AbortController();
    const begun = Promise.withResolvers<void>();
    const first = copier(t).run(
      { ...job, bandwidth: 4 * mib },
      { signal: controller.signal, onProgress: () => begun.resolve() },
    );
    const lost = assert.rejects(first, { type: 'ToolFailed', message: /killed by SIGKILL/ });
    await begun.promise;
    const { finished } = await copier(t).run(job, undisturbed);
    assert.equal(finished, true);
    await lost;
    await assertSame(from, job.destination.path);
  });
}

test('a lock that a stranger holds is not taken from it by force', async (t) => {
  const { job } = await prepare(t, 'file');
  const { identity } = await inspectDevice(job.destination.path, job.destination.sizeBytes);
  const server = net.createServer().listen({ path: `\0${copierMark}/${identity}` });
  cleanUp(t, () => server.close());
  await once(server, 'listening');
  await assert.rejects(copier(t).run(job, undisturbed), {
    type: 'DeviceInUse',
    message: new RegExp(`process ${process.pid} `),
  });
});

test('a process that holds the lock itself does not kill itself for it', async (t) => {
  const lock = await lockDevice('file:0:0');
  cleanUp(t, () => lock.release());
  await assert.rejects(lockDevice('file:0:0'), { type: 'DeviceInUse' });
});

test('a tool that zeroes the device for a copier that is no more is ended before the next writes', async (t) => {
  // Stands in for the real tool, which is too fast to be caught at work here.
  const tool = path.join(await scratchFolder(t), 'blkdiscard');
  await copyFile('/bin/sleep', tool);
  const lock = await lockDevice('file:0:1');
  const zeroing = spawn(tool, ['3600'], { stdio: ['ignore', 'ignore', 'ignore', lock.fd] });
  const ended = once(zeroing, 'exit');
  cleanUp(t, () => zeroing.kill('SIGKILL'));
  lock.release();
  const next = await lockDevice('file:0:1');
  cleanUp(t, () => next.release());
  assert.equal((await ended)[1], 'SIGKILL');
});

test('a mounted device is not written to', async (t) => {
  const { job } = await prepare(t, 'block');
  const device = job.destination.path;
  const folder = await scratchFolder(t);
  await execa('mkfs.ext4', ['-q', device]);
  await execa('mount', [device, folder]);
  try {
    await assert.rejects(copier(t).run(job, undisturbed), { type: 'DeviceInUse', message: /mounted or claimed/ });
  } finally {
    await execa('umount', [folder]);
  }
});

test('a copier that is disposed of has no process left', async (t) => {
  const made = copier(t);
  assert.equal(copierProcesses(process.pid).length > 0, true);
  await made.dispose();
  assert.deepEqual(copierProcesses(process.pid), []);
});
