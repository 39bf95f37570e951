import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeTypeNotFound } from '../model/preconditions.ts';
import { volumeType, type Capabilities, type VolumeType } from '../model/volume-type.ts';
import type { Queries, Registry } from './open-registry.ts';
import { noColumns } from './rows.ts';

/** All volume types, by name. */
export function listVolumeTypes(registry: Queries): Promise<VolumeType[]> {
  return registry.rows(volumeType, 'SELECT * FROM volume_types ORDER BY name');
}

const named = 'SELECT * FROM volume_types WHERE name = $1 OR id::text = lower($1) ORDER BY (name = $1) DESC LIMIT 1';

/** The type of that name or id. `VolumeTypeNotFound` if there is none. */
export async function findVolumeType(registry: Queries, nameOrId: string): Promise<VolumeType> {
  const [found] = await registry.rows(volumeType, named, [nameOrId]);
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
}

/** Makes a type. There is one of that name: `VolumeTypeExists`. */
export async function createVolumeType(registry: Queries, wanted: NewVolumeType): Promise<VolumeType> {
  const [made] = await registry.rows(
    volumeType,
    'INSERT INTO volume_types (name, description, extra_specs) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING *',
    [wanted.name, wanted.description, wanted.extraSpecs],
  );
  if (made) return made;
  throw new FerryError('VolumeTypeExists', `There is a volume type ${wanted.name} already.`, {
    volumeType: wanted.name,
  });
}

export interface VolumeTypeChange {
  set?: Capabilities | undefined;
  unset?: readonly string[] | undefined;
  description?: string | null | undefined;
}

/**
 * Changes what a type asks for, or its description; what is left out stays. May be repeated. What volumes of the type were promised does
 * not change under them: `VolumeTypeInUse`, as in Cinder. `VolumeTypeNotFound` if there is none.
 */
export function changeVolumeType(registry: Registry, nameOrId: string, change: VolumeTypeChange): Promise<VolumeType> {
  return registry.transaction(async (q) => {
    const found = await lock(q, nameOrId);
    const [changed] = await q.rows(
      volumeType,
      `UPDATE volume_types SET extra_specs = (extra_specs || $2::jsonb) - $3::text[],
         description = CASE WHEN $4 THEN $5 ELSE description END
       WHERE id = $1 RETURNING *`,
      [
        found.id,
        change.set ?? {},
        [...(change.unset ?? [])],
        change.description !== undefined,
        change.description ?? null,
      ],
    );
    if (!sameSpecs(found.extraSpecs, changed!.extraSpecs)) await mustBeUnused(q, found, 'change what it asks for');
    return changed!;
  });
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
  });
}

/** From here on nobody gives a volume the type; who did before has committed. */
async function lock(q: Queries, nameOrId: string): Promise<VolumeType> {
  const [found] = await q.rows(volumeType, `${named} FOR UPDATE`, [nameOrId]);
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
