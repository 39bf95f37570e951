import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pino } from 'pino';
import * as z from 'zod';
import type { VolumeDriver } from '../../activities/storage/driver.ts';
import { configuration } from '../../configuration/schema.ts';
import { backEndState } from '../../model/back-end.ts';
import { gib } from '../../model/sizes.ts';
import { listBackEnds } from '../../registry/back-ends.ts';
import { startReporting } from '../../workers/report-back-ends.ts';
import { testRegistry } from '../registry/database.ts';

const log = pino({ level: 'silent' });
const node = configuration.parse({
  node: {
    name: 'server1',
    backEnds: ['a', 'b'].map((name) => ({ name, driver: 'directory', path: `/nowhere/${name}` })),
  },
}).node!;

/** Whose storage it is, is no matter here. */
const ownStorages = new Map<string, never>();

/** Only what a report asks of it. */
const driver = (capacity: VolumeDriver['capacity']) => ({ kind: 'directory', thin: true, capacity }) as VolumeDriver;
const well = driver(async () => ({ totalBytes: 2 * gib, freeBytes: gib }));

test('a back end that hangs is told to be down, is asked once, and keeps the others of its node from nothing', async () => {
  const registry = await testRegistry();
  let asked = 0;
  const hangs = driver(() => {
    asked += 1;
    return new Promise(() => {});
  });
  const drivers = new Map([
    ['server1@a', hangs],
    ['server1@b', well],
  ]);
  const reporting = await startReporting({
    node,
    drivers,
    ownStorages,
    registry,
    log,
    whyUnreachable: () => null,
    answerMs: 50,
  });
  try {
    const seen = async () => (await listBackEnds(registry)).map((b) => [backEndState(b, b.asOf), b.fault]);
    const once = await seen();
    assert.deepEqual(once, [
      ['down', 'it does not answer for more than 0.05 s'],
      ['up', null],
    ]);
    const [{ heartbeatAt: first } = assert.fail()] = await listBackEnds(registry);
    reporting.now();
    while ((await listBackEnds(registry))[0]!.heartbeatAt <= first);
    assert.deepEqual(await seen(), once);
    assert.equal(asked, 1);
  } finally {
    reporting.stop();
  }
});

test('a back end that answered lately counts as it was while it is slow to answer, and is down when that lasts', async () => {
  const registry = await testRegistry();
  let isSlow = false;
  const slow = driver(async () => (isSlow ? new Promise(() => {}) : { totalBytes: 2 * gib, freeBytes: gib }));
  const reporting = await startReporting({
    node,
    drivers: new Map([['server1@b', slow]]),
    ownStorages,
    registry,
    log,
    whyUnreachable: () => null,
    answerMs: 50,
    downMs: 3_000,
  });
  try {
    const seen = async () => {
      const [b = assert.fail()] = await listBackEnds(registry);
      const [{ age } = assert.fail()] = await registry.rows(
        z.object({ age: z.number() }),
        'SELECT extract(epoch FROM heartbeat_at - measured_at)::float8 AS age FROM back_ends',
      );
      return { heartbeatAt: b.heartbeatAt, age, told: [backEndState(b, b.asOf), b.freeBytes, b.fault] };
    };
    const first = await seen();
    isSlow = true;
    reporting.now();
    let next = first;
    while (next.heartbeatAt <= first.heartbeatAt) next = await seen();
    assert.deepEqual(next.told, ['up', gib, null]);
    assert.ok(next.age > first.age, 'it is told how old that is');
    while (next.told[0] === 'up') {
      reporting.now();
      next = await seen();
    }
    assert.deepEqual(next.told, ['down', 0, 'it does not answer for more than 3 s']);
  } finally {
    reporting.stop();
  }
});

test('a back end whose answer waited while the worker itself was suspended is up', async () => {
  const registry = await testRegistry();
  const suspended = driver(async () => {
    const answer = readFile('/proc/self/stat');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    await answer;
    return { totalBytes: 2 * gib, freeBytes: gib };
  });
  const drivers = new Map([['server1@b', suspended]]);
  const whyUnreachable = () => null;
  const reporting = await startReporting({
    node,
    drivers,
    ownStorages,
    registry,
    log,
    whyUnreachable,
    answerMs: 1_000,
  });
  try {
    assert.deepEqual(
      (await listBackEnds(registry)).map((b) => backEndState(b, b.asOf)),
      ['up'],
    );
  } finally {
    reporting.stop();
  }
});

test('a back end whose worker gets no work is down, with the reason, and up when it gets some again', async () => {
  const registry = await testRegistry();
  let why: string | null = 'it is not let in';
  const drivers = new Map([['server1@b', well]]);
  const reporting = await startReporting({ node, drivers, ownStorages, registry, log, whyUnreachable: () => why });
  try {
    const [down] = await listBackEnds(registry);
    assert.deepEqual([backEndState(down!, down!.asOf), down!.freeBytes], ['down', gib]);
    assert.equal(down!.fault, 'no work reaches its worker: it is not let in');
    why = null;
    reporting.now();
    while ((await listBackEnds(registry))[0]!.fault !== null);
  } finally {
    reporting.stop();
  }
});
