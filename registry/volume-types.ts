import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeTypeNotFound } from '../model/preconditions.ts';
import { typeQuota, typeQuotaResources } from '../model/quota.ts';
import { volumeType, type Capabilities, type VolumeType } from '../model/volume-type.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';
import { visibleType } from './volume-type-access.ts';
import type { Visibility } from './volumes.ts';

/** The volume types that the caller may see, by name. */
export function listVolumeTypes(registry: Queries, visible: Visibility = {}): Promise<VolumeType[]> {
  return registry.rows(volumeType, `SELECT t.* FROM volume_types t WHERE ${visibleType('$1')} ORDER BY t.name`, [
    visible.tenantId ?? null,
  ]);
}

const named = `SELECT t.* FROM volume_types t WHERE (t.name = $1 OR t.id::text = lower($1)) AND ${visibleType('$2')}
  ORDER BY (t.name = $1) DESC LIMIT 1`;

/** The type of that name or id. `VolumeTypeNotFound` if there is none, or it is private and not the caller's. */
export async function findVolumeType(
  registry: Queries,
  nameOrId: string,
  visible: Visibility = {},
): Promise<VolumeType> {
  const [found] = await registry.rows(volumeType, named, [nameOrId, visible.tenantId ?? null]);
  if (!found) throw notFound(nameOrId);
  return found;
}

/** The type of that very name. */
export async function volumeTypeOrNull(registry: Queries, name: string): Promise<VolumeType | null> {
  const [found] = await registry.rows(volumeType, 'SELECT * FROM volume_types WHERE name = $1', [name]);
  return found ?? null;
}

/**
 * The type of that name as it stays until the end of the transaction; null for none. `VolumeTypeNotFound` if there is none such. Taken
 * before the volume's row.
 */
export async function holdVolumeType(q: Queries, name: string | null): Promise<VolumeType | null> {
  if (name === null) return null;
  const [found] = await q.rows(volumeType, 'SELECT * FROM volume_types WHERE name = $1 FOR KEY SHARE', [name]);
  if (!found) throw notFound(name);
  return found;
}

export interface NewVolumeType {
  name: string;
  description: string | null;
  extraSpecs: Capabilities;
  /** For all tenants. */
  isPublic?: boolean | undefined;
}

/** Makes a type. There is one of that name: `VolumeTypeExists`. */
export async function createVolumeType(registry: Queries, wanted: NewVolumeType): Promise<VolumeType> {
  const [made] = await registry.rows(
    volumeType,
    `INSERT INTO volume_types (name, description, extra_specs, is_public) VALUES ($1, $2, $3, $4)
     ON CONFLICT (name) DO NOTHING RETURNING *`,
    [wanted.name, wanted.description, wanted.extraSpecs, wanted.isPublic ?? true],
  );
  if (made) return made;
  throw nameTaken(wanted.name);
}

function nameTaken(name: string): FerryError {
  return new FerryError('VolumeTypeExists', `There is a volume type ${name} already.`, { volumeType: name });
}

export interface VolumeTypeChange {
  set?: Capabilities | undefined;
  unset?: readonly string[] | undefined;
  description?: string | null | undefined;
  /** Its volumes, their quotas and migrations on their way to it follow. */
  name?: string | undefined;
  /** For all tenants; from then on nobody is known to have access to it in particular. */
  isPublic?: boolean | undefined;
}

/**
 * Changes what a type asks for, its name, its description, or whom it is for; what is left out stays. May be repeated. What volumes of the type were promised does
 * not change under them: `VolumeTypeInUse`, as in Cinder. `VolumeTypeNotFound` if there is none, `VolumeTypeExists` for a name that is taken.
 */
export function changeVolumeType(registry: Registry, nameOrId: string, change: VolumeTypeChange): Promise<VolumeType> {
  return registry.transaction(async (q) => {
    const found = await lock(q, nameOrId);
    const [changed] = await q.rows(
      volumeType,
      `UPDATE volume_types SET extra_specs = (extra_specs || $2::jsonb) - $3::text[],
         description = CASE WHEN $4 THEN $5 ELSE description END, is_public = coalesce($6, is_public)
       WHERE id = $1 RETURNING *`,
      [
        found.id,
        change.set ?? {},
        [...(change.unset ?? [])],
        change.description !== undefined,
        change.description ?? null,
        change.isPublic ?? null,
      ],
    );
    if (!sameSpecs(found.extraSpecs, changed!.extraSpecs)) await mustBeUnused(q, found, 'change what it asks for');
    if (change.isPublic) await q.rows(noColumns, 'DELETE FROM volume_type_access WHERE type_id = $1', [found.id]);
    return change.name === undefined || change.name === found.name ? changed! : rename(q, found, change.name);
  });
}

/** The type's row is locked: nobody takes its old name in the meantime. */
async function rename(q: Queries, { id, name: old }: VolumeType, name: string): Promise<VolumeType> {
  const taken = await q.rows(noColumns, 'SELECT FROM volume_types WHERE name = $1', [name]);
  if (taken.length > 0) throw nameTaken(name);
  const [renamed] = await q.rows(volumeType, 'UPDATE volume_types SET name = $2 WHERE id = $1 RETURNING *', [id, name]);
  await q.rows(noColumns, 'UPDATE migrations SET new_type = $2 WHERE new_type = $1 AND outcome IS NULL', [old, name]);
  await q.rows(noColumns, 'UPDATE migrations SET old_type = $2 WHERE old_type = $1 AND outcome IS NULL', [old, name]);
  for (const table of ['quotas', 'quota_defaults'])
    await q.rows(
      noColumns,
      `UPDATE ${table} SET resource = new FROM unnest($1::text[], $2::text[]) AS t (old, new) WHERE resource = old`,
      [
        typeQuotaResources.map((resource) => typeQuota(resource, old)),
        typeQuotaResources.map((resource) => typeQuota(resource, name)),
      ],
    );
  return renamed!;
}

function sameSpecs(a: Capabilities, b: Capabilities): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

/** Deletes a type. Volumes have it, or are being moved to it: `VolumeTypeInUse`. `VolumeTypeNotFound` if there is none. */
export function deleteVolumeType(registry: Registry, nameOrId: string): Promise<void> {
  return registry.transaction(async (q) => {
    const found = await lock(q, nameOrId);
    await mustBeUnused(q, found, 'delete it');
    await q.rows(noColumns, 'DELETE FROM volume_types WHERE id = $1', [found.id]);
    for (const table of ['quotas', 'quota_defaults'])
      await q.rows(noColumns, `DELETE FROM ${table} WHERE resource = ANY ($1)`, [
        typeQuotaResources.map((resource) => typeQuota(resource, found.name)),
      ]);
  });
}

/** From here on nobody gives a volume the type; who did before has committed. */
async function lock(q: Queries, nameOrId: string): Promise<VolumeType> {
  const [found] = await q.rows(volumeType, `${named} FOR UPDATE OF t`, [nameOrId, null]);
  if (!found) throw notFound(nameOrId);
  return found;
}

const usage = z.object({ volumes: z.number(), migrations: z.number() });

async function mustBeUnused(q: Queries, { name }: VolumeType, what: string): Promise<void> {
  const [used] = await q.rows(
    usage,
    `SELECT (SELECT count(*)::int FROM volumes WHERE volume_type = $1) AS volumes,
       (SELECT count(*)::int FROM migrations WHERE new_type = $1 AND outcome IS NULL) AS migrations`,
    [name],
  );
  const { volumes, migrations } = used!;
  if (volumes + migrations === 0) return;
  const by = [
    ...(volumes === 0 ? [] : [`${volumes} volume${volumes === 1 ? ' has' : 's have'} it`]),
    ...(migrations === 0 ? [] : [`${migrations} migration${migrations === 1 ? ' gives' : 's give'} it to a volume`]),
  ];
  throw new FerryError(
    'VolumeTypeInUse',
    `Volume type ${name} is in use: ${by.join(', ')}. To ${what}, first ${volumes === 0 ? 'let that end' : 'retype these volumes'}.`,
    { volumeType: name, volumes, migrations },
  );
}

function notFound(nameOrId: string): FerryError {
  const { type, message, details } = volumeTypeNotFound(nameOrId);
  return new FerryError(type, message, details);
}
