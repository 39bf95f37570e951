import * as z from 'zod';
import { backEnd } from '../model/back-end.ts';
import { keptSource } from '../model/kept-source.ts';
import type { Reason } from '../model/errors.ts';
import { migrationRecord } from '../model/migration.ts';
import { reasonsNotToUndo, type UndoFacts, type UndoRequest } from '../model/undo-preconditions.ts';
import { listAttachments } from './attachments.ts';
import { copyUnderWay } from './copies.ts';
import { withKeptUntil } from './migrations.ts';
import { listDiscrepancies } from './discrepancies.ts';
import type { Queries, Registry } from './open-registry.ts';
import { volumeTypeOrNull } from './volume-types.ts';
import { volumeOrNull } from './volumes.ts';

/** All that decides whether the volume may go back to the source that its last migration kept, as it was at one moment. */
function gatherUndoFacts(registry: Registry, volumeId: string): Promise<UndoFacts> {
  return registry.transaction((q) => factsAt(q, volumeId), 'snapshot');
}

async function factsAt(q: Queries, volumeId: string): Promise<UndoFacts> {
  const volume = await volumeOrNull(q, volumeId);
  const [last] = await q.rows(
    migrationRecord,
    `${withKeptUntil} WHERE m.volume_id = $1 AND m.switched_at IS NOT NULL ORDER BY m.epoch DESC LIMIT 1`,
    [volumeId],
  );
  const [kept] = await q.rows(keptSource, 'SELECT * FROM kept_sources WHERE migration_id = $1', [last?.id ?? null]);
  const backEnds = await q.rows(backEnd, 'SELECT * FROM back_ends WHERE name = ANY ($1)', [
    [kept?.backEnd ?? '', volume?.host ?? ''],
  ]);
  const [counted] = await q.rows(
    z.object({ snapshots: z.number(), now: z.date() }),
    'SELECT (SELECT count(*) FROM snapshots WHERE volume_id = $1) AS snapshots, now()::timestamptz(3) AS now',
    [volumeId],
  );
  return {
    volumeId,
    volume,
    last: last ?? null,
    kept: kept ?? null,
    source: backEnds.find((b) => b.name === volume?.host) ?? null,
    destination: backEnds.find((b) => b.name === kept?.backEnd) ?? null,
    snapshots: counted!.snapshots,
    copy: await copyUnderWay(q, volumeId),
    attachments: await listAttachments(q, { volumeId }),
    volumeType: volume?.volumeType ? await volumeTypeOrNull(q, volume.volumeType) : null,
    needsRepair: (await listDiscrepancies(q, { volumeId }))[0]?.why ?? null,
    now: counted!.now,
  };
}

/** What an undo would find now, and every reason why it would be refused. Changes nothing. */
export async function planUndo(
  registry: Registry,
  volumeId: string,
  asked: UndoRequest | null = null,
): Promise<{ facts: UndoFacts; reasons: Reason[] }> {
  const facts = await gatherUndoFacts(registry, volumeId);
  return { facts, reasons: reasonsNotToUndo(facts, asked) };
}
