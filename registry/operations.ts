import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { volume, type Volume, type VolumeStatus } from '../model/volume.ts';
import { listDiscrepancies } from './discrepancies.ts';
import { listClaims } from './migrations.ts';
import { fenced } from './fenced.ts';
import type { Queries } from './open-registry.ts';
import { copyUnderWay } from './copies.ts';
import { mayBeginFrom, reasonNotToBegin, rules, type Operation, type OperationOnVolume } from './operation-rules.ts';
import { findVolume, type Visibility } from './volumes.ts';

/** Who does something to which volume. */
export interface Ticket extends Visibility {
  volumeId: string;
  /** Unique to this one operation, e.g. `<workflow id>/<run id>`: the same owner again is a repeat. */
  owner: string;
}

/** What is not held against an operation. */
export interface Leniency {
  /** Statuses in which it usually has no business. */
  force?: boolean | undefined;
  /** Snapshots, which go with the volume. Only in a transaction: an attachment is seen, and refused, after the volume was taken. */
  withSnapshots?: boolean | undefined;
}

/** How often a refusal for which no reason is found (any more) is asked again. */
const attempts = 5;

/**
 * Takes the volume for an operation, if nothing else has it: from then on it is neither migrated nor touched by another operation.
 * By the same owner again: the same volume, no change. Refused with `VolumeNotFound`, `VolumeMigrating`, `VolumeBusy`,
 * `VolumeStatusRefused`, `NeedsRepair` or `VolumeHasSnapshots`; `Fenced` when this owner's operation is over already.
 */
export async function beginOperation(
  registry: Queries,
  operation: OperationOnVolume,
  ticket: Ticket & Leniency,
): Promise<Volume> {
  const { force = false, withSnapshots = false } = ticket;
  const { meanwhile, bare, whileCopied, inDoubt } = rules[operation];
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const [begun] = await registry.rows(volume, 'SELECT * FROM begin_operation($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
      ticket.volumeId,
      operation,
      ticket.owner,
      ticket.tenantId ?? null,
      mayBeginFrom(operation, force),
      meanwhile,
      bare && !withSnapshots,
      whileCopied,
      inDoubt,
    ]);
    if (begun) {
      if (bare && withSnapshots) await mustBeDetached(registry, operation, begun, ticket);
      return begun;
    }
    const found = await findVolume(registry, ticket.volumeId, ticket);
    if (found.operation === operation && found.operationOwner === ticket.owner) return found;
    if (await recordOf(registry, operation, ticket))
      throw fenced(`The operation ${operation} on volume ${ticket.volumeId}`);
    const reason = await reasonAgainst(registry, operation, found, ticket);
    if (reason) throw new FerryError(reason.type, reason.message, reason.details);
  }
  throw new FerryError('VolumeBusy', `Volume ${ticket.volumeId} changes too often for ${operation} now. Try again.`);
}

/** Which of these ids were volumes that have been deleted or unmanaged. */
export async function forgottenAmong(q: Queries, volumeIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await q.rows(
    z.object({ volumeId: z.string() }),
    `SELECT DISTINCT volume_id FROM operations
     WHERE volume_id = ANY ($1::uuid[]) AND operation IN ('delete', 'unmanage') AND outcome = 'success'`,
    [volumeIds],
  );
  return new Set(rows.map(({ volumeId }) => volumeId));
}

/** Why the operation may not begin on the volume now; null when it may. */
export async function reasonAgainst(
  registry: Queries,
  operation: OperationOnVolume,
  found: Volume,
  { force = false, withSnapshots = false }: Leniency = {},
): Promise<Reason | null> {
  const facts = await factsOf(registry, found);
  return reasonNotToBegin(operation, force, withSnapshots ? { ...facts, snapshots: 0 } : facts);
}

/** Of what was begun without a look at attachments and snapshots: throws where there are attachments, to be rolled back. */
async function mustBeDetached(registry: Queries, operation: OperationOnVolume, begun: Volume, ticket: Ticket) {
  const asBefore = { ...begun, operation: null, status: begun.previousStatus ?? begun.status };
  const reason = await reasonAgainst(registry, operation, asBefore, { ...ticket, force: true, withSnapshots: true });
  if (reason) throw new FerryError(reason.type, reason.message, reason.details);
}

async function factsOf(registry: Queries, found: Volume) {
  const [claim] = found.migrationOwner === null ? [] : await listClaims(registry, { volumeId: found.id });
  const [counted] = await registry.rows(
    z.object({ attachments: z.number(), snapshots: z.number() }),
    `SELECT (SELECT count(*) FROM attachments WHERE volume_id = $1) AS attachments,
            (SELECT count(*) FROM snapshots WHERE volume_id = $1) AS snapshots`,
    [found.id],
  );
  const copy = await copyUnderWay(registry, found.id);
  const needsRepair = (await listDiscrepancies(registry, { volumeId: found.id }))[0]?.why ?? null;
  return { volume: found, phase: claim?.phase ?? null, copy, needsRepair, ...counted! };
}

/** What the volume is when its operation has gone well. */
export interface Result {
  /** As it was before, if not given. */
  status?: VolumeStatus | undefined;
  sizeBytes?: number | undefined;
  volumeType?: string | undefined;
  /** Of the device that holds it. */
  identity?: string | undefined;
}

/** Frees the volume after the operation. True when this call did it, false when it was done before. `Fenced` when it is not ours. */
export function finishOperation(
  registry: Queries,
  operation: Operation,
  ticket: Ticket,
  result: Result = {},
): Promise<boolean> {
  return endOperation(registry, operation, ticket, 'success', null, result);
}

/** Frees the volume after the operation failed; its status is what the operation's rule says, if not given. Answers as `finishOperation`. */
export function failOperation(
  registry: Queries,
  operation: Operation,
  ticket: Ticket & { reason: Reason },
  status?: VolumeStatus | 'as before',
): Promise<boolean> {
  const failed = operation === 'create' || operation === 'manage' ? 'error' : rules[operation].failed;
  return endOperation(registry, operation, ticket, 'error', ticket.reason, {
    status: status === 'as before' ? undefined : (status ?? failed ?? undefined),
  });
}

async function endOperation(
  registry: Queries,
  operation: Operation,
  ticket: Ticket,
  outcome: 'success' | 'error',
  error: Reason | null,
  result: Result,
): Promise<boolean> {
  const [ended] = await registry.rows(volume, 'SELECT * FROM end_operation($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
    ticket.volumeId,
    operation,
    ticket.owner,
    outcome,
    error,
    result.status ?? null,
    result.sizeBytes ?? null,
    result.volumeType ?? null,
    result.identity ?? null,
  ]);
  if (ended) return true;
  await mustHaveEnded(registry, operation, ticket, outcome);
  return false;
}

/** For an end that changed nothing: fine when it is a repeat, else `Fenced`. */
export async function mustHaveEnded(
  registry: Queries,
  operation: Operation,
  ticket: Ticket,
  outcome: 'success' | 'error',
): Promise<void> {
  const record = await recordOf(registry, operation, ticket);
  if (record?.outcome !== outcome) throw fenced(`The operation ${operation} on volume ${ticket.volumeId}`);
}

const operationRecord = z.object({ outcome: z.enum(['success', 'error', 'abandoned']).nullable() });

/** What is recorded of this owner's operation; null when it never began. */
export async function recordOf(
  registry: Queries,
  operation: Operation,
  ticket: Ticket,
): Promise<z.infer<typeof operationRecord> | null> {
  const [record] = await registry.rows(
    operationRecord,
    'SELECT outcome FROM operations WHERE owner = $1 AND volume_id = $2 AND operation = $3',
    [ticket.owner, ticket.volumeId, operation],
  );
  return record ?? null;
}
