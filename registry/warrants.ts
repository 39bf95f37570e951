import * as z from 'zod';
import { connection, devicePlace, diskSource } from '../model/connection.ts';
import type { ConcernedExport, OfferedSource, VolumeFacts } from '../model/warrants.ts';
import { deviceName } from '../model/names.ts';
import { flow, outcome, phase } from '../model/migration.ts';
import type { Queries } from './open-registry.ts';
import { isRefusedInDoubt } from './operation-rules.ts';
import { noColumns } from './rows.ts';

const volumeRow = z.object({
  id: z.uuid(),
  host: z.string(),
  nameId: z.uuid().nullable(),
  sizeBytes: z.number(),
  generation: z.number(),
  operation: z.string().nullable(),
  operationOwner: z.string().nullable(),
  needsRepair: z.boolean(),
});

const migrationRow = z.object({
  id: z.uuid(),
  volumeId: z.uuid(),
  epoch: z.number(),
  flow,
  phase,
  source: z.string(),
  sourceNameId: z.uuid().nullable(),
  destination: z.string(),
  destinationNameId: z.uuid().nullable(),
  totalBytes: z.number(),
  outcome: outcome.nullable(),
  isSwitched: z.boolean(),
  isHeld: z.boolean(),
});

const attachmentRow = z.object({
  id: z.uuid(),
  volumeId: z.uuid(),
  instanceId: z.string(),
  computeHost: z.string(),
  mode: z.enum(['rw', 'ro']),
  status: z.enum(['reserved', 'attached', 'detaching']),
  connection: z.unknown(),
});

const offeredSource = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('nbd'),
    address: z.object({ host: z.string(), port: z.number(), exportName: z.string(), tls: z.boolean() }),
  }),
  devicePlace,
]);

const snapshotRow = z.object({ id: z.uuid(), status: z.string() });

/** What the registry has of a volume at this moment, for who is told to change something about it. */
export async function volumeFacts(registry: Queries, volumeId: string): Promise<VolumeFacts> {
  const [volume] = await registry.rows(
    volumeRow,
    `SELECT id, host, name_id, size_bytes, generation, operation, operation_owner,
       EXISTS (SELECT FROM discrepancies d WHERE d.volume_id = v.id) AS needs_repair
     FROM volumes v WHERE id = $1`,
    [volumeId],
  );
  const [attachments, snapshots, ended] = await Promise.all([
    registry.rows(attachmentRow, 'SELECT * FROM attachments WHERE volume_id = $1', [volumeId]),
    registry.rows(snapshotRow, 'SELECT id, status FROM snapshots WHERE volume_id = $1', [volumeId]),
    registry.rows(
      z.object({ operation: z.string(), outcome: z.string().nullable() }),
      'SELECT operation, outcome FROM operations WHERE volume_id = $1',
      [volumeId],
    ),
  ]);
  return {
    volume: volume
      ? {
          ...volume,
          deviceName: deviceName(volume),
          isDoubted: volume.needsRepair && isRefusedInDoubt(volume.operation),
        }
      : null,
    attachments: attachments.map(({ connection: how, ...each }) => {
      const parsed = connection.safeParse(how).data;
      return { ...each, source: parsed ? diskSource(parsed) : null };
    }),
    snapshots,
    ended: ended.flatMap((each) => (each.outcome === null ? [] : [{ ...each, outcome: each.outcome }])),
  };
}

/** A migration, and whether its claim holds the volume now. */
export async function migrationFacts(registry: Queries, which: { id: string } | { volumeId: string }) {
  const [found] = await registry.rows(
    migrationRow,
    `SELECT m.*, m.switched_at IS NOT NULL AS is_switched,
       m.outcome IS NULL AND v.migration_owner IS NOT DISTINCT FROM m.owner AND v.migration_epoch = m.epoch AS is_held
     FROM migrations m LEFT JOIN volumes v ON v.id = m.volume_id
     WHERE m.id = $1 OR (m.volume_id = $2 AND m.outcome IS NULL) ORDER BY m.epoch DESC LIMIT 1`,
    'id' in which ? [which.id, null] : [null, which.volumeId],
  );
  if (!found) return null;
  const device = (nameId: string | null) => deviceName({ id: found.volumeId, nameId });
  return { ...found, sourceDevice: device(found.sourceNameId), destinationDevice: device(found.destinationNameId) };
}

/** Who has to do with an export of that name. */
export async function concernedWith(registry: Queries, exportName: string): Promise<ConcernedExport> {
  const attachments = await registry.rows(
    z.object({ status: attachmentRow.shape.status, exportName: z.string().nullable() }),
    // Who has another connection by now, the device itself say, has left the export that was made for him.
    `SELECT status, CASE WHEN connection IS NULL THEN $1 ELSE connection ->> 'exportName' END AS export_name FROM attachments
     WHERE 'attachment-' || id = $1 OR connection ->> 'exportName' = $1`,
    [exportName],
  );
  const migrations = await registry.rows(
    z.object({ phase, isSwitched: z.boolean() }),
    `SELECT phase, switched_at IS NOT NULL AS is_switched FROM migrations
     WHERE 'migration-' || id = $1 AND outcome IS NULL`,
    [exportName],
  );
  return { attachments, migrations };
}

const kindOf = ({ kind }: OfferedSource) => (kind === 'nbd' ? 'nbd' : 'local');

/** Writes down how a device of the volume can be reached, by the word of its storage node: nobody else's is believed. */
export async function recordOffer(
  registry: Queries,
  of: { volumeId: string; backEnd: string; deviceName: string },
  source: OfferedSource,
): Promise<void> {
  await registry.rows(
    noColumns,
    `INSERT INTO offers (volume_id, back_end, device_name, kind, source)
     SELECT id, $2, $3, $4, $5 FROM volumes WHERE id = $1
     ON CONFLICT (volume_id, back_end, device_name, kind) DO UPDATE SET source = EXCLUDED.source, offered_at = now()`,
    [of.volumeId, of.backEnd, of.deviceName, kindOf(source), source],
  );
}

/** Whether the storage node has said that the volume's device there is reached so. */
export async function isOffered(
  registry: Queries,
  of: { volumeId: string; backEnd: string; deviceName: string },
  source: OfferedSource,
): Promise<boolean> {
  const [found] = await registry.rows(
    z.object({ offered: z.boolean() }),
    `SELECT EXISTS (SELECT FROM offers
       WHERE volume_id = $1 AND back_end = $2 AND device_name = $3 AND kind = $4 AND source = $5) AS offered`,
    [of.volumeId, of.backEnd, of.deviceName, kindOf(source), source],
  );
  return found?.offered === true;
}

/** How the volume's device there can be reached, by the word of its storage node. */
export async function offersOf(
  registry: Queries,
  of: { volumeId: string; backEnd: string; deviceName: string },
): Promise<OfferedSource[]> {
  const rows = await registry.rows(
    z.object({ source: offeredSource }),
    'SELECT source FROM offers WHERE volume_id = $1 AND back_end = $2 AND device_name = $3',
    [of.volumeId, of.backEnd, of.deviceName],
  );
  return rows.map(({ source }) => source);
}

/** Why the snapshot's device is not to be deleted; null: its deletion is under way, on the back end that its volume is on. */
export async function objectionToSnapshotDelete(
  registry: Queries,
  snapshotId: string,
  backEnd: string,
): Promise<string | null> {
  const [found] = await registry.rows(
    z.object({ status: z.string(), host: z.string(), operation: z.string().nullable() }),
    'SELECT s.status, v.host, v.operation FROM snapshots s JOIN volumes v ON v.id = s.volume_id WHERE s.id = $1',
    [snapshotId],
  );
  // A volume that is deleted may take its snapshots with it.
  const isAsked = found?.operation === 'delete-snapshot' || found?.operation === 'delete';
  const isUnderWay = isAsked && found.status === 'deleting' && found.host === backEnd;
  return isUnderWay ? null : 'no delete of that snapshot is under way there';
}
