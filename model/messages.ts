import * as z from 'zod';

/**
 * Names of the messages a running migration understands. Workflow, client and other services share them; plain HTTP callers
 * use the same names. Payload schemas are below.
 */
export const messages = {
  /** Update. Answers when the claim is decided: the migration id, or the typed refusal. */
  awaitClaim: 'awaitClaim',
  /** Update to an operation. Answers when the operation has begun, or with the typed refusal: for whoever does not wait for its end. */
  awaitBegin: 'awaitBegin',
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
  /** Signal, from the evacuation that a migration is part of: `SteerPayload`. Too late: nothing happens. */
  steerMigration: 'steerMigration',
  /** Update to an evacuation or balancing. Answers when its plan stands: `{ planId }`, or the typed refusal. */
  awaitPlan: 'awaitPlan',
  /** Updates. No move begins while it is paused, and running ones stop at their last flushed byte. */
  pauseMoves: 'pauseMoves',
  resumeMoves: 'resumeMoves',
  /** Update: `CancelMovesPayload`. No move begins any more; running ones end, or go back. */
  cancelMoves: 'cancelMoves',
  /** Update. A new cap in bytes a second for all moves together, or null for none. */
  setMovesBandwidth: 'setMovesBandwidth',
  /** Query: `MovesState`. */
  movesState: 'movesState',
  /** Signal to the workflow that removes a kept source: the registry says something else of it now. */
  keptSourceChanged: 'keptSourceChanged',
  /** Signal to the workflow that cleans up: the steps of somebody who would have started it. Those that it has are not done twice. */
  moreToCleanUp: 'moreToCleanUp',
  /** Signal to the workflow that tells events to a webhook: there is one to tell. */
  eventsDue: 'eventsDue',
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

export const steerPayload = z.object({ paused: z.boolean().optional(), bandwidth: bandwidthPayload.optional() });
export type SteerPayload = z.infer<typeof steerPayload>;

/** What becomes of the moves that run when a plan is cancelled: they are left to end, or go back. */
export const cancelMovesPayload = z.object({ running: z.enum(['finish', 'cancel']) });
export type CancelMovesPayload = z.infer<typeof cancelMovesPayload>;

export const progressPayload = z.object({
  bytesDone: z.number().int().nonnegative(),
  bytesPerSecond: z.number().nonnegative(),
  zeroedBytes: z.number().int().nonnegative().optional(),
});
