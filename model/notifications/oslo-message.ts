import type { Event, EventKind } from '../event.ts';
import { gib } from '../sizes.ts';
import { isoTime, type SnapshotRow, type ToldRows, type VolumeRow } from './told-rows.ts';

/** Cinder's words for what it knows as well (its volume manager's `_notify_about_volume_usage`); the others are in its manner. */
const cinderNames: Readonly<Record<EventKind, string>> = {
  create: 'volume.create',
  delete: 'volume.delete',
  extend: 'volume.resize',
  retype: 'volume.retype',
  attach: 'volume.attach',
  detach: 'volume.detach',
  revert: 'volume.revert',
  manage: 'volume.manage_existing',
  unmanage: 'volume.unmanage',
  transfer: 'volume.transfer',
  migrate: 'volume.migrate',
  snapshot: 'snapshot.create',
  'delete-snapshot': 'snapshot.delete',
  'manage-snapshot': 'snapshot.manage_existing_snapshot',
  'unmanage-snapshot': 'snapshot.unmanage',
  evacuation: 'host.evacuate',
  balance: 'host.balance',
  test: 'webhook.test',
};

const good: ReadonlySet<string> = new Set(['success', 'emptied']);

/** What oslo.messaging's notifier would have sent for Cinder: `.end` of what went well, `.error` of all else. */
export function osloMessage(event: Event, rows: ToldRows) {
  const wentWell = good.has(event.outcome);
  const about = isOfSnapshot(event) ? 'snapshot' : 'volume';
  return {
    message_id: event.id,
    publisher_id: `${about}.${rows.volume?.host ?? event.subject}`,
    event_type: `${cinderNames[event.kind]}.${wentWell ? 'end' : 'error'}`,
    priority: wentWell ? 'INFO' : 'ERROR',
    timestamp: pythonTime(event.at),
    payload: payloadOf(event, rows),
  };
}

function isOfSnapshot({ kind }: Event): boolean {
  return cinderNames[kind].startsWith('snapshot.');
}

/** In the registry it is still under way when its event is noted. */
function statusAfter({ kind, outcome }: Event): string {
  const goes = kind === 'delete-snapshot' || kind === 'unmanage-snapshot';
  if (good.has(outcome)) return goes ? 'deleted' : 'available';
  return goes ? 'error_deleting' : 'error';
}

/** Python's `str(datetime)`, in UTC. */
function pythonTime(at: Date): string {
  return at.toISOString().replace('T', ' ').replace('Z', '000');
}

function payloadOf(event: Event, rows: ToldRows) {
  if (event.kind === 'test') return { webhook: event.subject };
  const { volume, migration, plan, operation, snapshots } = rows;
  const why = (migration ?? plan ?? operation)?.error ?? null;
  const failed = why === null ? {} : { error: why.message, error_type: why.type };
  if (plan)
    return { plan_id: plan.id, host: plan.source, outcome: event.outcome, volumes: rows.volumes ?? {}, ...failed };
  const [snapshot] = snapshots;
  if (volume && snapshot && isOfSnapshot(event))
    return { ...snapshotUsage(volume, { ...snapshot, status: statusAfter(event) }), ...failed };
  const moved = migration
    ? { migration_id: migration.id, from_host: migration.source, to_host: migration.destination }
    : {};
  return { ...(volume ? volumeUsage(volume, rows) : { volume_id: event.subject }), ...moved, ...failed };
}

/** Cinder's `_usage_from_volume`. */
function volumeUsage(v: VolumeRow, { attachments }: ToldRows) {
  const createdAt = isoTime(v.created_at);
  return {
    tenant_id: v.tenant_id,
    user_id: v.user_id,
    host: v.host,
    availability_zone: v.availability_zone,
    volume_id: v.id,
    volume_type: v.volume_type,
    display_name: v.name,
    launched_at: createdAt,
    created_at: createdAt,
    status: v.status,
    snapshot_id: v.snapshot_id,
    size: Math.ceil(v.size_bytes / gib),
    replication_status: null,
    replication_extended_status: null,
    replication_driver_data: null,
    metadata: v.metadata,
    volume_attachment: attachments.map((a) => ({
      id: a.id,
      instance_uuid: a.instance_id,
      attached_host: a.compute_host,
      mountpoint: a.device,
      attach_mode: a.mode,
    })),
  };
}

/** Cinder's `_usage_from_snapshot`. */
function snapshotUsage(v: VolumeRow, s: SnapshotRow) {
  return {
    tenant_id: s.tenant_id,
    user_id: s.user_id,
    availability_zone: v.availability_zone,
    volume_id: v.id,
    volume_size: Math.ceil(s.size_bytes / gib),
    snapshot_id: s.id,
    display_name: s.name,
    created_at: isoTime(s.created_at),
    status: s.status,
    deleted: '',
    metadata: s.metadata,
  };
}
