import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { outcome, phase, type Claim, type Evidence, type Outcome, type Phase, type Proof } from '../model/migration.ts';
import type { QemuIdentity } from '../model/qemu-identity.ts';
import type { MigrationStatus } from '../model/volume.ts';
import { fenced } from './fenced.ts';
import type { Queries } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** The guard of every write by a migration: this claim's volume, locked; no row when the claim is not ours. Takes $1 to $3. */
const held = `held AS MATERIALIZED (
  SELECT id FROM volumes WHERE id = $1 AND migration_owner = $2 AND migration_epoch = $3 FOR NO KEY UPDATE
)`;

/** $1 to $4 of every statement here. */
const proof = (claim: Claim) => [claim.volumeId, claim.owner, claim.epoch, claim.migrationId];

/** The phase, entered now. */
const phaseNow = (name: string, qemu = 'NULL::jsonb') =>
  `jsonb_strip_nulls(jsonb_build_object('phase', ${name}, 'at', now(), 'qemu', ${qemu}))`;

/** `m.phases` with the phase added, unless it is the one that it is in, with the same `qemu`. */
const addPhase = (name: string, qemu = 'NULL::jsonb') =>
  `CASE WHEN m.phase = ${name} AND (${qemu} IS NULL OR m.phases -> -1 -> 'qemu' = ${qemu}) THEN m.phases
        ELSE m.phases || ${phaseNow(name, qemu)} END`;

/**
 * Records that the migration enters a phase, what `migration_status` says from now on (as it was, if not given), and of an attached volume
 * the QEMU that is about to be asked to turn the guest. May be repeated; a
 * late repeat of an earlier phase changes nothing. `undoing` after the switch is refused with `PastPointOfNoReturn`: from then on the
 * migration can only go forward. `Fenced` when the claim is not ours.
 */
export async function enterPhase(
  registry: Queries,
  claim: Claim,
  next: Exclude<Phase, 'finished'>,
  migrationStatus?: NonNullable<MigrationStatus>,
  qemu?: QemuIdentity,
): Promise<void> {
  const entered = await registry.rows(
    noColumns,
    // The generic flows make their device before they copy, the storage itself while it does.
    `WITH ${held}, entered AS (
       UPDATE migrations m SET phase = $5, phases = ${addPhase('$5::text', '$8::jsonb')},
         allocated_at = CASE WHEN $5 IN ('verifying', 'switching', 'cleaning-up') OR ($5 = 'copying' AND m.flow <> 'assisted')
                             THEN coalesce(m.allocated_at, now()) ELSE m.allocated_at END
       FROM held WHERE m.id = $4 AND m.volume_id = held.id AND m.outcome IS NULL
         AND array_position($7::text[], $5) >= array_position($7::text[], m.phase)
         AND ($5 <> 'undoing' OR m.switched_at IS NULL)
       RETURNING m.volume_id
     )
     UPDATE volumes v SET migration_status = coalesce($6, v.migration_status) FROM entered WHERE v.id = entered.volume_id
     RETURNING v.id`,
    [...proof(claim), next, migrationStatus ?? null, phase.options, qemu ?? null],
  );
  if (entered.length > 0) return;
  const now = await standing(registry, claim);
  if (!now?.held) throw fenced(`The claim of volume ${claim.volumeId}`);
  if (next === 'undoing' && now.switched) throw pastTheSwitch(claim);
}

export interface Switch {
  /** What the destination was verified to hold; null without a digest. */
  digest?: string | null | undefined;
  /** How that was proven. */
  proof?: Proof | undefined;
  evidence?: Evidence | null | undefined;
  transferredBytes?: number | null | undefined;
  /** Of the device that holds the volume from now on. */
  identity?: string | null | undefined;
  /** How the hypervisor reaches the volume from now on, if it is attached. */
  attachment?: { id: string; connection: Record<string, unknown> } | undefined;
}

/**
 * Records that the new device has a name of its own, where the one that the volume has cannot be had: before it is made, so that it is
 * found whatever happens. May be repeated. `Fenced` when the claim is not ours, or the migration is being undone.
 */
export async function nameDestination(registry: Queries, claim: Claim, nameId: string): Promise<void> {
  const named = await registry.rows(
    noColumns,
    `WITH ${held}
     UPDATE migrations m SET destination_name_id = $5
     FROM held WHERE m.id = $4 AND m.volume_id = held.id AND m.outcome IS NULL AND m.switched_at IS NULL AND m.phase <> 'undoing'
     RETURNING m.id`,
    [...proof(claim), nameId],
  );
  if (named.length === 0) throw fenced(`The claim of volume ${claim.volumeId}`);
}

/**
 * The point of no return: from its commit on, the volume is on the destination, under the claim's name, and has the new type if it gets
 * one. It is cleaned up from then on. Everything in one statement: also that the source is kept, if it shall be, and that one which the volume goes back to is kept no
 * more. Where nobody says how the copy was proven, the record says `none`.
 * May be repeated. `Fenced` when the claim is not ours, or the migration is being undone: whichever of the two commits first wins.
 */
export async function switchVolume(registry: Queries, claim: Claim, found: Switch = {}): Promise<void> {
  const switched = await registry.rows(
    noColumns,
    // A repeat must not keep again what was removed in the meantime.
    `WITH ${held}, first AS (SELECT FROM migrations WHERE id = $4 AND switched_at IS NULL), switched AS (
       UPDATE migrations m SET switched_at = coalesce(m.switched_at, now()), allocated_at = coalesce(m.allocated_at, now()),
         phase = 'cleaning-up',
         phases = CASE WHEN m.phase = 'cleaning-up' THEN m.phases
                       ELSE ${addPhase(`'switching'`)} || ${phaseNow(`'cleaning-up'`)} END,
         digest = coalesce($5, m.digest), transferred_bytes = coalesce($6, m.transferred_bytes), proof = coalesce($9, m.proof, 'none'),
         destination_identity = coalesce($10, m.destination_identity), evidence = coalesce($11, m.evidence)
       FROM held WHERE m.id = $4 AND m.volume_id = held.id AND m.outcome IS NULL AND m.phase <> 'undoing'
       RETURNING m.*
     ), connected AS (
       UPDATE attachments a SET connection = $8 FROM switched s WHERE a.id = $7 AND a.volume_id = s.volume_id
     ), kept AS (
       INSERT INTO kept_sources (
         migration_id, volume_id, back_end, name_id, identity, generation, size_bytes, kept_at, kept_until)
       SELECT s.id, s.volume_id, s.source, s.source_name_id, s.source_identity, s.source_generation, s.total_bytes, now(),
         now() + s.keep_source_seconds * interval '1 second'
       FROM switched s, first WHERE s.keep_source_seconds IS NOT NULL
       ON CONFLICT DO NOTHING
     ), returned AS (
       DELETE FROM kept_sources k USING switched s WHERE k.migration_id = s.undoes
     )
     UPDATE volumes v SET host = s.destination, name_id = s.destination_name_id, generation = s.epoch,
       device_identity = s.destination_identity, availability_zone = b.availability_zone,
       migration_status = 'completing', volume_type = coalesce(s.new_type, v.volume_type),
       updated_at = CASE WHEN s.new_type IS NULL THEN v.updated_at ELSE now() END
     FROM switched s JOIN back_ends b ON b.name = s.destination WHERE v.id = s.volume_id
     RETURNING v.id`,
    [
      ...proof(claim),
      found.digest ?? null,
      found.transferredBytes ?? null,
      found.attachment?.id ?? null,
      found.attachment?.connection ?? null,
      found.proof ?? null,
      found.identity ?? null,
      found.evidence ?? null,
    ],
  );
  if (switched.length > 0) return;
  const now = await standing(registry, claim);
  if (now?.outcome !== 'success') throw fenced(`The claim of volume ${claim.volumeId}`);
}

/**
 * After the switch its destination was lost before anything of the source was: the volume is on its source again, with a generation
 * above the destination's, which the source's device says by then. Not for a volume that a guest writes to. May be repeated. `Fenced`
 * when the claim is not ours.
 */
export async function returnToSource(registry: Queries, claim: Claim): Promise<void> {
  const returned = await registry.rows(
    noColumns,
    `WITH ${held}, returned AS (
       UPDATE migrations m SET returned_at = coalesce(m.returned_at, now()), switched_at = NULL, phase = 'undoing',
         phases = ${addPhase(`'undoing'`)}
       FROM held WHERE m.id = $4 AND m.volume_id = held.id AND m.outcome IS NULL AND m.flow <> 'generic-attached'
       RETURNING m.*
     ), unkept AS (
       DELETE FROM kept_sources k USING returned r WHERE k.migration_id = r.id
     )
     UPDATE volumes v SET host = r.source, name_id = r.source_name_id, device_identity = r.source_identity,
       generation = r.epoch + 1, availability_zone = b.availability_zone,
       volume_type = CASE WHEN r.new_type IS NULL THEN v.volume_type ELSE r.old_type END
     FROM returned r JOIN back_ends b ON b.name = r.source WHERE v.id = r.volume_id
     RETURNING v.id`,
    proof(claim),
  );
  if (returned.length > 0) return;
  const now = await standing(registry, claim);
  if (now?.outcome !== 'error') throw fenced(`The claim of volume ${claim.volumeId}`);
}

/**
 * Ends the migration: the volume is free, the record has its outcome. May be repeated; the first outcome stays. `success` is only for a
 * switched volume (`NotSwitched`: the registry has forgotten the switch, which is to be made again), anything else only for one that was
 * not (`PastPointOfNoReturn`). `Fenced` when the claim is not ours.
 */
export async function releaseVolume(
  registry: Queries,
  claim: Claim,
  end: { outcome: Outcome; error?: Reason | null },
): Promise<void> {
  const released = await registry.rows(
    noColumns,
    `WITH ${held}, finished AS (
       UPDATE migrations m SET outcome = $5, error = $6, finished_at = now(), phase = 'finished', phases = ${addPhase(`'finished'`)}
       FROM held WHERE m.id = $4 AND m.volume_id = held.id AND m.outcome IS NULL AND (m.switched_at IS NOT NULL) = ($5 = 'success')
       RETURNING m.volume_id
     )
     UPDATE volumes v SET migration_owner = NULL, migration_status = NULL, migration_since = NULL,
       migration_epoch = greatest(v.migration_epoch, v.generation)
     FROM finished WHERE v.id = finished.volume_id RETURNING v.id`,
    [...proof(claim), end.outcome, end.error ?? null],
  );
  if (released.length > 0) return;
  const now = await standing(registry, claim);
  if (now && now.outcome !== null) return;
  if (!now?.held) throw fenced(`The claim of volume ${claim.volumeId}`);
  if (now.switched) throw pastTheSwitch(claim);
  throw new FerryError(
    'NotSwitched',
    `Migration ${claim.migrationId} cannot end as a success: the registry knows nothing of its switch.`,
  );
}

const standingRow = z.object({ held: z.boolean(), switched: z.boolean(), outcome: outcome.nullable() });

/** How this claim stands, when a guarded write changed nothing. Null: there was never such a claim. */
async function standing(registry: Queries, claim: Claim): Promise<z.infer<typeof standingRow> | null> {
  const [row] = await registry.rows(
    standingRow,
    `SELECT v.id IS NOT NULL AS held, m.switched_at IS NOT NULL AS switched, m.outcome
     FROM migrations m LEFT JOIN volumes v ON v.id = m.volume_id AND v.migration_owner = m.owner AND v.migration_epoch = m.epoch
     WHERE m.volume_id = $1 AND m.owner = $2 AND m.epoch = $3 AND m.id = $4`,
    proof(claim),
  );
  return row ?? null;
}

function pastTheSwitch(claim: Claim): FerryError {
  return new FerryError(
    'PastPointOfNoReturn',
    `Migration ${claim.migrationId} is past the point of no return: volume ${claim.volumeId} is on its destination.`,
    { volumeId: claim.volumeId, migrationId: claim.migrationId },
  );
}
