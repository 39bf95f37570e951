import * as z from 'zod';
import { deviceRoles, type DeviceRole } from './device.ts';
import { backEndName, volumeId } from './ids.ts';
import type { DevicePlace, ExportAddress } from './connection.ts';
import type { KeptDevice } from './kept-source.ts';
import { label } from './text.ts';

/** Which of a migration's two devices a guest writes to. */
export const guestSide = z.enum(['source', 'destination']);
export type GuestSide = z.infer<typeof guestSide>;

/** A device of a volume, for an operator to choose. */
export const deviceChoice = z.object({ backEnd: backEndName, deviceName: label.min(1) });
export type DeviceChoice = z.infer<typeof deviceChoice>;

/** What `reconcile` is started with. */
export const repairRequest = z.object({
  /** Only look, and tell what would be done. */
  dryRun: z.boolean().default(false),
  /** Only this volume, and what is left of it. */
  volumeId: volumeId.optional(),
  /** What nobody owns is removed so long after its migration ended; the control worker's configuration says it if not given. */
  orphanGraceSeconds: z.number().int().nonnegative().optional(),
  /** Whether the registry takes the devices' word for where volumes are. The schedule only tells: an operator decides when. */
  rollForward: z.boolean().default(false),
  /** The operator's choice among the devices of `volumeId`: that one holds it. */
  device: deviceChoice.optional(),
  /** An operator's word where the guest of the volume writes to: it counts where no machine can tell. */
  guestOn: guestSide.optional(),
});
export type RepairRequest = z.infer<typeof repairRequest>;
export type RepairRequestInput = z.input<typeof repairRequest>;

/**
 * What becomes of a migration whose workflow is gone. `forward`: it was switched, the rest is done. `back`: it was not, the volume is
 * as it was. `by-guest`, before that is known: of an attached volume its guest decides, which writes to the one side or the other.
 * `parked`: it could not be told at this look; nothing was deleted.
 * `left`: neither side holds the volume, as a registry that was restored has it held by a migration that is long over; it is held no longer,
 * nothing was deleted, and where the volume is is told among those that need repair.
 */
export type RepairDirection = 'forward' | 'back' | 'by-guest' | 'parked' | 'left';

/** What was done about a finding: `none` in a dry run, or where nothing may be done. */
export type RepairState = 'none' | 'repaired' | 'under-way' | 'failed';

interface Finding {
  volumeId: string;
  owner: string;
  /** ISO 8601: since when the volume is held. */
  since: string;
  state: RepairState;
  /** Why it failed or was not done. */
  note: string | null;
}

/** A volume that is claimed by a migration whose workflow is closed or gone. */
export interface AbandonedMigration extends Finding {
  migrationId: string;
  phase: string;
  direction: RepairDirection;
}

/** A volume that is held by an operation whose workflow is closed or gone. */
export interface AbandonedOperation extends Finding {
  operation: string;
}

/** A kept source that would have stayed for ever: the workflow that removes it is closed or gone. */
export interface UnwatchedKeptSource extends KeptDevice {
  state: RepairState;
  note: string | null;
}

/** Something with Ferry's tags that belongs to no volume, migration or clean-up. */
export interface Orphan {
  kind: 'device' | 'export' | 'tag';
  backEnd: string;
  name: string;
  volumeId: string | null;
  migrationId: string | null;
  why: string;
  /** ISO 8601: when it may be removed; null when a machine must not decide that. */
  removableFrom: string | null;
  removed: boolean;
}

/** What a device with Ferry's tags says of itself. */
export const deviceWitness = z.object({
  identity: z.string(),
  sizeBytes: z.number().int().nonnegative(),
  /** It grew, and its new bytes may show what was on the disk before; absent: an older worker answered. */
  isUnzeroed: z.boolean().optional(),
  role: z.enum(deviceRoles),
  generation: z.number().int().nonnegative(),
  migrationId: z.string().nullable(),
  keptBy: z.string().nullable(),
  retiredBy: z.string().nullable(),
  tenantId: z.string().nullable(),
  name: z.string().nullable(),
  volumeType: z.string().nullable(),
});
export type DeviceWitness = z.infer<typeof deviceWitness>;

/** A device, or a place for one, about which the registry and the back end do not agree. */
export const discrepancy = z.object({
  backEnd: z.string(),
  deviceName: z.string(),
  volumeId,
  why: z.string(),
  /** Null: the registry has a volume there, and there is no such device. */
  device: deviceWitness.nullable(),
  foundAt: z.date(),
});
export type Discrepancy = z.infer<typeof discrepancy>;

/** What is to be done about a volume of which the registry and the devices do not agree, and what was. */
export interface VolumeRepair {
  volumeId: string;
  /** Where the registry has it; null: it does not know the volume. */
  registry: { backEnd: string; deviceName: string; generation: number } | null;
  /** What the devices say; those that answered. */
  devices: { backEnd: string; deviceName: string; role: DeviceRole; generation: number }[];
  /** `adopt`: the registry takes the devices' word. `ask`: an operator must decide. */
  direction: 'adopt' | 'ask';
  /** Where the volume is by the devices' word. */
  to: { backEnd: string; deviceName: string; generation: number } | null;
  why: string;
  state: RepairState;
  note: string | null;
}

/** The device that holds a volume by its own word, and what it says of the volume. */
export interface FoundDevice {
  volumeId: string;
  backEnd: string;
  deviceName: string;
  identity: string;
  generation: number;
  sizeBytes: number;
  tenantId: string | null;
  name: string | null;
  volumeType: string | null;
  /** The export through which a guest may write to it; null: there is none. */
  written: ExportAddress | null;
  /** How a guest on the storage node itself has it. Nothing: it was not asked. */
  place?: DevicePlace;
}

/** What `reconcile` found and did. */
export interface RepairReport {
  dryRun: boolean;
  migrations: AbandonedMigration[];
  operations: AbandonedOperation[];
  keptSources: UnwatchedKeptSource[];
  orphans: Orphan[];
  /** Volumes of which the registry and the devices do not agree. */
  volumes: VolumeRepair[];
  /** Nodes that could not be looked at; what is left there is told when they are back. */
  unseen: { node: string; why: string }[];
}
