import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { FerryError, type Reason } from '../../model/errors.ts';
import { gib } from '../../model/sizes.ts';
import { volumeStatus } from '../../model/volume.ts';
import { claimVolume } from '../../registry/claim.ts';
import { planMigration } from '../../registry/migration-facts.ts';
import { createVolumeType } from '../../registry/volume-types.ts';
import { testRegistry } from './database.ts';
import { claimArguments, put, putAttachment, putSnapshot } from './world.ts';

/** A world in which a volume is asked to move; most parts most often as they should be, so that the guard also says yes. */
const mostly = <T>(good: T, ...bad: T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: fc.constantFrom(...bad) });

const backEnd = fc.record({
  // Well away from the thirty seconds, which pass while the test runs.
  silentSeconds: mostly(0, 20, 40, 3600),
  fault: mostly<string | null>(null, 'volume group is gone'),
  disabled: mostly(false, true),
  freeGib: mostly(10, 0, 3, 4, 5, 6),
  capabilities: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom({ media: 'ssd', tier: '1' }, { media: 'ssd', tier: '1', room: 'a' }) },
    { weight: 2, arbitrary: fc.constantFrom({ media: 'hdd', tier: '1' }, {}) },
  ),
});

/** Types, and what they ask for. */
const types = {
  plain: {},
  fast: { media: 'ssd' },
  best: { media: 'ssd', tier: '1' },
  scoped: { 'capabilities:media': 'ssd', 'other:tier': '9' },
};

const world = fc.record({
  volumeExists: mostly(true, false),
  status: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('available' as const, 'in-use' as const) },
    fc.constantFrom(...volumeStatus.options),
  ),
  held: mostly<'operation' | 'migration' | null>(null, 'operation', 'migration'),
  sizeGib: fc.constantFrom(1, 4, 5),
  type: fc.constantFrom(null, 'plain', 'fast', 'best', 'scoped'),
  newType: fc.constantFrom(null, null, null, 'plain', 'fast', 'best', 'scoped', 'unknown'),
  snapshots: mostly(0, 1, 2),
  attachments: fc.array(fc.constantFrom('rw' as const, 'ro' as const), { maxLength: 3 }),
  source: backEnd,
  destination: fc.option(backEnd, { freq: 10 }),
  sameBackEnd: mostly(false, true),
  /** Running migrations to the destination: of how many GiB, and how long before the last report their device was there. */
  promises: fc.array(fc.record({ sizeGib: fc.constantFrom(1, 2), allocated: mostly<number | null>(null, 0, 60) }), {
    maxLength: 2,
  }),
  creating: fc.boolean(),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

const transitions = new Set([
  'creating',
  'attaching',
  'detaching',
  'extending',
  'snapshotting',
  'deleting',
  'retyping',
  'reverting',
]);

describe('the guard in SQL and the decision in the model', () => {
  let registry: Awaited<ReturnType<typeof testRegistry>>;
  before(async () => {
    registry = await testRegistry();
    for (const [name, extraSpecs] of Object.entries(types))
      await createVolumeType(registry, { name, description: null, extraSpecs });
  });

  async function putBackEndOf(name: string, b: World['source']): Promise<void> {
    await put(registry, 'back_ends', {
      name,
      node: name.split('@')[0],
      availability_zone: 'z',
      driver: 'lvm',
      total_bytes: 100 * gib,
      free_bytes: b.freeGib * gib,
      disabled: b.disabled,
      fault: b.fault,
      capabilities: b.capabilities,
      heartbeat_at: new Date(Date.now() - b.silentSeconds * 1000),
    });
  }

  async function putVolumeOf(w: World, id: string, host: string): Promise<void> {
    const now = new Date();
    const operation = w.held === 'operation' || transitions.has(w.status);
    await put(registry, 'volumes', {
      id,
      tenant_id: 't',
      size_bytes: w.sizeGib * gib,
      volume_type: w.type,
      status: w.status,
      host,
      availability_zone: 'z',
      ...(operation && {
        operation: 'extend',
        operation_owner: 'o',
        operation_since: now,
        previous_status: 'available',
      }),
      ...(w.held === 'migration' &&
        !operation && {
          migration_owner: 'm',
          migration_status: 'migrating',
          migration_since: now,
          migration_epoch: 1,
        }),
    });
  }

  async function putPromises(w: World, destination: string): Promise<void> {
    for (const p of w.promises) {
      const heartbeat = Date.now() - (w.destination?.silentSeconds ?? 0) * 1000;
      await put(registry, 'migrations', {
        id: randomUUID(),
        volume_id: randomUUID(),
        tenant_id: 't',
        requested_by: 'x',
        owner: 'x',
        epoch: 1,
        source: 'a@b',
        destination,
        flow: 'generic-detached',
        phase: 'copying',
        phases: '[]',
        total_bytes: p.sizeGib * gib,
        allocated_at: p.allocated === null ? null : new Date(heartbeat - p.allocated * 1000),
      });
    }
    if (w.creating && w.destination) {
      await put(registry, 'volumes', {
        id: randomUUID(),
        tenant_id: 't',
        size_bytes: gib,
        status: 'creating',
        host: destination,
        availability_zone: 'z',
        operation: 'create',
        operation_owner: 'o',
        operation_since: new Date(),
        previous_status: 'error',
      });
    }
  }

  /** The world's rows, under names of its own; what to ask of it. */
  async function build(w: World): Promise<{ volumeId: string; destination: string; newType: string | null }> {
    const key = randomUUID().slice(0, 8);
    const [source, destination] = [`s-${key}@a`, `d-${key}@b`];
    await putBackEndOf(source, w.source);
    if (w.destination) await putBackEndOf(destination, w.destination);
    await putPromises(w, destination);
    const volumeId = randomUUID();
    if (w.volumeExists) {
      await putVolumeOf(w, volumeId, source);
      for (let i = 0; i < w.snapshots; i += 1) await putSnapshot(registry, volumeId);
      for (const mode of w.attachments) await putAttachment(registry, volumeId, { mode });
    }
    return { volumeId, destination: w.sameBackEnd ? source : destination, newType: w.newType };
  }

  const reasonsOf = (error: unknown): Reason[] => {
    if (!(error instanceof FerryError)) throw error;
    return (error.details['reasons'] as Reason[] | undefined) ?? [{ type: error.type, message: error.message }];
  };

  test('agree about every world', async () => {
    const seen = { granted: 0, refused: 0, retyped: 0, incapable: 0 };
    await fc.assert(
      fc.asyncProperty(world, async (w) => {
        const request = await build(w);
        const { reasons } = await planMigration(registry, request);
        const refused = await claimVolume(registry, claimArguments(request.volumeId, request)).then(
          () => [],
          reasonsOf,
        );
        assert.deepEqual(
          refused.map((r) => r.type),
          reasons.map((r) => r.type),
        );
        seen[reasons.length === 0 ? 'granted' : 'refused'] += 1;
        if (reasons.length === 0 && w.newType !== null) seen.retyped += 1;
        if (reasons.length === 1 && reasons[0]!.type === 'CapabilityMissing') seen.incapable += 1;
      }),
      { numRuns: 600 },
    );
    assert.ok(seen.granted > 20 && seen.refused > 20 && seen.retyped > 3 && seen.incapable > 3, JSON.stringify(seen));
  });
});
