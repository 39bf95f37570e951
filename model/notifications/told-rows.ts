import * as z from 'zod';
import type { Event } from '../event.ts';

/**
 * The rows in an event, as far as others are told of them: under the registry's names, in the registry's form of JSON. Events are kept for
 * weeks: what an older Ferry has not written is null.
 */
const text = z.string().nullable().default(null);

const volumeRow = z.object({
  id: z.string(),
  tenant_id: z.string(),
  user_id: text,
  name: text,
  description: text,
  size_bytes: z.number(),
  status: z.string(),
  host: z.string(),
  availability_zone: z.string(),
  volume_type: text,
  bootable: z.boolean().default(false),
  snapshot_id: text,
  source_volume_id: text,
  metadata: z.record(z.string(), z.string()).default({}),
  created_at: z.string(),
});
export type VolumeRow = z.infer<typeof volumeRow>;

const snapshotRow = z.object({
  id: z.string(),
  tenant_id: z.string(),
  user_id: text,
  name: text,
  size_bytes: z.number(),
  status: z.string(),
  metadata: z.record(z.string(), z.string()).default({}),
  created_at: z.string(),
});
export type SnapshotRow = z.infer<typeof snapshotRow>;

const attachmentRow = z.object({
  id: z.string(),
  instance_id: z.string(),
  compute_host: z.string(),
  device: text,
  mode: z.string(),
});

const errorRow = z.object({ type: z.string(), message: z.string() }).nullable().default(null);

const recordRow = z.object({
  started_at: z.string(),
  finished_at: text,
  error: errorRow,
});

const migrationRow = z.object({
  id: z.string(),
  requested_by: text,
  source: z.string(),
  destination: z.string(),
  flow: z.string(),
  total_bytes: z.number(),
  transferred_bytes: z.number().nullable().default(null),
  digest: text,
  proof: text,
  old_type: text,
  new_type: text,
});

const planRow = z.object({ id: z.string(), requested_by: text, source: z.string() });

const rows = z.object({
  operation: recordRow.optional(),
  migration: migrationRow.extend(recordRow.shape).optional(),
  plan: planRow.extend(recordRow.shape).optional(),
  volume: volumeRow.nullable().default(null),
  snapshots: z.array(snapshotRow).default([]),
  attachments: z.array(attachmentRow).default([]),
  /** Of a plan: how many volumes came to what. */
  volumes: z.record(z.string(), z.number()).optional(),
});
export type ToldRows = z.infer<typeof rows>;

/** Throws when the event holds what no Ferry has written. */
export function toldRows(event: Event): ToldRows {
  return rows.parse(event.data);
}

/** Postgres' form of a time in JSON has six digits of a second, and a zone. */
export function isoTime(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
