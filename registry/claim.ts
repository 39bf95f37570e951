import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { labelTags } from '../model/device.ts';
import { FerryError, refusal } from '../model/errors.ts';
import { flow, type ClaimedMigration, type MigrationRequest } from '../model/migration.ts';
import { deviceName } from '../model/names.ts';
import { fenced } from './fenced.ts';
import { planMigration } from './migration-facts.ts';
import { enterPhase } from './migration-steps.ts';
import type { Queries, Registry } from './open-registry.ts';
import { requireQuota } from './quotas.ts';
import { noColumns } from './rows.ts';
import { planUndo } from './undo-facts.ts';
import { findVolume } from './volumes.ts';

const claimRow = z.object({
  epoch: z.number(),
  flow,
  totalBytes: z.number(),
  source: z.string(),
  sourceNameId: z.string().nullable(),
  destinationNameId: z.string().nullable(),
  sourceIdentity: z.string().nullable(),
  sourceGeneration: z.number(),
  destinationIdentity: z.string().nullable(),
  tenantId: z.string(),
  newType: z.string().nullable(),
  /** It was this very transaction that took the claim. */
  fresh: z.boolean(),
});

export interface ClaimArguments {
  request: MigrationRequest;
  /** Unique for ever: a claim whose record is over is never taken again. */
  migrationId: string;
  /** `<workflow id>/<run id>` */
  owner: string;
  /** What a new device's name is based on. `assisted` keeps the name that the volume has, `undo` takes the one that it had. */
  destinationNameId: string;
}

/** How often a refusal for which no reason is found (any more) is asked again. */
const attempts = 5;

/**
 * Takes the volume for a migration: checks every precondition and takes the lock in one statement. By the same owner again: the same
 * answer, no change. Refused: throws every reason (`refusal`), and nothing was changed. `Fenced`: this very claim was over already.
 */
export async function claimVolume(registry: Registry, args: ClaimArguments): Promise<ClaimedMigration> {
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const claimed = await takeClaim(registry, args);
    if (claimed) return claimed;
    const { request } = args;
    const { reasons } = request.undoes
      ? await planUndo(registry, request.volumeId, request)
      : await planMigration(registry, request);
    const [first, ...others] = reasons;
    if (first) throw refusal([first, ...others]);
    // What stood in the way a moment ago is gone.
  }
  throw new FerryError('VolumeBusy', `Volume ${args.request.volumeId} changes too often to be claimed now. Try again.`);
}

async function takeClaim(registry: Registry, args: ClaimArguments): Promise<ClaimedMigration | null> {
  const { request, migrationId, owner } = args;
  const { volumeId, undoes } = request;
  const row = await registry
    .transaction(async (q) => {
      if (await wouldReadLost(q, args)) return undefined;
      const claimed = await (undoes === null ? claimMove(q, args) : claimUndo(q, args));
      if (!claimed?.fresh) return claimed;
      await mayKeep(q, volumeId, claimed);
      await enterPhase(q, { volumeId, migrationId, owner, epoch: claimed.epoch }, 'preparing');
      return claimed;
    })
    .catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'FE001') throw fenced(`Migration ${migrationId}`);
      throw error;
    });
  if (!row) return null;
  const device = (nameId: string | null) => deviceName({ id: volumeId, nameId });
  const volume = await findVolume(registry, volumeId);
  return {
    claim: { volumeId, migrationId, owner, epoch: row.epoch },
    flow: row.flow,
    sizeBytes: row.totalBytes,
    source: {
      backEnd: row.source,
      deviceName: device(row.sourceNameId),
      identity: row.sourceIdentity,
      generation: row.sourceGeneration,
    },
    destination: { backEnd: request.destination },
    tenantId: row.tenantId,
    labels: labelTags({ ...volume, volumeType: request.newType ?? volume.volumeType }),
    ...(undoes === null
      ? {}
      : {
          undoes: { migrationId: undoes, deviceName: device(row.destinationNameId), identity: row.destinationIdentity },
        }),
  };
}

/**
 * What the claim's own statement does not look at, asked of a volume that nobody else can change now: that it is not shown as something
 * that does not move, and that its tenant may have one more of the type that it gets. Throws, and the claim is rolled back.
 */
async function mayKeep(q: Queries, volumeId: string, claimed: z.infer<typeof claimRow>): Promise<void> {
  const volume = await findVolume(q, volumeId);
  if (volume.shownStatus !== null)
    throw new FerryError(
      'VolumeStatusRefused',
      `Volume ${volumeId} has status ${volume.shownStatus}; it must be available or in-use to migrate.`,
      { status: volume.shownStatus },
    );
  if (claimed.newType === null) return;
  const need = { volumes: 1, bytes: volume.sizeBytes, volumeType: claimed.newType };
  await requireQuota(q, volume.tenantId, { ...need, onlyType: true, counted: true });
}

/**
 * Whether the device that a new claim would read is one that its back end has named as lost. A claim that is there is repeated, whatever
 * has been lost since.
 */
async function wouldReadLost(q: Queries, { request, migrationId }: ClaimArguments): Promise<boolean> {
  const rows = await q.rows(
    noColumns,
    `SELECT FROM back_ends b
     JOIN (SELECT host AS back_end, coalesce(name_id, id) AS name_id FROM volumes WHERE id = $1
           UNION ALL
           SELECT back_end, coalesce(name_id, volume_id) FROM kept_sources WHERE migration_id = $2) d ON d.back_end = b.name
     WHERE 'volume-' || d.name_id = ANY (b.lost_devices) AND NOT EXISTS (SELECT FROM migrations WHERE id = $3)`,
    [request.volumeId, request.undoes, migrationId],
  );
  return rows.length > 0;
}

async function claimMove(q: Queries, args: ClaimArguments): Promise<z.infer<typeof claimRow> | undefined> {
  const { request, migrationId } = args;
  const [row] = await q.rows(
    claimRow,
    `SELECT *, started_at = now() AS fresh FROM claim_volume($1, $2, $3, $4, $5, $6 OR name_is_kept($1, $2), $7, $8 * interval '1 ms', $9)`,
    [
      request.volumeId,
      request.destination,
      args.owner,
      migrationId,
      args.destinationNameId,
      request.forceHostCopy,
      request.requestedBy,
      downAfterMs,
      request.newType ?? null,
    ],
  );
  if (row && request.keepSourceSeconds !== null)
    await q.rows(noColumns, 'UPDATE migrations SET keep_source_seconds = $2 WHERE id = $1', [
      migrationId,
      request.keepSourceSeconds,
    ]);
  return row;
}

async function claimUndo(q: Queries, args: ClaimArguments): Promise<z.infer<typeof claimRow> | undefined> {
  const { request } = args;
  const [row] = await q.rows(
    claimRow,
    `SELECT *, started_at = now() AS fresh FROM claim_undo($1, $2, $3, $4, $5, $6, $7 * interval '1 ms')`,
    [
      request.volumeId,
      request.destination,
      args.owner,
      args.migrationId,
      request.undoes,
      request.requestedBy,
      downAfterMs,
    ],
  );
  return row;
}
