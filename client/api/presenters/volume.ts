import { createHash } from 'node:crypto';
import { gib } from '../../../model/sizes.ts';
import type { Outcome } from '../../../model/migration.ts';
import type { SeenAttachment } from '../../../model/seen-attachment.ts';
import { statusOf, type Volume } from '../../../model/volume.ts';
import { pythonText } from '../input-fault.ts';
import { resourceLinks, type Site } from '../links.ts';
import { timeText } from '../times.ts';

/** A volume with what Cinder shows of its surroundings. */
export interface PresentedVolume {
  volume: Volume;
  attachments: readonly SeenAttachment[];
  /** The id of its type; null without one. */
  typeId: string | null;
  /** How its last migration ended; null while one runs, or when none ever did. */
  lastOutcome: Outcome | null;
  /** Its last migration was to give it another type. */
  wasRetyped: boolean;
}

/** For whom, and how much of it. */
export interface View {
  isAdmin: boolean;
  minor: number;
  site: Site;
}

export function summarizeVolume({ id, name }: Volume, site: Site): object {
  return { id, name, links: resourceLinks(site, `volumes/${id}`) };
}

/** The volume as Cinder shows it. Tenants see nothing of where it is, and whether it moves. */
export function presentVolume(of: PresentedVolume, { isAdmin, minor, site }: View): object {
  const { volume } = of;
  const migration = isAdmin ? { migration_status: migrationStatus(of) } : {};
  return {
    ...base(of, { isAdmin, site }),
    ...migration,
    ...versioned(of, { isAdmin, minor }),
    'os-vol-tenant-attr:tenant_id': volume.tenantId,
    ...(isAdmin && {
      // None after a migration, as the seed says; after a retype that moved it how that ended, as Cinder's own clients wait for.
      'os-vol-mig-status-attr:migstat': of.wasRetyped ? migrationStatus(of) : volume.migrationStatus,
      'os-vol-mig-status-attr:name_id': volume.nameId,
      'os-vol-host-attr:host': poolName(volume.host),
    }),
  };
}

/** What the call that makes or changes a volume answers: without the extended attributes. */
export function presentOwnVolume(of: PresentedVolume, { isAdmin, minor, site }: View): object {
  const migration = isAdmin ? { migration_status: migrationStatus(of) } : {};
  return { ...base(of, { isAdmin, site }), ...migration, ...versioned(of, { isAdmin, minor }) };
}

function base({ volume, attachments }: PresentedVolume, { isAdmin, site }: { isAdmin: boolean; site: Site }) {
  return {
    id: volume.id,
    status: statusText(volume),
    size: sizeGib(volume.sizeBytes),
    availability_zone: volume.availabilityZone,
    created_at: timeText(volume.createdAt),
    updated_at: volume.updatedAt > volume.createdAt ? timeText(volume.updatedAt) : null,
    name: volume.name,
    description: volume.description,
    volume_type: volume.volumeType,
    snapshot_id: volume.snapshotId,
    source_volid: volume.sourceVolumeId,
    metadata:
      volume.readOnly === null ? volume.metadata : { ...volume.metadata, readonly: pythonText(volume.readOnly) },
    links: resourceLinks(site, `volumes/${volume.id}`),
    user_id: volume.userId,
    bootable: String(volume.bootable),
    encrypted: false,
    replication_status: null,
    consistencygroup_id: null,
    multiattach: false,
    attachments: attachments
      .filter(({ status }) => status === 'attached' || status === 'detaching')
      .map((attachment) => ({
        id: volume.id,
        attachment_id: attachment.id,
        volume_id: volume.id,
        server_id: attachment.instanceId,
        host_name: isAdmin ? attachment.host : null,
        device: attachment.device,
        attached_at: attachment.attachedAt === null ? null : timeText(attachment.attachedAt),
      })),
  };
}

function versioned({ volume, typeId }: PresentedVolume, { isAdmin, minor }: { isAdmin: boolean; minor: number }) {
  return {
    ...(minor >= 13 && { group_id: null }),
    ...(minor >= 21 && isAdmin && { provider_id: null }),
    ...(minor >= 48 && { shared_targets: false, service_uuid: serviceUuid(volume.host) }),
    ...(minor >= 61 && isAdmin && { cluster_name: null }),
    ...(minor >= 63 && { volume_type_id: typeId }),
    ...(minor >= 65 && { consumes_quota: true }),
  };
}

/** `migrating` while it moves, as Cinder's; how the last one ended after that. */
function migrationStatus({ volume, lastOutcome }: PresentedVolume): string | null {
  if (volume.migrationStatus !== null) return volume.migrationStatus;
  return lastOutcome === 'cancelled' ? null : lastOutcome;
}

/** Ferry's statuses are Cinder's, but for one: there a snapshot leaves its volume's status as it is. */
export function statusText(volume: Pick<Volume, 'status' | 'shownStatus' | 'previousStatus'>): string {
  const status = statusOf(volume);
  return status === 'snapshotting' ? (volume.previousStatus ?? 'available') : status;
}

/** Whole GiB, as Cinder knows no other; rounded up. */
export function sizeGib(bytes: number): number {
  return Math.ceil(bytes / gib);
}

/** `server1@lvmstorage-1#lvmstorage-1`: a back end of Ferry's has one pool, of its own name. */
export function poolName(backEnd: string): string {
  return `${backEnd}#${backEnd.slice(backEnd.indexOf('@') + 1)}`;
}

/** A UUID that a back end always has: Nova takes a lock of that name while it connects. */
export function serviceUuid(backEnd: string): string {
  const hex = createHash('sha256').update(`cinder-volume ${backEnd}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}
