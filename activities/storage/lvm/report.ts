import * as z from 'zod';
import type { StorageSeen } from '../../../model/storage-identity.ts';
import { markIn } from './mark-tags.ts';
import { isMetadataFull } from './pool-capacity.ts';

/** What lvm2 reports of a logical volume, as far as the driver asks. */
export interface LogicalVolume {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly identity: string;
  readonly open: boolean;
  readonly active: boolean;
  /** Nobody may write to it. */
  readonly readOnly: boolean;
  /** The snapshots that hang on it, whoever made them. */
  readonly snapshots: readonly string[];
  /** Somebody's snapshot; the origin of some; something that holds volumes rather than being one. */
  readonly snapshot: boolean;
  readonly origin: boolean;
  /** The origin of snapshots that take up what it loses by each write: they are not thin. */
  readonly thickOrigin: boolean;
  readonly pool: boolean;
  /** The thin pool that its bytes are in; null for one that has extents of its own. */
  readonly thinPool: string | null;
  /** It is thin, and nothing has been written to it: it reads as zeros. */
  readonly unwritten: boolean;
  /** Part of it lies on a disk that the group has lost. */
  readonly lost: boolean;
}

/** What lvm2 reports of a thin pool. */
export interface ThinPool {
  readonly name: string;
  readonly sizeBytes: number;
  /** What is handed out to a volume at once. */
  readonly chunkBytes: number;
  readonly dataPercent: number;
  readonly metadataBytes: number;
  readonly metadataPercent: number;
  /** Whether chunks can be given back. */
  readonly discards: boolean;
  /** Why its volumes cannot be used; null when they can. */
  readonly fault: string | null;
  /** Why nothing can be made in it, although its volumes can be read; null when it is well. */
  readonly placementFault: string | null;
}

/** What lvm2 reports of a volume group. */
export interface VolumeGroup {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly extentBytes: number;
  /** Why its volumes cannot be used; null when they can. */
  readonly fault: string | null;
  /** Why nothing can be made in it, although volumes in it can be used; null when it is well. */
  readonly placementFault: string | null;
  readonly seen: StorageSeen;
}

/** Options under which lvm2 reports for machines: JSON, plain bytes, 0/1/-1 for yes, no and unknown. */
const reportOptions = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '--binary'] as const;

export const volumeReport = [
  ...reportOptions,
  '--options',
  'lv_name,lv_uuid,lv_path,lv_size,lv_tags,lv_device_open,lv_active,lv_layout,lv_role,origin_size,pool_lv,data_percent,' +
    'metadata_percent,lv_metadata_size,chunk_size,zero,discards,lv_health_status,lv_check_needed,lv_attr,lv_descendants,vg_uuid,vg_tags,vg_seqno',
] as const;
export const groupReport = [
  ...reportOptions,
  '--options',
  'vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count,vg_exported,vg_uuid,vg_tags,vg_seqno',
] as const;

const bytes = z.coerce.number().int().nonnegative();
/** Whose the group is: in the report of a group, and of each volume in it. */
const identityOfGroup = { vg_uuid: z.string(), vg_tags: z.string(), vg_seqno: z.coerce.number() };
const volumeRow = z.object({
  lv_name: z.string(),
  lv_uuid: z.string().min(1),
  lv_path: z.string(),
  lv_size: bytes,
  lv_tags: z.string(),
  lv_device_open: z.string(),
  lv_active: z.string(),
  lv_layout: z.string(),
  lv_role: z.string(),
  // Empty unless it is a snapshot.
  origin_size: bytes,
  pool_lv: z.string(),
  // Empty unless it is thin or a pool, and active.
  data_percent: z.string(),
  metadata_percent: z.string(),
  lv_metadata_size: bytes,
  chunk_size: bytes,
  zero: z.string(),
  discards: z.string(),
  lv_health_status: z.string(),
  lv_check_needed: z.string(),
  lv_attr: z.string().default(''),
  lv_descendants: z.string().default(''),
  ...identityOfGroup,
});
type VolumeRow = z.infer<typeof volumeRow>;
const groupRow = z.object({
  vg_name: z.string(),
  vg_size: bytes,
  vg_free: bytes,
  vg_extent_size: bytes,
  vg_missing_pv_count: z.coerce.number(),
  vg_exported: z.string(),
  ...identityOfGroup,
});
const volumes = z.object({ report: z.array(z.object({ lv: z.array(volumeRow) })) });
const groups = z.object({ report: z.array(z.object({ vg: z.array(groupRow) })) });

/** The volumes of `lvs`, in the group of that name; pools are among them. */
export function parseVolumes(volumeGroup: string, stdout: string): LogicalVolume[] {
  return rowsOf(stdout).map((row) => {
    const [roles, layout] = [row.lv_role.split(','), row.lv_layout.split(',')];
    // Of a snapshot that is not thin, `lv_size` is the room for what has changed.
    const overflowing = roles.includes('snapshot') && !roles.includes('thinsnapshot');
    return {
      name: row.lv_name,
      path: row.lv_path || `/dev/${volumeGroup}/${row.lv_name}`, // a thin pool, for example, has none
      sizeBytes: overflowing ? row.origin_size : row.lv_size,
      tags: tagsOf(row.lv_tags),
      identity: row.lv_uuid,
      open: row.lv_device_open === '1',
      active: row.lv_active !== '',
      readOnly: /^.[rR]/.test(row.lv_attr),
      snapshots: row.lv_descendants === '' ? [] : row.lv_descendants.split(','),
      snapshot: roles.includes('snapshot'),
      origin: roles.includes('origin'),
      thickOrigin: roles.includes('thickorigin'),
      pool: layout.includes('pool') || roles.includes('private'),
      thinPool: row.pool_lv === '' ? null : row.pool_lv,
      // lvm2 rounds so that only nothing at all is 0.00.
      unwritten: row.pool_lv !== '' && row.data_percent === '0.00',
      lost: row.lv_health_status === 'partial',
    };
  });
}

/** The thin pool of that name among what `lvs` reports, or null when there is none. */
export function parseThinPool(volumeGroup: string, name: string, stdout: string): ThinPool | null {
  const row = rowsOf(stdout).find((each) => each.lv_name === name && each.lv_layout === 'thin,pool');
  if (!row) return null;
  return {
    name,
    sizeBytes: row.lv_size,
    chunkBytes: row.chunk_size,
    dataPercent: Number(row.data_percent),
    metadataBytes: row.lv_metadata_size,
    metadataPercent: Number(row.metadata_percent),
    discards: row.discards !== 'ignore',
    ...faultsOfPool(`${volumeGroup}/${name}`, row),
  };
}

function faultsOfPool(operand: string, row: VolumeRow): Pick<ThinPool, 'fault' | 'placementFault'> {
  if (row.lv_health_status === 'failed') return { fault: `it has failed; ${repairOf(operand)}`, placementFault: null };
  if (row.data_percent === '')
    return { fault: `it is not active; activate it: lvchange --activate y ${operand}`, placementFault: null };
  return { fault: null, placementFault: placementFaultOfPool(operand, row) };
}

const repairOf = (operand: string) =>
  `end what uses its volumes, deactivate them and it, and repair it: lvconvert --repair ${operand}`;

/** A pool that is full of data is well: what is in it can be read, moved away and deleted. */
function placementFaultOfPool(operand: string, row: VolumeRow): string | null {
  if (row.lv_health_status === 'metadata_read_only')
    return `its metadata is damaged and cannot be written any more; ${repairOf(operand)}`;
  if (row.lv_check_needed === '1') return `its metadata must be checked; ${repairOf(operand)}`;
  if (isMetadataFull(row.lv_metadata_size, Number(row.metadata_percent)))
    return `its metadata is ${row.metadata_percent} % full, too full to be changed; make it larger: lvextend --poolmetadatasize +SIZE ${operand}`;
  // A part of a chunk that is written to would show what was in the rest of it before.
  if (row.zero !== '1')
    return `it hands out chunks that still show another volume's bytes; switch its zeroing on: lvchange --zero y ${operand}`;
  return null;
}

/** What the group tells of itself in the report of its volumes; null when it has none. */
export function seenInVolumes(stdout: string): StorageSeen | null {
  const [row] = rowsOf(stdout);
  return row ? seenOf(row.vg_uuid, row.vg_tags, row) : null;
}

/** The same of a thin pool; null when it is not there. */
export function seenOfPool(name: string, stdout: string): StorageSeen | null {
  const row = rowsOf(stdout).find((each) => each.lv_name === name);
  return row ? seenOf(`${row.vg_uuid}/${row.lv_uuid}`, row.lv_tags, row) : null;
}

function seenOf(uuid: string, tags: string, row: { vg_seqno: number }): StorageSeen {
  return { mark: markIn(tagsOf(tags)), uuid, mountPoint: null, sequence: row.vg_seqno };
}

const tagsOf = (tags: string): string[] => (tags === '' ? [] : tags.split(','));

function rowsOf(stdout: string): VolumeRow[] {
  return volumes.parse(JSON.parse(stdout)).report.flatMap(({ lv }) => lv);
}

/** The groups of `vgs` that carry Ferry's mark. */
export function markedGroups(stdout: string): { name: string; backEnd: string }[] {
  const rows = groups.parse(JSON.parse(stdout)).report.flatMap(({ vg }) => vg);
  return rows.flatMap(({ vg_name: name, vg_tags: tags }) => {
    const mark = markIn(tagsOf(tags));
    return mark ? [{ name, backEnd: mark.backEnd }] : [];
  });
}

/** The group of `vgs`, or null when there is none of that name. */
export function parseGroup(volumeGroup: string, stdout: string): VolumeGroup | null {
  const row = groups
    .parse(JSON.parse(stdout))
    .report.flatMap(({ vg }) => vg)
    .find((vg) => vg.vg_name === volumeGroup);
  if (!row) return null;
  const missing = row.vg_missing_pv_count;
  return {
    totalBytes: row.vg_size,
    freeBytes: row.vg_free,
    extentBytes: row.vg_extent_size,
    fault: row.vg_exported === '1' ? 'it is exported' : null,
    placementFault: missing > 0 ? `${missing} of the physical volumes of ${volumeGroup} are missing` : null,
    seen: seenOf(row.vg_uuid, row.vg_tags, row),
  };
}
