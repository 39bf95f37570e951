import type { Event } from '../event.ts';
import { osloMessage } from './oslo-message.ts';
import { isoTime, toldRows, type SnapshotRow, type ToldRows, type VolumeRow } from './told-rows.ts';

/** In which form receivers want what is in the envelope: Ferry's own, or that of Cinder's notifications. */
export type DataForm = 'ferry' | 'oslo';

/**
 * An event in CloudEvents' envelope (version 1.0, JSON; `sequence` and `partitionkey` are documented extensions of it). `registry`: the
 * identity of the registry that noted it. The same event gives the same text: receivers may compare.
 */
export function cloudEvent(event: Event, { registry, form }: { registry: string; form: DataForm }) {
  const rows = toldRows(event);
  return {
    specversion: '1.0',
    id: event.id,
    source: `urn:ferry:${registry}`,
    type: `ferry.${about(event, rows)}.${event.kind}.${event.outcome}`,
    subject: event.subject,
    time: event.at.toISOString(),
    sequence: String(event.sequence),
    partitionkey: event.subject,
    datacontenttype: 'application/json',
    data: form === 'oslo' ? osloMessage(event, rows) : ownData(event, rows),
  };
}

function about({ kind }: Event, { plan }: ToldRows): 'webhook' | 'plan' | 'volume' {
  if (kind === 'test') return 'webhook';
  return plan ? 'plan' : 'volume';
}

function ownData(event: Event, rows: ToldRows) {
  if (event.kind === 'test') return { outcome: event.outcome, webhook: event.subject };
  const { operation, migration, plan, volumes } = rows;
  const record = migration ?? plan ?? operation;
  return {
    outcome: event.outcome,
    error: record?.error ?? null,
    startedAt: isoTime(record?.started_at ?? null),
    finishedAt: isoTime(record?.finished_at ?? null),
    ...(plan
      ? { plan: { id: plan.id, kind: event.kind, source: plan.source, requestedBy: plan.requested_by, volumes } }
      : { volumeId: event.subject, volume: rows.volume && toldVolume(rows.volume) }),
    ...(migration ? { migration: toldMigration(migration) } : {}),
    ...(operation ? { snapshots: rows.snapshots.map(toldSnapshot), attachments: toldAttachments(rows) } : {}),
  };
}

function toldVolume(v: VolumeRow) {
  return {
    id: v.id,
    tenantId: v.tenant_id,
    userId: v.user_id,
    name: v.name,
    description: v.description,
    sizeBytes: v.size_bytes,
    status: v.status,
    host: v.host,
    availabilityZone: v.availability_zone,
    volumeType: v.volume_type,
    bootable: v.bootable,
    snapshotId: v.snapshot_id,
    sourceVolumeId: v.source_volume_id,
    metadata: v.metadata,
    createdAt: isoTime(v.created_at),
  };
}

function toldMigration(m: NonNullable<ToldRows['migration']>) {
  return {
    id: m.id,
    requestedBy: m.requested_by,
    source: m.source,
    destination: m.destination,
    flow: m.flow,
    totalBytes: m.total_bytes,
    transferredBytes: m.transferred_bytes,
    digest: m.digest,
    proof: m.proof,
    oldType: m.old_type,
    newType: m.new_type,
  };
}

function toldSnapshot(s: SnapshotRow) {
  return { id: s.id, name: s.name, sizeBytes: s.size_bytes, createdAt: isoTime(s.created_at) };
}

function toldAttachments({ attachments }: ToldRows) {
  return attachments.map((a) => ({
    id: a.id,
    instanceId: a.instance_id,
    computeHost: a.compute_host,
    device: a.device,
    mode: a.mode,
  }));
}
