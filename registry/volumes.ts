import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeId as volumeIdSchema } from '../model/ids.ts';
import type { Outcome } from '../model/migration.ts';
import { nameIdOf } from '../model/names.ts';
import { volume, type ShownStatus, type Volume } from '../model/volume.ts';
import type { Queries } from './open-registry.ts';
import { Conditions, pageStatement, plainKey, textKey, type Page, type SortKeys } from './pages.ts';

/** Whose volumes the caller may see: one tenant's, or all (an administrator, a workflow). */
export interface Visibility {
  tenantId?: string | undefined;
}

/** The volume. `VolumeNotFound` if there is none, or it is not the tenant's. */
export async function findVolume(registry: Queries, volumeId: string, visible: Visibility = {}): Promise<Volume> {
  const found = await volumeOrNull(registry, volumeId, visible);
  if (!found) throw volumeNotFound(volumeId);
  return found;
}

export async function volumeOrNull(
  registry: Queries,
  volumeId: string,
  visible: Visibility = {},
): Promise<Volume | null> {
  const id = volumeIdSchema.safeParse(volumeId);
  if (!id.success) return null;
  const [found] = await registry.rows(
    volume,
    'SELECT * FROM volumes WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2)',
    [id.data, visible.tenantId ?? null],
  );
  return found ?? null;
}

/** More than these nobody reads; it is ambiguous long before. */
const mostCandidates = 10;

/** The volumes that people can mean by a name, or by the beginning of an id (four signs or more); ten at most, the newest first. */
export async function volumesCalled(registry: Queries, text: string, visible: Visibility = {}): Promise<Volume[]> {
  const beginning = /^[0-9a-f-]{4,36}$/i.test(text) ? text.toLowerCase() : null;
  return registry.rows(
    volume,
    `SELECT * FROM volumes WHERE (name = $1 OR starts_with(id::text, $2)) AND ($3::text IS NULL OR tenant_id = $3)
     ORDER BY created_at DESC, id LIMIT ${mostCandidates}`,
    [text, beginning, visible.tenantId ?? null],
  );
}

/** What these volumes are called; those without a name, or that are not there, are left out. */
export async function volumeNames(
  registry: Queries,
  ids: readonly string[],
  visible: Visibility = {},
): Promise<Map<string, string>> {
  const named = await registry.rows(
    z.object({ id: z.string(), name: z.string() }),
    'SELECT id, name FROM volumes WHERE id = ANY ($1::uuid[]) AND name IS NOT NULL AND ($2::text IS NULL OR tenant_id = $2)',
    [ids, visible.tenantId ?? null],
  );
  return new Map(named.map(({ id, name }) => [id, name]));
}

export function volumeNotFound(volumeId: string): FerryError {
  return new FerryError('VolumeNotFound', `Volume ${volumeId} could not be found.`, { volumeId });
}

/** By what volumes may be ordered. */
const volumeSortKeys = {
  id: plainKey('id'),
  name: textKey('name'),
  description: textKey('description'),
  status: (row: string) => `coalesce(${row}.shown_status, ${row}.status) COLLATE "C"`,
  size: plainKey('size_bytes'),
  host: textKey('host'),
  availabilityZone: textKey('availability_zone'),
  volumeType: textKey('volume_type'),
  bootable: plainKey('bootable'),
  migrationStatus: textKey('migration_status'),
  tenantId: textKey('tenant_id'),
  userId: textKey('user_id'),
  createdAt: plainKey('created_at'),
  updatedAt: plainKey('updated_at'),
} satisfies SortKeys<string>;
export type VolumeSortKey = keyof typeof volumeSortKeys;

/** A moment that is compared with, as `gt:` and `lte:` of Cinder's filters say. */
export interface Moment {
  is: 'gt' | 'gte' | 'lt' | 'lte' | 'eq' | 'neq';
  at: Date;
}

const comparisons: Readonly<Record<Moment['is'], string>> = {
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  eq: '=',
  neq: '<>',
};

export interface VolumeFilter extends Visibility {
  name?: string | undefined;
  host?: string | undefined;
  /** As people are told it. */
  status?: ShownStatus | undefined;
  /** Claimed by a migration, or not. */
  migrating?: boolean | undefined;
  /** Held by an operation, or not. */
  busy?: boolean | undefined;
  /** Null: none. */
  migrationStatus?: string | null | undefined;
  /** How its last migration ended. */
  lastOutcome?: Outcome | undefined;
  /** All of these, and maybe more. */
  metadata?: Record<string, string> | undefined;
  bootable?: boolean | undefined;
  availabilityZone?: string | undefined;
  volumeType?: string | undefined;
  /** In whole GiB, rounded up. */
  sizeGib?: number | undefined;
  createdAt?: readonly Moment[] | undefined;
  updatedAt?: readonly Moment[] | undefined;
}

/** The volumes that fit, the newest first unless sorted otherwise. `VolumeNotFound` when the last page's row is not there. */
export async function listVolumes(
  registry: Queries,
  filter: VolumeFilter & Page<VolumeSortKey> = {},
): Promise<Volume[]> {
  if (filter.after !== undefined) await findVolume(registry, filter.after, { tenantId: filter.tenantId });
  const conditions = conditionsOf(filter);
  const statement = pageStatement('volumes', conditions, volumeSortKeys, filter);
  return registry.rows(volume, statement, conditions.values);
}

/** How many volumes fit. */
export async function countVolumes(registry: Queries, filter: VolumeFilter = {}): Promise<number> {
  const conditions = conditionsOf(filter);
  const [counted] = await registry.rows(
    z.object({ count: z.number() }),
    `SELECT count(*) FROM volumes l WHERE ${conditions.text}`,
    conditions.values,
  );
  return counted!.count;
}

const lastOutcome =
  'SELECT m.outcome FROM migrations m WHERE m.volume_id = l.id AND m.outcome IS NOT NULL ORDER BY m.epoch DESC LIMIT 1';

function conditionsOf(filter: VolumeFilter): Conditions {
  const conditions = new Conditions()
    .add(filter.tenantId, (p) => `l.tenant_id = ${p}`)
    .add(filter.name, (p) => `l.name = ${p}`)
    .add(filter.host, (p) => `l.host = ${p}`)
    .add(filter.status, (p) => `coalesce(l.shown_status, l.status) = ${p}`)
    .add(filter.migrating, (p) => `(l.migration_owner IS NOT NULL) = ${p}`)
    .add(filter.busy, (p) => `(l.operation IS NOT NULL) = ${p}`)
    .add(filter.migrationStatus, (p) => `l.migration_status IS NOT DISTINCT FROM ${p}`)
    .add(filter.lastOutcome, (p) => `(${lastOutcome}) = ${p}`)
    .add(filter.metadata, (p) => `l.metadata @> ${p}::jsonb`)
    .add(filter.bootable, (p) => `l.bootable = ${p}`)
    .add(filter.availabilityZone, (p) => `l.availability_zone = ${p}`)
    .add(filter.volumeType, (p) => `l.volume_type = ${p}`)
    .add(filter.sizeGib, (p) => `ceil(l.size_bytes / 1073741824.0) = ${p}`);
  for (const { is, at } of filter.createdAt ?? []) conditions.add(at, (p) => `l.created_at ${comparisons[is]} ${p}`);
  for (const { is, at } of filter.updatedAt ?? []) conditions.add(at, (p) => `l.updated_at ${comparisons[is]} ${p}`);
  return conditions;
}

/** Whether a volume's data is there, as the registry has it now: asked before a device is deleted. */
export async function isCurrentLocation(registry: Queries, backEnd: string, deviceName: string): Promise<boolean> {
  const nameId = nameIdOf(deviceName);
  if (nameId === null) return false;
  const [answer] = await registry.rows(
    z.object({ current: z.boolean() }),
    'SELECT EXISTS (SELECT FROM volumes WHERE host = $1 AND coalesce(name_id, id) = $2) AS current',
    [backEnd, nameId],
  );
  return answer?.current === true;
}

/**
 * Changes what people call the volume. Touches no device, so it goes on during a migration, as in Cinder. What is left out stays;
 * `metadata` replaces all of it. May be repeated.
 */
export async function describeVolume(
  registry: Queries,
  volumeId: string,
  change: { name?: string | null; description?: string | null; metadata?: Record<string, string>; bootable?: boolean },
  visible: Visibility = {},
): Promise<Volume> {
  const [changed] = await registry.rows(
    volume,
    `UPDATE volumes SET name = CASE WHEN $3 THEN $4 ELSE name END, description = CASE WHEN $5 THEN $6 ELSE description END,
       metadata = coalesce($7, metadata), bootable = coalesce($8, bootable), updated_at = now()
     WHERE id = $1 AND ($2::text IS NULL OR tenant_id = $2) RETURNING *`,
    [
      volumeId,
      visible.tenantId ?? null,
      change.name !== undefined,
      change.name ?? null,
      change.description !== undefined,
      change.description ?? null,
      change.metadata ?? null,
      change.bootable ?? null,
    ],
  );
  if (!changed) throw volumeNotFound(volumeId);
  return changed;
}
