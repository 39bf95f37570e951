import * as z from 'zod';
import { FerryError } from '../../model/errors.ts';
import { openCinderDatabase, type CinderDatabase } from './open-database.ts';

/** MySQL has no booleans. */
const yes = z.union([z.boolean(), z.number()]).nullable().transform(Boolean);
const words = z.string().nullable();

/** Under the names of Cinder's columns, which are the same since its release of 2017. */
const volumeRow = z.object({
  id: z.string(),
  _name_id: words,
  project_id: words,
  user_id: words,
  display_name: words,
  display_description: words,
  /** GiB. */
  size: z.number().nullable(),
  host: words,
  status: words,
  attach_status: words,
  migration_status: words,
  volume_type_id: words,
  bootable: yes,
  encryption_key_id: words,
  multiattach: yes,
  group_id: words,
});
const snapshotRow = z.object({
  id: z.string(),
  volume_id: words,
  project_id: words,
  user_id: words,
  display_name: words,
  display_description: words,
  status: words,
});
const typeRow = z.object({ id: z.string(), name: words, description: words, is_public: yes });
const accessRow = z.object({ volume_type_id: words, project_id: words });
const attachmentRow = z.object({ volume_id: words, instance_uuid: words, attached_host: words, attach_status: words });
const serviceRow = z.object({ host: words, seconds_ago: z.coerce.number().nullable() });
const pairRow = z.object({ owner: words, key: words, value: words });

export type CinderVolume = Omit<z.output<typeof volumeRow>, '_name_id'> & {
  /** The id that its device is named after, once Cinder has migrated it. */
  nameId: string | null;
  metadata: Record<string, string>;
  readOnly: boolean;
  /** What has it, or reserves it. */
  users: string[];
};
export type CinderSnapshot = z.output<typeof snapshotRow> & { metadata: Record<string, string> };
export type CinderType = z.output<typeof typeRow> & { extraSpecs: Record<string, string>; tenants: string[] };

/** What a Cinder's database knows of volumes that are not deleted. */
export interface CinderRecords {
  volumes: CinderVolume[];
  snapshots: CinderSnapshot[];
  types: CinderType[];
  services: CinderService[];
}

/** A cinder-volume. */
export interface CinderService {
  /** `node@backend`. */
  host: string;
  /** It has said lately that it lives. */
  lives: boolean;
}

/** What Cinder itself calls down: the default of `service_down_time`, in seconds. */
const serviceDownSeconds = 60;

/** Both dialects have it. */
const isThere = 'NOT coalesce(deleted, false)';

/** Reads it all as it was at one moment. `InvalidInput` for a database that is no Cinder's. */
export async function readCinder(databaseUrl: string): Promise<CinderRecords> {
  const database = await openCinderDatabase(databaseUrl);
  try {
    return await readAll(database);
  } finally {
    await database.close();
  }
}

/** Each cinder-volume, and whether it lives, as of now. Fails as `readCinder`. */
export async function readCinderServices(databaseUrl: string): Promise<CinderService[]> {
  const database = await openCinderDatabase(databaseUrl);
  try {
    return await readServices(database);
  } finally {
    await database.close();
  }
}

async function readServices(database: CinderDatabase): Promise<CinderService[]> {
  // One that has just begun was never updated.
  const heard = database.secondsSince('coalesce(updated_at, created_at)');
  const services = await read(
    database,
    serviceRow,
    `SELECT host, ${heard} AS seconds_ago FROM services WHERE services.binary = 'cinder-volume' AND ${isThere}`,
  );
  return services.flatMap(({ host, seconds_ago: ago }) =>
    host === null ? [] : [{ host, lives: ago !== null && ago < serviceDownSeconds }],
  );
}

async function readAll(database: CinderDatabase): Promise<CinderRecords> {
  const rows = <S extends z.ZodObject>(row: S, table: string, where = isThere) =>
    read(database, row, `SELECT ${Object.keys(row.shape).join(', ')} FROM ${table} WHERE ${where}`);
  const pairs = async (table: string, owner: string) =>
    byOwner(
      await read(database, pairRow, `SELECT m.${owner} AS owner, m.key, m.value FROM ${table} m WHERE ${isThere}`),
    );

  // One connection answers one question at a time.
  const volumes = await rows(volumeRow, 'volumes');
  const metadata = await pairs('volume_metadata', 'volume_id');
  const adminMetadata = await pairs('volume_admin_metadata', 'volume_id');
  const attachments = await rows(attachmentRow, 'volume_attachment');
  const snapshots = await rows(snapshotRow, 'snapshots');
  const snapshotMetadata = await pairs('snapshot_metadata', 'snapshot_id');
  const types = await rows(typeRow, 'volume_types');
  const extraSpecs = await pairs('volume_type_extra_specs', 'volume_type_id');
  const access = await rows(accessRow, 'volume_type_projects', 'deleted = 0');
  const services = await readServices(database);

  const held = attachments.filter((each) => each.attach_status !== 'detached');
  const heldBy = Map.groupBy(held, (each) => each.volume_id);
  const usersOf = (id: string) =>
    (heldBy.get(id) ?? []).map((each) => each.instance_uuid ?? each.attached_host ?? 'somebody');
  return {
    volumes: volumes.map(({ _name_id: nameId, ...each }) => ({
      ...each,
      nameId,
      metadata: metadata.get(each.id) ?? {},
      readOnly: adminMetadata.get(each.id)?.['readonly'] === 'True',
      users: usersOf(each.id),
    })),
    snapshots: snapshots.map((each) => ({ ...each, metadata: snapshotMetadata.get(each.id) ?? {} })),
    types: types.map((each) => ({
      ...each,
      extraSpecs: extraSpecs.get(each.id) ?? {},
      tenants: access.filter((a) => a.volume_type_id === each.id).flatMap((a) => a.project_id ?? []),
    })),
    services,
  };
}

async function read<S extends z.ZodType>(database: CinderDatabase, row: S, statement: string): Promise<z.output<S>[]> {
  try {
    return z.array(row).parse(await database.rows(statement));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new FerryError(
      'InvalidInput',
      `database: is no database of Cinder's, or of a release that is not known here (${why})`,
      { fields: ['database'] },
      { cause: error },
    );
  }
}

function byOwner(rows: z.output<typeof pairRow>[]): Map<string, Record<string, string>> {
  const found = new Map<string, Record<string, string>>();
  for (const { owner, key, value } of rows)
    if (owner !== null && key !== null) found.set(owner, { ...found.get(owner), [key]: value ?? '' });
  return found;
}
