import * as z from 'zod';

/** What lvm2 reports of a logical volume, as far as the driver asks. */
export interface LogicalVolume {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly open: boolean;
  readonly active: boolean;
  /** Somebody's snapshot; the origin of some; something that holds volumes rather than being one. */
  readonly snapshot: boolean;
  readonly origin: boolean;
  readonly pool: boolean;
}

/** What lvm2 reports of a volume group. */
export interface VolumeGroup {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly extentBytes: number;
  /** Why nothing can be made in it; null when it is well. */
  readonly fault: string | null;
}

/** Options under which lvm2 reports for machines: JSON, plain bytes, 0/1/-1 for yes, no and unknown. */
const reportOptions = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '--binary'] as const;

export const volumeReport = [
  ...reportOptions,
  '--options',
  'lv_name,lv_path,lv_size,lv_tags,lv_device_open,lv_active,lv_layout,lv_role,origin_size',
] as const;
export const groupReport = [
  ...reportOptions,
  '--options',
  'vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count,vg_exported',
] as const;

const bytes = z.coerce.number().int().nonnegative();
const volumeRow = z.object({
  lv_name: z.string(),
  lv_path: z.string(),
  lv_size: bytes,
  lv_tags: z.string(),
  lv_device_open: z.string(),
  lv_active: z.string(),
  lv_layout: z.string(),
  lv_role: z.string(),
  // Empty unless it is a snapshot.
  origin_size: bytes,
});
const groupRow = z.object({
  vg_name: z.string(),
  vg_size: bytes,
  vg_free: bytes,
  vg_extent_size: bytes,
  vg_missing_pv_count: z.coerce.number(),
  vg_exported: z.string(),
});
const volumes = z.object({ report: z.array(z.object({ lv: z.array(volumeRow) })) });
const groups = z.object({ report: z.array(z.object({ vg: z.array(groupRow) })) });

/** The volumes of `lvs`, in the group of that name. */
export function parseVolumes(volumeGroup: string, stdout: string): LogicalVolume[] {
  return volumes.parse(JSON.parse(stdout)).report.flatMap(({ lv }) =>
    lv.map((row) => ({
      name: row.lv_name,
      path: row.lv_path || `/dev/${volumeGroup}/${row.lv_name}`, // a thin pool, for example, has none
      // Of a snapshot, `lv_size` is the room for what has changed.
      sizeBytes: row.lv_role.split(',').includes('snapshot') ? row.origin_size : row.lv_size,
      tags: row.lv_tags === '' ? [] : row.lv_tags.split(','),
      open: row.lv_device_open === '1',
      active: row.lv_active !== '',
      snapshot: row.lv_role.split(',').includes('snapshot'),
      origin: row.lv_role.split(',').includes('origin'),
      pool: row.lv_layout.split(',').includes('pool') || row.lv_role.split(',').includes('private'),
    })),
  );
}

/** The group of `vgs`, or null when there is none of that name. */
export function parseGroup(volumeGroup: string, stdout: string): VolumeGroup | null {
  const row = groups
    .parse(JSON.parse(stdout))
    .report.flatMap(({ vg }) => vg)
    .find((vg) => vg.vg_name === volumeGroup);
  if (!row) return null;
  const fault =
    row.vg_missing_pv_count > 0
      ? `${row.vg_missing_pv_count} of its physical volumes are missing`
      : row.vg_exported === '1'
        ? 'it is exported'
        : null;
  return { totalBytes: row.vg_size, freeBytes: row.vg_free, extentBytes: row.vg_extent_size, fault };
}
