import * as z from 'zod';
import { volumeId } from './ids.ts';
import type { KeptDevice } from './kept-source.ts';

/** Which of a migration's two devices a guest writes to. */
export const guestSide = z.enum(['source', 'destination']);
export type GuestSide = z.infer<typeof guestSide>;

/** What `reconcile` is started with. */
export const repairRequest = z.object({
  /** Only look, and tell what would be done. */
  dryRun: z.boolean().default(false),
  /** Only this volume, and what is left of it. */
  volumeId: volumeId.optional(),
  /** What nobody owns is removed so long after its migration ended; the control worker's configuration says it if not given. */
  orphanGraceSeconds: z.number().int().nonnegative().optional(),
  /** An operator's word where the guest of the volume writes to: it counts where no machine can tell. */
  guestOn: guestSide.optional(),
});
export type RepairRequest = z.infer<typeof repairRequest>;
export type RepairRequestInput = z.input<typeof repairRequest>;

/**
 * What becomes of a migration whose workflow is gone. `forward`: it was switched, the rest is done. `back`: it was not, the volume is
 * as it was. `by-guest`, before that is known: of an attached volume its guest decides, which writes to the one side or the other.
 * `parked`: it could not be told at this look; nothing was deleted.
 */
export type RepairDirection = 'forward' | 'back' | 'by-guest' | 'parked';

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

/** What `reconcile` found and did. */
export interface RepairReport {
  dryRun: boolean;
  migrations: AbandonedMigration[];
  operations: AbandonedOperation[];
  keptSources: UnwatchedKeptSource[];
  orphans: Orphan[];
  /** Nodes that could not be looked at; what is left there is told when they are back. */
  unseen: { node: string; why: string }[];
}
