import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { gib } from '../../model/sizes.ts';
import { claimVolume } from '../../registry/claim.ts';
import { beginCreate, finishCreate } from '../../registry/creation.ts';
import { countVolumes } from '../../registry/back-ends.ts';
import { chooseDestination } from '../../registry/placement.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import { anOwner, claimArguments, ferryError, putBackEnd, putVolume } from './world.ts';

let registry: Awaited<ReturnType<typeof testRegistry>>;
before(async () => {
  registry = await testRegistry({ maxConnections: 20 });
});

const clear = () => registry.rows(noColumns, 'TRUNCATE back_ends CASCADE');
const create = (sizeBytes: number, rest: { availabilityZone?: string } = {}) => {
  const ticket = { volumeId: randomUUID(), owner: anOwner('create') };
  return beginCreate(registry, { ...ticket, tenantId: 't', sizeBytes, backEnd: null, ...rest });
};

test('within one report, the creations that fill one back end go on to the next', async () => {
  await clear();
  await putBackEnd(registry, 'server1@a', { freeBytes: 11 * gib });
  await putBackEnd(registry, 'server2@b', { freeBytes: 10 * gib });
  const hosts = [];
  for (let n = 0; n < 4; n += 1) hosts.push((await create(5 * gib)).host);
  assert.deepEqual(hosts, ['server1@a', 'server2@b', 'server1@a', 'server2@b']);
  assert.deepEqual(Object.fromEntries(await countVolumes(registry)), { 'server1@a': 2, 'server2@b': 2 });
  await assert.rejects(create(5 * gib), ferryError('InsufficientSpace'));
});

test('any creations at once on any back ends: none is refused while one has room, none gets more than it has', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 4 }),
      sizes,
      async (rooms, wanted) => {
        await clear();
        for (const [n, free] of rooms.entries()) await putBackEnd(registry, `server${n}@vg`, { freeBytes: free * gib });
        const results = await Promise.allSettled(wanted.map((size) => create(size * gib)));
        const left = new Map(rooms.map((free, n) => [`server${n}@vg`, free]));
        for (const [n, result] of results.entries())
          if (result.status === 'fulfilled') left.set(result.value.host, left.get(result.value.host)! - wanted[n]!);
        for (const free of left.values()) assert.ok(free >= 0, 'more was promised than there is');
        for (const [n, result] of results.entries()) {
          if (result.status === 'fulfilled') continue;
          ferryError('InsufficientSpace')(result.reason);
          // Room only ever shrinks here: what has room at the end had it when this one was refused.
          assert.ok(
            [...left.values()].every((free) => free < wanted[n]!),
            `${wanted[n]} GiB fitted, and were refused`,
          );
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('of one size, all are placed that fit on any number of back ends', async () => {
  await clear();
  for (const n of [1, 2, 3]) await putBackEnd(registry, `server${n}@vg`, { freeBytes: n * 4 * gib });
  const results = await Promise.allSettled(Array.from({ length: 30 }, () => create(2 * gib)));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 12);
});

test('a repeat gets the row that it made, wherever there is room by now', async () => {
  await clear();
  await putBackEnd(registry, 'server1@a', { freeBytes: 5 * gib });
  const ticket = { volumeId: randomUUID(), owner: anOwner('create') };
  const wanted = { ...ticket, tenantId: 't', sizeBytes: 5 * gib, backEnd: null };
  const made = await beginCreate(registry, wanted);
  await putBackEnd(registry, 'server2@b', { freeBytes: 50 * gib });
  assert.deepEqual(await beginCreate(registry, wanted), made);
  await finishCreate(registry, ticket);
});

test('a zone narrows it, and an unknown zone is told', async () => {
  await clear();
  await putBackEnd(registry, 'server1@a', { freeBytes: 50 * gib });
  await putBackEnd(registry, 'server2@b', { freeBytes: 5 * gib, availabilityZone: 'zone2' });
  assert.equal((await create(gib, { availabilityZone: 'zone2' })).host, 'server2@b');
  await assert.rejects(create(gib, { availabilityZone: 'zone3' }), ferryError('BackEndNotFound'));
});

test('a volume that leaves without a destination goes where there is room after what is promised', async () => {
  await clear();
  await putBackEnd(registry, 'server1@a', { freeBytes: gib });
  await putBackEnd(registry, 'server2@b', { freeBytes: 11 * gib });
  await putBackEnd(registry, 'server3@c', { freeBytes: 10 * gib });
  const volumes = [];
  for (let n = 0; n < 4; n += 1) volumes.push(await putVolume(registry, { size_bytes: 5 * gib, host: 'server1@a' }));
  const went = [];
  for (const volumeId of volumes) {
    const chosen = await chooseDestination(registry, { volumeId });
    assert.ok('destination' in chosen);
    await claimVolume(registry, claimArguments(volumeId, { destination: chosen.destination }));
    went.push(chosen.destination);
  }
  assert.deepEqual(went.toSorted(), ['server2@b', 'server2@b', 'server3@c', 'server3@c']);
  const homeless = await putVolume(registry, { size_bytes: 5 * gib, host: 'server1@a' });
  const refused = await chooseDestination(registry, { volumeId: homeless });
  assert.ok('reasons' in refused);
  assert.deepEqual(
    refused.reasons.map(({ type }) => type),
    ['InsufficientSpace'],
  );
});
