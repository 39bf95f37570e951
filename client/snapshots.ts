import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { volumeId } from '../model/ids.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { label } from '../model/text.ts';
import { findSnapshot, listSnapshots } from '../registry/snapshots.ts';
import type { Context } from './context.ts';
import { visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { asTenant, run } from './volume-operations.ts';

/** What a new snapshot shall be. */
export const newSnapshot = z.object({
  volumeId,
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  /** Of an attached volume as well: what its guest has not flushed is not in it. */
  force: z.boolean().default(false),
});

/** A volume's bytes at one moment. A volume with snapshots does not migrate. Refused as any operation on a volume. */
export function snapshotCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** Those that the caller may see, newest first; of one volume, if it is given. */
    listSnapshots: (filter: { volumeId?: string | undefined } = {}): Promise<Snapshot[]> =>
      listSnapshots(registry, { ...filter, ...visible }),

    /** `SnapshotNotFound` if there is none, or it is another tenant's. */
    findSnapshot: (id: string): Promise<Snapshot> => findSnapshot(registry, id, visible),

    /** Keeps the volume's bytes as they are now. */
    async createSnapshot(input: z.input<typeof newSnapshot>): Promise<Snapshot> {
      const wanted = { ...parseInput(newSnapshot, input), snapshotId: randomUUID(), asTenant: asTenant(context) };
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

    /** Deletes a snapshot. `SnapshotNotFound` if there is none, or it is another tenant's. */
    async deleteSnapshot(id: string): Promise<void> {
      const snapshot = await findSnapshot(registry, id, visible);
      const input = { volumeId: snapshot.volumeId, snapshotId: snapshot.id, asTenant: asTenant(context) };
      const summary = `delete snapshot ${snapshot.id} of volume ${snapshot.volumeId}`;
      await run(context, {
        workflow: 'deleteSnapshot',
        name: 'delete-snapshot',
        subject: snapshot.volumeId,
        summary,
        input,
      });
    },
  };
}
