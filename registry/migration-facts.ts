import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import type { MigrationRequest } from '../model/migration.ts';
import { reasonsNotToMigrate, type LeavingFacts, type MigrationFacts } from '../model/preconditions.ts';
import { backEnd } from '../model/back-end.ts';
import { listAttachments } from './attachments.ts';
import { copyUnderWay } from './copies.ts';
import { listDiscrepancies } from './discrepancies.ts';
import type { Queries, Registry } from './open-registry.ts';
import { volumeTypeOrNull } from './volume-types.ts';
import { volumeOrNull } from './volumes.ts';

const snapshotCount = z.object({ snapshots: z.number(), now: z.date() });
const counts = z.object({ promised: z.number(), nameIsKept: z.boolean() });

/** What shall move where, and the type that it gets by that, if it gets one. */
export interface Move extends Pick<MigrationRequest, 'volumeId' | 'destination'> {
  newType?: MigrationRequest['newType'] | undefined;
}

/** All that decides whether the volume may move, as it was at one moment. */
function gatherFacts(registry: Registry, request: Move): Promise<MigrationFacts> {
  return registry.transaction((q) => factsAt(q, request), 'snapshot');
}

async function factsAt(
  q: Queries,
  { volumeId, destination: destinationName, newType = null }: Move,
): Promise<MigrationFacts> {
  const leaving = await leavingFacts(q, volumeId);
  const [destination] = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [destinationName]);
  const [counted] = await q.rows(
    counts,
    `SELECT promised_bytes($2) AS promised, name_is_kept($1, $2) AS name_is_kept`,
    [volumeId, destinationName],
  );
  const typeName = newType ?? leaving.volume?.volumeType ?? null;
  return {
    ...leaving,
    destinationName,
    destination: destination ?? null,
    promisedBytes: counted!.promised,
    newType,
    volumeType: typeName === null ? null : await volumeTypeOrNull(q, typeName),
    nameIsKept: counted!.nameIsKept,
  };
}

/** All that decides whether the volume may leave where it is, wherever it would go. In one transaction: of one moment. */
export async function leavingFacts(q: Queries, volumeId: string): Promise<LeavingFacts> {
  const volume = await volumeOrNull(q, volumeId);
  const [source] = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = $1', [volume?.host ?? '']);
  const [counted] = await q.rows(
    snapshotCount,
    `SELECT (SELECT count(*) FROM snapshots WHERE volume_id = $1) AS snapshots, now()::timestamptz(3) AS now`,
    [volumeId],
  );
  return {
    volumeId,
    volume,
    source: source ?? null,
    snapshots: counted!.snapshots,
    copy: await copyUnderWay(q, volumeId),
    attachments: await listAttachments(q, { volumeId }),
    needsRepair: (await listDiscrepancies(q, { volumeId }))[0]?.why ?? null,
    now: counted!.now,
  };
}

/** What a migration would find now, and every reason why it would be refused. Changes nothing. */
export async function planMigration(
  registry: Registry,
  request: Move,
): Promise<{ facts: MigrationFacts; reasons: Reason[] }> {
  const facts = await gatherFacts(registry, request);
  return { facts, reasons: reasonsNotToMigrate(facts) };
}
