import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { beatingAtWork, workingOn } from '../../../activities/storage/activity-work.ts';
import { copySlots } from '../../../activities/storage/copy-slots.ts';
import {
  createStorageActivities,
  type StorageDependencies,
} from '../../../activities/storage/create-storage-activities.ts';
import { zeroFrom } from '../../../activities/storage/lvm/zero-range.ts';
import { runCommand } from '../../../activities/storage/run-command.ts';
import { nextChunk, zeroInChunks } from '../../../activities/storage/zero-in-chunks.ts';
import { migrationTag } from '../../../model/device.ts';
import { copyStart, type Checkpoint, type CopyProgress } from '../../../model/migration.ts';
import { ferryError } from '../../registry/world.ts';
import { copier } from './copier/jobs.ts';
import { qemuNbd } from './copier/source-server.ts';
import { assertSame, loopDevice, mib, replaceProgram, scratchFolder, writeVolume } from './copier/volumes.ts';

// What fails here on purpose is nobody's trouble.
Runtime.install({ logger: new DefaultLogger('ERROR') });

const sizeBytes = 512 * mib;
const id = '11111111-1111-4111-8111-111111111111';
const noProgressMs = 4_000;

/** A tool as slow as a disk that zeroes 96 MiB a second: five seconds in all, more than no progress may last. It writes down what it was asked for. */
const slow = (real: string, log: string) =>
  `echo "$@" >> ${log}\nfor word; do [ "$last" = --length ] && length=$word; last=$word; done\n` +
  `sleep $(awk "BEGIN { print $length / 100663296 }")\nexec ${real} "$@"`;

/** A pull onto a device that shows old bytes, and has to be zeroed by a tool that is replaced. */
async function zeroingOf(t: TestContext, kind: 'block' | 'file', tool?: (real: string, log: string) => string) {
  const folder = await scratchFolder(t);
  const [from, file, log] = ['from', 'to', 'log'].map((name) => path.join(folder, name));
  await writeVolume(from!, [
    ['data', 2 * mib],
    ['hole', sizeBytes - 2 * mib],
  ]);
  await writeVolume(file!, [
    ['hole', sizeBytes / 2],
    ['data', 4 * mib],
    ['hole', sizeBytes / 2 - 4 * mib],
  ]);
  const to = kind === 'block' ? await loopDevice(t, file!) : file!;
  const name = kind === 'block' ? 'blkdiscard' : 'fallocate';
  const real = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
  await replaceProgram(t, folder, name, (tool ?? slow)(real, log!));
  const { address } = await qemuNbd(t, from!);
  const driver = {
    find: async (device: string) => ({ name: device, path: to, sizeBytes, tags: [migrationTag(id)] }),
    exhaustion: async () => null,
  };
  const reported: unknown[] = [];
  const deps: Partial<StorageDependencies> = {
    drivers: new Map([['n@b', driver as never]]),
    copier: copier(t),
    tls: null,
    slots: copySlots(1),
    noProgressMs,
    reportProgress: async (progress) => void reported.push(progress),
  };
  const { pullVolume } = createStorageActivities(deps as StorageDependencies);
  const beats: CopyProgress[] = [];
  const begin = (start: Checkpoint, lost?: CopyProgress) => {
    const environment = new MockActivityEnvironment(lost ? { heartbeatDetails: lost } : {});
    environment.on('heartbeat', (beat: CopyProgress) => void beats.push(beat));
    const input = {
      ...{ backEnd: 'n@b', deviceName: 'd', volumeId: id, migrationId: id, sizeBytes },
      ...{ source: address, readsZero: false, from: start, bandwidth: null, digest: true },
    };
    const end = environment.run<[typeof input], Awaited<ReturnType<typeof pullVolume>>, typeof pullVolume>(
      pullVolume,
      input,
    );
    end.catch(() => undefined);
    return { environment, end };
  };
  const ranges = () =>
    readFileSync(log!, 'utf8')
      .trim()
      .split('\n')
      .map((line) => ({
        offset: Number(/--offset (\d+)/.exec(line)![1]),
        length: Number(/--length (\d+)/.exec(line)![1]),
      }));
  return { from: from!, to, begin, ranges, beats, reported };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(20);
}

for (const kind of ['block', 'file'] as const) {
  describe(`a destination (${kind}) that is slow to zero`, () => {
    test('is zeroed and copied to, however long that takes, and tells how far it is', async (t) => {
      const { from, to, begin, beats, reported } = await zeroingOf(t, kind);
      const { checkpoint, finished } = await begin(copyStart).end;
      assert.deepEqual([finished, checkpoint.zeroed, checkpoint.zeroedBytes], [true, true, undefined]);
      await assertSame(from, to);
      const told = beats.map((beat) => beat.checkpoint.zeroedBytes ?? null).filter((bytes) => bytes !== null);
      assert.ok(told.length > 0 && told.every((bytes, i) => i === 0 || bytes >= told[i - 1]!), String(told));
      assert.ok(beats.every(({ checkpoint: at, position }) => at.zeroedBytes === undefined || position === 0));
      assert.ok(reported.some((each) => (each as { zeroedBytes?: number }).zeroedBytes !== undefined));
    });

    test('is not zeroed again where it was, by a try after a pause, nor by one after a lost worker', async (t) => {
      const { from, to, begin, ranges, beats } = await zeroingOf(t, kind);
      const zeroed = () => beats.at(-1)?.checkpoint.zeroedBytes ?? 0;
      const first = begin(copyStart);
      await until(() => zeroed() > 0);
      first.environment.cancel();
      const paused = await first.end;
      assert.equal(paused.finished, false);
      assert.ok(paused.checkpoint.zeroedBytes! >= zeroed());
      const second = begin(paused.checkpoint);
      await until(() => zeroed() > paused.checkpoint.zeroedBytes!);
      const lost = beats.at(-1)!;
      second.environment.cancel();
      await second.end;
      const calls = ranges().length;
      const { finished, checkpoint } = await begin(paused.checkpoint, lost).end;
      assert.deepEqual([finished, checkpoint.zeroed], [true, true]);
      assert.equal(ranges()[calls]!.offset, lost.checkpoint.zeroedBytes);
      await assertSame(from, to);
    });
  });
}

test('a destination that hangs while it is zeroed makes no progress', async (t) => {
  const { begin } = await zeroingOf(t, 'block', () => 'exec sleep 60');
  await assert.rejects(begin(copyStart).end, ferryError('NoProgress'));
});

test('a destination that cannot be zeroed from some byte on gets its zeros written', async (t) => {
  const { from, to, begin } = await zeroingOf(
    t,
    'block',
    (real) => `case "$*" in *"--offset 0 "*) exec ${real} "$@" ;; esac\nexit 1`,
  );
  const { finished, checkpoint } = await begin(copyStart).end;
  assert.deepEqual([finished, checkpoint.zeroed, checkpoint.zeroedBytes], [true, false, undefined]);
  await assertSame(from, to);
});

test('unmapping that is slow tells each piece that it has given back', async (t) => {
  const folder = await scratchFolder(t);
  const file = path.join(folder, 'volume');
  // Eight runs of zeros within what is read at once.
  const pieces = Array.from({ length: 16 }, (_, i) => [i % 2 === 0 ? 'zeros' : 'data', mib] as const);
  const volumeBytes = await writeVolume(file, pieces);
  const real = execFileSync('sh', ['-c', 'command -v fallocate'], { encoding: 'utf8' }).trim();
  await replaceProgram(t, folder, 'fallocate', `sleep 1\nexec ${real} "$@"`);
  const tags = [migrationTag(id)];
  const driver = { find: async (name: string) => ({ name, path: file, sizeBytes: volumeBytes, tags }) };
  const deps: Partial<StorageDependencies> = {
    drivers: new Map([['n@b', driver as never]]),
    ...{ copier: copier(t), slots: copySlots(1), noProgressMs, marksDirectory: folder },
  };
  const { unmapZeros } = createStorageActivities(deps as StorageDependencies);
  const where = { backEnd: 'n@b', deviceName: 'd', migrationId: id, sizeBytes: volumeBytes, round: 1 };
  const input = { ...where, from: copyStart };
  const end = new MockActivityEnvironment().run<
    [typeof input],
    Awaited<ReturnType<typeof unmapZeros>>,
    typeof unmapZeros
  >(unmapZeros, input);
  assert.equal((await end).finished, true);
  assert.ok((await stat(file)).blocks * 512 <= 9 * mib);
});

describe('zeroing in parts', () => {
  test('takes larger ones of a fast device and smaller ones of a slow one, within bounds', () => {
    assert.equal(nextChunk(16 * mib, 10), 64 * mib);
    assert.equal(nextChunk(64 * mib, 1000), 128 * mib);
    assert.equal(nextChunk(64 * mib, 3000), 64 * mib);
    assert.equal(nextChunk(64 * mib, 30_000), 32 * mib);
    assert.equal(nextChunk(1024 * mib, 10), 1024 * mib);
    assert.equal(nextChunk(4 * mib, 30_000), 4 * mib);
  });

  test('leaves no byte out, does none twice, and keeps to the unit', async () => {
    const unit = 3 * 64 * 1024;
    const [from, to] = [5 * unit, 5 * unit + 3000 * mib + 512];
    let at = from;
    const told: number[] = [];
    const zero = async ({ offset, length }: { offset: number; length: number }) => {
      assert.equal(offset, at);
      at += length;
      if (at < to) assert.equal(length % unit, 0);
      return true;
    };
    assert.equal(await zeroInChunks({ from, to, unit }, zero, (upTo) => told.push(upTo)), true);
    assert.deepEqual([at, told.at(-1)], [to, to]);
  });
});

describe('a step that works on a device for long', () => {
  const inActivity = <O>(work: () => Promise<O>) => {
    const environment = new MockActivityEnvironment();
    const beats: unknown[] = [];
    environment.on('heartbeat', (beat: unknown) => void beats.push(beat));
    const end = environment.run<[null], O, (input: null) => Promise<O>>(beatingAtWork(2_500, work), null);
    return { beats, end };
  };

  test('tells its bytes with its beats, and may take as long as it moves', async (t) => {
    const folder = await scratchFolder(t);
    await replaceProgram(t, folder, 'blkdiscard', 'sleep 1.5');
    const group = { run: runCommand, volume: async () => null } as never;
    const span = { offset: 0, end: 64 * mib };
    const file = path.join(folder, 'device');
    await (await open(file, 'w')).close();
    const { beats, end } = inActivity(() => zeroFrom(group, { name: 'volume-1', path: file }, span));
    await end;
    const done = beats.flatMap((beat) => (beat as { bytesDone?: number } | undefined)?.bytesDone ?? []);
    assert.ok(done.includes(16 * mib), String(done));
    assert.ok(beats.some((beat) => (beat as { totalBytes?: number } | undefined)?.totalBytes === 64 * mib));
  });

  test('fails when its device hangs, and its tool is ended', async (t) => {
    const folder = await scratchFolder(t);
    await replaceProgram(t, folder, 'blkdiscard', `echo $$ > ${folder}/pid\nexec sleep 60`);
    const group = { run: runCommand, volume: async () => null } as never;
    const { end } = inActivity(() =>
      zeroFrom(group, { name: 'volume-1', path: '/dev/none' }, { offset: 0, end: 64 * mib }),
    );
    await assert.rejects(end, ferryError('NoProgress'));
    const pid = readFileSync(path.join(folder, 'pid'), 'utf8').trim();
    assert.throws(() => process.kill(Number(pid), 0), /ESRCH/);
  });

  test('is not taken for hanging while it works on no bytes: it may wait for a lock', async () => {
    const { end } = inActivity(async () => {
      await workingOn(1, async (tell) => tell(1));
      await sleep(4_000);
      return 'done';
    });
    assert.equal(await end, 'done');
  });
});
