import * as z from 'zod';
import type { Reason } from './errors.ts';
import { volumeId } from './ids.ts';
import { messages } from './messages.ts';
import type { MigrationState, Phase } from './migration.ts';
import { formatSeconds } from './sizes.ts';
import { label } from './text.ts';

/** What a service may want to do to a volume that happens to move. */
export const requestedOperation = z.enum([
  'attach',
  'detach',
  'delete',
  'extend',
  'retype',
  'snapshot',
  'delete-snapshot',
  'reset-state',
  'unmanage',
  'migrate',
]);
export type RequestedOperation = z.infer<typeof requestedOperation>;

/** Ids of Temporal's may be long; what is kept of a refusal must not be. */
const shortText = label.min(1);

/** A service's question to a running migration: may this go on now? Asked twice with the same `requestId`, it is one request. */
export const operationTicket = z.object({
  requestId: shortText,
  operation: requestedOperation,
  volumeId,
  requestedBy: shortText,
  /** The workflow that gets the verdict on the signal `operationRequested`; the update answers by itself. */
  replyTo: z
    .object({ workflowId: shortText, runId: z.uuid().optional(), signal: shortText.default(messages.operationVerdict) })
    .optional(),
});
export type OperationTicket = z.infer<typeof operationTicket>;

/**
 * The answer. `allowed` says no more than that this migration does not stand in the way: whoever acts still takes the volume in
 * the registry, which decides.
 */
export interface OperationVerdict {
  requestId: string;
  volumeId: string;
  operation: RequestedOperation;
  allowed: boolean;
  /** Null when it is allowed. */
  refusal: Reason | null;
}

/** What `refusedOperations` lists. */
export interface RefusedOperation {
  requestId: string;
  operation: RequestedOperation;
  requestedBy: string;
  phase: Phase;
  /** ISO 8601; when it was asked first. */
  at: string;
}

/** Where a migration is, as far as its verdicts tell. */
export type MovingVolume = Pick<
  MigrationState,
  'volumeId' | 'phase' | 'source' | 'destination' | 'bytesDone' | 'totalBytes' | 'bytesPerSecond'
> & {
  /** ISO 8601. */
  since: string;
};

/** The end of a migration, as `whenReleased` tells it. */
export interface Release {
  volumeId: string;
  /** False when the wait was over before the migration: ask again. */
  released: boolean;
  /** Where the volume is now. While it moves that is still the source. */
  host: string | null;
  phase: Phase;
}

/** How long `whenReleased` holds the line. Seconds. */
export const releaseWait = z.object({ waitSeconds: z.number().int().min(1).max(3600).default(300) });

/** Bounds of `retryAfter`: not so soon that asking becomes a load, not so late that a finished migration stays unnoticed. Seconds. */
const retryAfterSeconds = { least: 2, most: 300 } as const;

/** The one decision behind update and signal: while the volume moves, nothing else happens to it, whatever it is. */
export function decideOperation(at: MovingVolume, ticket: OperationTicket): OperationVerdict {
  const { requestId, operation, volumeId } = ticket;
  const refusal = reasonToRefuse(at, ticket);
  return { requestId, volumeId, operation, allowed: refusal === null, refusal };
}

function reasonToRefuse(at: MovingVolume, { operation, volumeId }: OperationTicket): Reason | null {
  if (volumeId !== at.volumeId) {
    return {
      type: 'InvalidInput',
      message: `This is the migration of volume ${at.volumeId}, not of ${volumeId}: ask the workflow migrate-${volumeId}.`,
      details: { volumeId },
    };
  }
  if (at.phase === 'finished') return null;
  const seconds = retryAfter(at);
  return {
    type: 'VolumeMigrating',
    message: `Volume ${volumeId} is migrating (${at.phase}, ${percentOf(at)} %); ${operation} is refused until the migration ends. Try again in about ${formatSeconds(seconds)}, or wait with the update whenReleased.`,
    details: {
      volumeId,
      operation,
      phase: at.phase,
      progress: { bytesDone: at.bytesDone, totalBytes: at.totalBytes, percent: percentOf(at) },
      source: at.source,
      destination: at.destination,
      since: at.since,
      retryAfter: seconds,
    },
  };
}

function percentOf(at: MovingVolume): number {
  return at.totalBytes === 0 ? 0 : Math.min(100, Math.floor((at.bytesDone / at.totalBytes) * 100));
}

/** Seconds after which it may be worth to ask again: the rest of the copy at its present speed, within bounds. */
function retryAfter(at: MovingVolume): number {
  if (at.phase !== 'copying' && at.phase !== 'verifying') return retryAfterSeconds.least;
  const left = Math.max(0, at.totalBytes - at.bytesDone);
  const estimate = at.bytesPerSecond > 0 ? Math.ceil(left / at.bytesPerSecond) : retryAfterSeconds.most;
  return Math.min(retryAfterSeconds.most, Math.max(retryAfterSeconds.least, estimate));
}
