import * as z from 'zod';

/**
 * Names of the messages a running migration understands. Workflow, client and other services share them; plain HTTP callers
 * use the same names. Payload schemas are below.
 */
export const messages = {
  /** Update. Answers when the claim is decided: the migration id, or the typed refusal. */
  awaitClaim: 'awaitClaim',
  /** Update. Refused with `PastPointOfNoReturn` once the switch is under way. */
  cancelMigration: 'cancelMigration',
  /** Updates. Stop the copy at the last flushed byte; go on from there. */
  pauseMigration: 'pauseMigration',
  resumeMigration: 'resumeMigration',
  /** Update. New cap in bytes a second, or null for none; holds from the next moment on. */
  setBandwidth: 'setBandwidth',
  /** Update. An operator's word to a parked migration: which side the guest writes to, or that it shall look again. */
  resolveParked: 'resolveParked',
  /** Update. Asks whether an operation may go on now; refused while the volume moves. */
  requestOperation: 'requestOperation',
  /** Signal, twin of `requestOperation`: the verdict is signalled back to `replyTo`. */
  operationRequested: 'operationRequested',
  /** Signal that carries a verdict back to the asking workflow. */
  operationVerdict: 'operationVerdict',
  /** Update. Answers `Release` when the volume is released, or when the wait is over. */
  whenReleased: 'whenReleased',
  /** Signal from the copying activity, seldom: where it is. */
  progressReported: 'progressReported',
  /** Query: `MigrationState`. */
  migrationState: 'migrationState',
  /** Query: the operations refused so far (a bounded list). */
  refusedOperations: 'refusedOperations',
} as const;

export const bandwidthPayload = z
  .number()
  .int()
  .min(64 * 1024)
  .nullable();

/** What an operator has found: the side that the guest writes to; or only that it can be told by machine now. */
export const resolutionPayload = z.enum(['source', 'destination', 'probe']);
export type Resolution = z.infer<typeof resolutionPayload>;

export const progressPayload = z.object({
  bytesDone: z.number().int().nonnegative(),
  bytesPerSecond: z.number().nonnegative(),
});
