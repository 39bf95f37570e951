import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { backEndName } from '../../model/ids.ts';
import type { UnmanagedDevice } from '../../model/unmanaged-device.ts';
import type { Capabilities } from '../../model/volume-type.ts';
import { findBackEnd } from '../../registry/back-ends.ts';
import { snapshotStatuses } from '../../registry/snapshots.ts';
import { addTypeAccess } from '../../registry/volume-type-access.ts';
import { createVolumeType, listVolumeTypes } from '../../registry/volume-types.ts';
import { volumeStatuses } from '../../registry/volumes.ts';
import type { Context } from '../context.ts';
import { requireAdmin } from '../identity.ts';
import { parseInput } from '../parse-input.ts';
import { run } from '../volume-operations.ts';
import {
  planImport,
  type ImportPlan,
  type FoundOn,
  type Known,
  type PlannedType,
  type PlannedVolume,
} from './plan-import.ts';
import { readCinder } from './read-cinder.ts';

const request = z.object({
  /** As in Cinder's `[database] connection`. */
  databaseUrl: z.string().min(1),
  /** Of each host of Cinder's, `node@backend` or `node@backend#pool`, the back end of Ferry's on the same storage. */
  backEnds: z
    .record(z.string().regex(/^[^@\s]+@[^@\s]+$/, "is not a host of Cinder's (expected node@backend)"), backEndName)
    .refine((given) => Object.keys(given).length > 0, 'names no back end'),
});
type ImportRequest = z.input<typeof request>;

/** For administrators: takes over volumes from a Cinder, where they are. */
export function cinderImportCommands(context: Context) {
  return {
    /** What would become of each volume that a Cinder has on these hosts. Asks its database, the registry, and the nodes. */
    async planCinderImport(input: ImportRequest): Promise<ImportPlan> {
      requireAdmin(context.identity, 'import volumes');
      return plan(context, input);
    },

    /**
     * Makes the volumes that a Cinder has on these hosts Ferry's, in place, with their ids; no byte of them is touched, and nothing is written to Cinder's
     * database. What cannot be taken stays as it is, with the reason. Run again it does the rest. `InvalidInput` while a cinder-volume
     * of theirs lives.
     */
    async importCinder(input: ImportRequest): Promise<ImportPlan> {
      requireAdmin(context.identity, 'import volumes');
      const planned = await plan(context, input);
      const [living] = planned.livingHosts;
      if (living !== undefined)
        throw new FerryError(
          'InvalidInput',
          `cinder-volume of ${planned.livingHosts.join(', ')} lives: it would go on changing and deleting what becomes Ferry's. Stop it, and wait a minute.`,
          { hosts: planned.livingHosts },
        );
      for (const type of planned.types) await makeType(context, type);
      const byBackEnd = Map.groupBy(planned.volumes, ({ backEnd }) => backEnd);
      // The nodes work side by side, each at one volume after the other.
      const done = await Promise.all([...byBackEnd.values()].map((volumes) => takeAll(context, volumes)));
      return { ...planned, volumes: done.flat() };
    },
  };
}

async function plan(context: Context, input: ImportRequest): Promise<ImportPlan> {
  const { registry } = context;
  const { databaseUrl, backEnds } = parseInput(request, input);
  const mapping = new Map(Object.entries(backEnds));
  const capabilities = new Map<string, Capabilities>();
  for (const name of mapping.values()) capabilities.set(name, (await findBackEnd(registry, name)).capabilities);
  const cinder = await readCinder(databaseUrl);
  // The devices first: what becomes Ferry's meanwhile is then in the registry.
  const devices = await discoverAll(context, new Set(mapping.values()));
  const types = await listVolumeTypes(registry);
  return planImport(cinder, mapping, {
    devices,
    capabilities,
    volumes: await volumeStatuses(
      registry,
      cinder.volumes.map(({ id }) => id),
    ),
    snapshots: await snapshotStatuses(
      registry,
      cinder.snapshots.map(({ id }) => id),
    ),
    typeNames: new Set(types.map(({ name }) => name)),
  });
}

async function discoverAll(context: Context, backEnds: ReadonlySet<string>): Promise<Known['devices']> {
  const asked = [...backEnds].map(async (backEnd): Promise<[string, FoundOn]> => {
    try {
      const summary = `what is on ${backEnd} and none of Ferry's`;
      const found = await run<UnmanagedDevice[]>(context, {
        workflow: 'discoverDevices',
        name: 'discover',
        subject: backEnd,
        summary,
        input: { backEnd },
        isAwaited: true,
      });
      return [backEnd, new Map((found ?? []).map((each) => [each.name, each]))];
    } catch (error) {
      return [backEnd, { unseen: reasonIfRefused(error) }];
    }
  });
  return new Map(await Promise.all(asked));
}

/** A type of theirs that is not there yet. Made meanwhile by another import: that is the one. */
async function makeType(
  { registry }: Context,
  { name, description, extraSpecs, isPublic, tenants }: PlannedType,
): Promise<void> {
  try {
    const made = await createVolumeType(registry, { name, description, extraSpecs, isPublic });
    if (!isPublic) for (const tenant of tenants) await addTypeAccess(registry, made, tenant);
  } catch (error) {
    if (!(error instanceof FerryError && error.type === 'VolumeTypeExists')) throw error;
  }
}

async function takeAll(context: Context, volumes: readonly PlannedVolume[]): Promise<PlannedVolume[]> {
  const done: PlannedVolume[] = [];
  for (const volume of volumes) done.push(await takeVolume(context, volume));
  return done;
}

/** The volume, then its snapshots. One that fails keeps no other back. */
async function takeVolume(context: Context, volume: PlannedVolume): Promise<PlannedVolume> {
  const taken = volume.state === 'to import' ? { ...volume, ...(await manageVolume(context, volume)) } : volume;
  if (taken.state !== 'imported') {
    const kept = taken.state === 'failed' ? { state: 'refused' as const, reason: 'its volume failed' } : {};
    return {
      ...taken,
      snapshots: taken.snapshots.map((each) => (each.state === 'to import' ? { ...each, ...kept } : each)),
    };
  }
  const snapshots = [];
  for (const each of taken.snapshots)
    snapshots.push(
      each.state === 'to import' ? { ...each, ...(await manageSnapshot(context, volume.id, each)) } : each,
    );
  return { ...taken, snapshots };
}

type Outcome = { state: 'imported' | 'failed'; reason: string | null };

async function manageVolume(context: Context, volume: PlannedVolume): Promise<Outcome> {
  const { id, deviceName, backEnd, tenantId, userId, name, description, bootable, nameId } = volume;
  return outcomeOf(
    run(context, {
      workflow: 'manageVolume',
      name: 'manage',
      subject: id,
      summary: `take volume ${id} over from Cinder, on ${backEnd}`,
      input: {
        ...{ volumeId: id, deviceName, backEnd, tenantId, userId, name, description, bootable, nameId },
        volumeType: volume.volumeType,
        metadata: volume.metadata,
        readOnly: volume.readOnly || null,
        snapshots: volume.snapshots.filter(({ state }) => state === 'to import').map((each) => each.deviceName),
        beyondQuota: true,
      },
      isAwaited: true,
    }),
  );
}

async function manageSnapshot(
  context: Context,
  volumeId: string,
  { id, deviceName, name, description, metadata, userId }: PlannedVolume['snapshots'][number],
): Promise<Outcome> {
  return outcomeOf(
    run(context, {
      workflow: 'manageSnapshot',
      name: 'manage-snapshot',
      subject: volumeId,
      summary: `take snapshot ${id} of volume ${volumeId} over from Cinder`,
      input: { volumeId, snapshotId: id, deviceName, name, description, metadata, userId, beyondQuota: true },
      isAwaited: true,
    }),
  );
}

async function outcomeOf(operation: Promise<unknown>): Promise<Outcome> {
  try {
    await operation;
    return { state: 'imported', reason: null };
  } catch (error) {
    return { state: 'failed', reason: reasonIfRefused(error) };
  }
}

/** What Ferry refuses is of this one; without Temporal or Postgres there is no going on. */
function reasonIfRefused(error: unknown): string {
  if (error instanceof FerryError && error.type !== 'ServiceUnreachable') return error.message;
  throw error;
}
