import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { migrationRecord, outcome, phase, type Claim, type MigrationRecord, type Outcome } from '../model/migration.ts';
import { qemuIdentity } from '../model/qemu-identity.ts';
import type { Queries } from './open-registry.ts';

/** Of migrations `m`: their records, and until when their sources are kept. One that is being removed is not kept any more. */
export const withKeptUntil = `SELECT m.*, k.kept_until
  FROM migrations m LEFT JOIN kept_sources k ON k.migration_id = m.id AND k.removing_at IS NULL`;

/** The migration of that id, or the last one of the volume of that id. `MigrationNotFound` if there is none. */
export async function findMigration(registry: Queries, idOrVolume: string): Promise<MigrationRecord> {
  const id = z.uuid().safeParse(idOrVolume);
  const [found] = id.success
    ? await registry.rows(
        migrationRecord,
        `${withKeptUntil} WHERE m.id = $1 OR m.volume_id = $1 ORDER BY (m.id = $1) DESC, m.epoch DESC LIMIT 1`,
        [id.data],
      )
    : [];
  if (!found) {
    throw new FerryError(
      'MigrationNotFound',
      `No migration, nor a volume that ever migrated, has the id ${idOrVolume}.`,
      { id: idOrVolume },
    );
  }
  return found;
}

export interface MigrationFilter {
  volumeId?: string | undefined;
  outcome?: Outcome | undefined;
  running?: boolean | undefined;
  /** From or to this back end. */
  backEnd?: string | undefined;
  /** Those whose source is kept. */
  kept?: boolean | undefined;
  limit?: number | undefined;
}

/** The migrations that fit, the last begun first. */
export function listMigrations(registry: Queries, filter: MigrationFilter = {}): Promise<MigrationRecord[]> {
  return registry.rows(
    migrationRecord,
    `${withKeptUntil} WHERE ($1::uuid IS NULL OR m.volume_id = $1) AND ($2::text IS NULL OR m.outcome = $2)
       AND ($3::boolean IS NULL OR (m.outcome IS NULL) = $3) AND ($4::text IS NULL OR $4 IN (m.source, m.destination))
       AND ($5::boolean IS NULL OR (k.migration_id IS NOT NULL) = $5)
     ORDER BY m.started_at DESC, m.id LIMIT $6`,
    [
      filter.volumeId ?? null,
      filter.outcome ?? null,
      filter.running ?? null,
      filter.backEnd ?? null,
      filter.kept ?? null,
      filter.limit ?? null,
    ],
  );
}

const lastMigration = z.object({
  volumeId: z.string(),
  outcome: outcome.nullable(),
  oldType: z.string().nullable(),
  newType: z.string().nullable(),
});

/** The last migration of a volume: how it ended, null while it runs; and what it does to the type, `newType` null if nothing. */
export type LastMigration = Omit<z.infer<typeof lastMigration>, 'volumeId'>;

/** The last migration of each of these volumes. Those that never moved are not in it. */
export async function lastMigrations(
  registry: Queries,
  volumeIds: readonly string[],
): Promise<Map<string, LastMigration>> {
  const rows = await registry.rows(
    lastMigration,
    `SELECT DISTINCT ON (volume_id) volume_id, outcome, old_type, new_type FROM migrations
     WHERE volume_id = ANY ($1::uuid[]) ORDER BY volume_id, epoch DESC`,
    [volumeIds],
  );
  return new Map(rows.map(({ volumeId, ...last }) => [volumeId, last]));
}

const heldClaim = z.object({
  volumeId: z.uuid(),
  migrationId: z.uuid(),
  owner: z.string(),
  epoch: z.number(),
  phase,
  /** The volume is on its destination: a repair can only go forward. */
  switched: z.boolean(),
  since: z.date(),
  /** The QEMU that was last asked to turn the guest. */
  asked: qemuIdentity.nullable(),
});

/** A claim that holds a volume now, with all that a repair needs when its workflow is gone. */
export type HeldClaim = Claim & Pick<z.infer<typeof heldClaim>, 'phase' | 'switched' | 'since' | 'asked'>;

/** Every claim that holds a volume now, the oldest first; or that of one volume. */
export function listClaims(registry: Queries, filter: { volumeId?: string | undefined } = {}): Promise<HeldClaim[]> {
  return registry.rows(
    heldClaim,
    `SELECT v.id AS volume_id, m.id AS migration_id, m.owner, m.epoch, m.phase, m.switched_at IS NOT NULL AS switched,
       v.migration_since AS since,
       (SELECT p -> 'qemu' FROM jsonb_array_elements(m.phases) WITH ORDINALITY AS e (p, n)
        WHERE p -> 'qemu' IS NOT NULL ORDER BY n DESC LIMIT 1) AS asked
     FROM volumes v JOIN migrations m ON m.volume_id = v.id AND m.epoch = v.migration_epoch
     WHERE v.migration_owner IS NOT NULL AND ($1::uuid IS NULL OR v.id = $1) ORDER BY v.migration_since`,
    [filter.volumeId ?? null],
  );
}
