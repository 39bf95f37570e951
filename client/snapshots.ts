import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { volumeId } from '../model/ids.ts';
import { snapshotDeviceName } from '../model/names.ts';
import { shownSnapshotStatus, type ShownSnapshotStatus, type Snapshot } from '../model/snapshot.ts';
import { label, metadata, metadataKey } from '../model/text.ts';
import { changeSnapshotMetadata, describeSnapshot, resetSnapshot } from '../registry/snapshot-words.ts';
import {
  countSnapshots,
  findSnapshot,
  listSnapshots,
  type SnapshotFilter,
  type SnapshotSortKey,
} from '../registry/snapshots.ts';
import type { Page } from '../registry/pages.ts';
import { adoption } from './adoption.ts';
import type { Context } from './context.ts';
import { requireAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { asTenant, run } from './volume-operations.ts';

/** What a new snapshot shall be. */
export const newSnapshot = z.object({
  volumeId,
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  /** Of an attached volume as well: what its guest has not flushed is not in it. */
  force: z.boolean().default(false),
  metadata: metadata.default({}),
});

/** What a device that is there already shall be. */
const adopted = newSnapshot.omit({ force: true }).extend({ deviceName: adoption.shape.deviceName });

const description = z.object({ name: label.nullable().optional(), description: label.nullable().optional() });
const metadataChange = z.object({ set: metadata.default({}), unset: z.array(metadataKey).default([]) });
const reset = z.object({ status: shownSnapshotStatus });

/** What a snapshot that shows a status may be told to become by whoever makes or deletes it, as in Cinder. */
const told: Readonly<Partial<Record<ShownSnapshotStatus, readonly ShownSnapshotStatus[]>>> = {
  creating: ['creating', 'available', 'error'],
  deleting: ['deleting', 'error_deleting'],
};

/** A volume's bytes at one moment. A volume with snapshots does not migrate. Refused as any operation on a volume. */
export function snapshotCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** Those that fit and that the caller may see, the newest first unless sorted otherwise. */
    listSnapshots: (filter: SnapshotFilter & Page<SnapshotSortKey> = {}): Promise<Snapshot[]> =>
      listSnapshots(registry, { ...filter, ...visible }),

    /** How many snapshots fit that the caller may see. */
    countSnapshots: (filter: SnapshotFilter = {}): Promise<number> =>
      countSnapshots(registry, { ...filter, ...visible }),

    /** `SnapshotNotFound` if there is none, or it is another tenant's. */
    findSnapshot: (id: string): Promise<Snapshot> => findSnapshot(registry, id, visible),

    /** Keeps the volume's bytes as they are now. */
    async createSnapshot(input: z.input<typeof newSnapshot>): Promise<Snapshot> {
      const wanted = {
        ...parseInput(newSnapshot, input),
        snapshotId: randomUUID(),
        userId: identity.userId ?? null,
        asTenant: asTenant(context),
      };
      const summary = `snapshot volume ${wanted.volumeId}`;
      await run(context, {
        workflow: 'createSnapshot',
        name: 'snapshot',
        subject: wanted.volumeId,
        summary,
        input: wanted,
      });
      return findSnapshot(registry, wanted.snapshotId, visible);
    },

    /** Deletes a snapshot; with `force`, for administrators, whatever it is shown as. `SnapshotNotFound` if there is none, or it is another tenant's. */
    async deleteSnapshot(id: string, { force = false }: { force?: boolean } = {}): Promise<void> {
      if (force) requireAdmin(identity, 'force a delete');
      const snapshot = await findSnapshot(registry, id, visible);
      const input = { volumeId: snapshot.volumeId, snapshotId: snapshot.id, force, asTenant: asTenant(context) };
      const summary = `delete snapshot ${snapshot.id} of volume ${snapshot.volumeId}`;
      await run(context, {
        workflow: 'deleteSnapshot',
        name: 'delete-snapshot',
        subject: snapshot.volumeId,
        summary,
        input,
      });
    },

    /**
     * Puts what the volume's last snapshot holds back into it. `InvalidInput` for an earlier one, `SizeMismatch` when the volume has been extended
     * since, `VolumeStatusRefused` when it is attached.
     */
    async revertToSnapshot(id: string): Promise<Snapshot> {
      const { id: snapshotId, volumeId: of } = await findSnapshot(registry, id, visible);
      const input = { volumeId: of, snapshotId, asTenant: asTenant(context) };
      const summary = `take volume ${of} back to snapshot ${snapshotId}`;
      await run(context, { workflow: 'revertVolume', name: 'revert', subject: of, summary, input });
      return findSnapshot(registry, snapshotId, visible);
    },

    /** Makes a device of the volume's back end, as large as it, one of its snapshots; its name becomes the snapshot's. For administrators. */
    async manageSnapshot(input: z.input<typeof adopted>): Promise<Snapshot> {
      requireAdmin(identity, 'manage devices');
      const wanted = parseInput(adopted, input);
      const snapshotId = randomUUID();
      await run(context, {
        workflow: 'manageSnapshot',
        name: 'manage-snapshot',
        subject: wanted.volumeId,
        summary: `make ${wanted.deviceName} snapshot ${snapshotId} of volume ${wanted.volumeId}`,
        input: { ...wanted, snapshotId, userId: identity.userId ?? null },
      });
      return findSnapshot(registry, snapshotId);
    },

    /** Forgets a snapshot and leaves its device, under its name, which is answered, with its bytes. For administrators. */
    async unmanageSnapshot(id: string): Promise<string> {
      requireAdmin(identity, 'unmanage snapshots');
      const { id: snapshotId, volumeId: of } = await findSnapshot(registry, id);
      await run(context, {
        workflow: 'unmanageSnapshot',
        name: 'unmanage-snapshot',
        subject: of,
        summary: `forget snapshot ${snapshotId} of volume ${of}, leave its device`,
        input: { volumeId: of, snapshotId },
      });
      return snapshotDeviceName(snapshotId);
    },

    /** Changes what people call the snapshot; what is left out stays. */
    async describeSnapshot(id: string, change: z.input<typeof description>): Promise<Snapshot> {
      const { name, description: words } = parseInput(description, change);
      const given = { ...(name === undefined ? {} : { name }), ...(words === undefined ? {} : { description: words }) };
      return describeSnapshot(registry, (await findSnapshot(registry, id, visible)).id, given, visible);
    },

    /** Sets and removes keys of the snapshot's metadata; the others stay. */
    async changeSnapshotMetadata(id: string, change: z.input<typeof metadataChange>): Promise<Snapshot> {
      const { id: snapshotId } = await findSnapshot(registry, id, visible);
      return changeSnapshotMetadata(registry, snapshotId, parseInput(metadataChange, change), visible);
    },

    /** The snapshot has just this metadata. */
    async replaceSnapshotMetadata(id: string, all: Record<string, string>): Promise<Snapshot> {
      const { id: snapshotId } = await findSnapshot(registry, id, visible);
      return describeSnapshot(registry, snapshotId, { metadata: parseInput(metadata, all) }, visible);
    },

    /** Sets its status by hand; see resetSnapshot in the registry. For administrators. */
    async resetSnapshot(id: string, to: z.input<typeof reset>): Promise<Snapshot> {
      requireAdmin(identity, 'reset the state of snapshots');
      const { status } = parseInput(reset, to);
      return resetSnapshot(registry, { snapshotId: id, status });
    },

    /**
     * Says what has become of a snapshot that shows that it is being made or deleted, and how far it is. `VolumeStatusRefused` from any
     * other status, and for one that does not follow from it.
     */
    async tellSnapshotStatus(
      id: string,
      { status: wanted, progress }: { status: string; progress?: string | undefined },
    ): Promise<Snapshot> {
      const { status } = parseInput(reset, { status: wanted });
      const from = shownSnapshotStatus.options.filter((each) => told[each]?.includes(status));
      return resetSnapshot(registry, { snapshotId: id, status, progress, from, ...visible });
    },
  };
}
