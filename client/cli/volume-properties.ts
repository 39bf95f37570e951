import { gib, sizeText } from '../../model/sizes.ts';
import { statusOf, type Attachment } from '../../model/volume.ts';
import type { VolumeWithAttachments } from '../volumes.ts';

/**
 * A volume's properties by Cinder's names, in Cinder's order; without `attachments` when they were not asked for. Only an
 * administrator sees where it is and that it moves.
 */
export function volumeProperties(
  { volume: v, attachments }: Pick<VolumeWithAttachments, 'volume'> & Partial<VolumeWithAttachments>,
  admin: boolean,
): Record<string, unknown> {
  return {
    ...(attachments ? { attachments: attachments.map((a) => attachmentProperties(a, admin)) } : {}),
    availability_zone: v.availabilityZone,
    bootable: v.bootable,
    created_at: pythonTime(v.createdAt),
    display_description: v.description,
    display_name: v.name,
    id: v.id,
    metadata: v.metadata,
    ...(admin
      ? {
          'os-vol-host-attr:host': v.host,
          'os-vol-mig-status-attr:migstat': v.migrationStatus,
          'os-vol-mig-status-attr:name_id': v.nameId,
        }
      : {}),
    'os-vol-tenant-attr:tenant_id': v.tenantId,
    size: sizeProperty(v.sizeBytes),
    snapshot_id: v.snapshotId,
    source_volid: v.sourceVolumeId,
    status: statusOf(v),
    volume_type: v.volumeType,
  };
}

function attachmentProperties(a: Attachment, admin: boolean): Record<string, unknown> {
  return {
    attachment_id: a.id,
    server_id: a.instanceId,
    ...(admin ? { host_name: a.computeHost } : {}),
    device: a.device,
  };
}

/** Cinder's number of GiB; a size that is none, with its unit: `64MiB`. */
export function sizeProperty(bytes: number): number | string {
  return bytes % gib === 0 ? bytes / gib : sizeText(bytes);
}

/** `2013-09-01T14:53:22.000000`: UTC, microseconds, no zone. */
export function pythonTime(at: Date): string {
  return `${at.toISOString().slice(0, -1)}000`;
}

/** `2013-09-01T14:53:22Z`: for tables of Ferry's own. */
export function utc(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}
