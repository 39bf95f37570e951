import * as z from 'zod';
import { backEndName, tenantId, volumeId } from './ids.ts';
import { sizeBytes } from './sizes.ts';

/** Cinder's volume statuses, as far as Ferry uses them. */
export const volumeStatus = z.enum([
  'creating',
  'available',
  'reserved',
  'attaching',
  'in-use',
  'detaching',
  'extending',
  'snapshotting',
  'deleting',
  'retyping',
  'reverting',
  'awaiting-transfer',
  'error',
  'error_deleting',
  'error_extending',
  'maintenance',
]);
export type VolumeStatus = z.infer<typeof volumeStatus>;

/** What a volume may be shown as: Ferry's statuses, and those of Cinder's that stand for what Ferry does not do. */
export const shownStatus = z.enum([
  ...volumeStatus.options,
  'managing',
  'error_managing',
  'restoring-backup',
  'error_restoring',
  'backing-up',
  'error_backing-up',
  'downloading',
  'uploading',
]);
export type ShownStatus = z.infer<typeof shownStatus>;

/** None → starting → migrating → completing → None, and None after an error too (as in Havana). */
export const migrationStatus = z.enum(['starting', 'migrating', 'completing']).nullable();
export type MigrationStatus = z.infer<typeof migrationStatus>;

/** A volume's row in the registry. */
export const volume = z.object({
  id: volumeId,
  tenantId,
  /** Who made it; null when nobody knows. */
  userId: z.string().nullable(),
  name: z.string().nullable(),
  description: z.string().nullable(),
  sizeBytes,
  status: volumeStatus,
  /** What it was made to show, though nothing is under way: until the next operation begins, it stands for its status. See `statusOf`. */
  shownStatus: shownStatus.nullable(),
  /** The back end that holds it: `node@name`. */
  host: backEndName,
  /** The id its name on the back end is based on, when that is not its own id (`os-vol-mig-status-attr:name_id`). */
  nameId: z.uuid().nullable(),
  /** The epoch of the migration that brought it where it is; 0: it never moved. Its device says the same. */
  generation: z.number().int().nonnegative(),
  /** Of the device that holds it; null for one from before identities were known, or that has none yet. */
  deviceIdentity: z.string().nullable(),
  migrationStatus,
  /** `<workflow id>/<run id>` of the migration that holds the claim. */
  migrationOwner: z.string().nullable(),
  /** Fencing token: rises with every claim by a new owner. */
  migrationEpoch: z.number().int().nonnegative(),
  /** When the claim was taken. */
  migrationSince: z.date().nullable(),
  /** The operation under way (`delete`, `extend`, ...) and its owner; null when none is. */
  operation: z.string().nullable(),
  operationOwner: z.string().nullable(),
  /** Its status before that operation; null when none is under way. */
  previousStatus: volumeStatus.nullable(),
  /** What an extension that is under way makes of it; else null. */
  growingToBytes: sizeBytes.nullable(),
  availabilityZone: z.string(),
  volumeType: z.string().nullable(),
  bootable: z.boolean(),
  /** Guests may only read it; null: nothing was said of that. */
  readOnly: z.boolean().nullable(),
  snapshotId: z.uuid().nullable(),
  sourceVolumeId: z.uuid().nullable(),
  metadata: z.record(z.string(), z.string()),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Volume = z.infer<typeof volume>;

/** The status that people are told, and by which it is decided what may be done. */
export function statusOf({ status, shownStatus: shown }: Pick<Volume, 'status' | 'shownStatus'>): ShownStatus {
  return shown ?? status;
}

/** A volume's attachment to an instance on a compute node. */
export const attachment = z.object({
  id: z.uuid(),
  volumeId,
  instanceId: z.string(),
  /** The hypervisor, as its compute worker names itself. */
  computeHost: z.string(),
  /** The device as the guest knows it, e.g. `vda`. */
  device: z.string().nullable(),
  mode: z.enum(['rw', 'ro']),
  status: z.enum(['reserved', 'attached', 'detaching']),
  /** How the hypervisor reaches the volume; null until it is exported. */
  connection: z.record(z.string(), z.unknown()).nullable(),
  attachedAt: z.date().nullable(),
});
export type Attachment = z.infer<typeof attachment>;
