import * as z from 'zod';
import type { Reason } from '../model/errors.ts';
import type { MigrationRequest } from '../model/migration.ts';
import { reasonsNotToMigrate, type MigrationFacts } from '../model/preconditions.ts';
import { backEnd } from '../model/back-end.ts';
import { listAttachments } from './attachments.ts';
import { listDiscrepancies } from './discrepancies.ts';
import type { Queries, Registry } from './open-registry.ts';
import { volumeTypeOrNull } from './volume-types.ts';
import { volumeOrNull } from './volumes.ts';

const counts = z.object({ snapshots: z.number(), promised: z.number(), nameIsKept: z.boolean(), now: z.date() });

/** What shall move where, and the type that it gets by that, if it gets one. */
export interface Move extends Pick<MigrationRequest, 'volumeId' | 'destination'> {
  newType?: MigrationRequest['newType'] | undefined;
}

/** All that decides whether the volume may move, as it was at one moment. */
export function gatherFacts(registry: Registry, request: Move): Promise<MigrationFacts> {
  return registry.transaction((q) => factsAt(q, request), 'snapshot');
}

async function factsAt(
  q: Queries,
  { volumeId, destination: destinationName, newType = null }: Move,
): Promise<MigrationFacts> {
  const volume = await volumeOrNull(q, volumeId);
  const backEnds = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = ANY ($1)', [
    [destinationName, volume?.host ?? ''],
  ]);
  const [counted] = await q.rows(
    counts,
    `SELECT (SELECT count(*) FROM snapshots WHERE volume_id = $1) AS snapshots, promised_bytes($2) AS promised,
       name_is_kept($1, $2) AS name_is_kept, now()::timestamptz(3) AS now`,
    [volumeId, destinationName],
  );
  const typeName = newType ?? volume?.volumeType ?? null;
  return {
    volumeId,
    destinationName,
    volume,
    source: backEnds.find((b) => b.name === volume?.host) ?? null,
    destination: backEnds.find((b) => b.name === destinationName) ?? null,
    snapshots: counted!.snapshots,
    attachments: await listAttachments(q, { volumeId }),
    promisedBytes: counted!.promised,
    newType,
    volumeType: typeName === null ? null : await volumeTypeOrNull(q, typeName),
    nameIsKept: counted!.nameIsKept,
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
