import * as z from 'zod';
import { call, type Asked, type Call } from '../call.ts';
import { metadata, text } from '../fields.ts';
import { badRequest } from '../fault.ts';
import { labelOf } from '../label.ts';
import { presentSnapshot } from '../presenters/snapshot.ts';

const management = z.object({
  snapshot: z.object({
    volume_id: z.string(),
    ref: z.union([z.string(), z.record(z.string(), z.string())]),
    name: text,
    description: text,
    metadata: metadata.nullish(),
  }),
});

async function manage(asked: Asked<z.output<typeof management>>) {
  const wanted = asked.body.snapshot;
  const deviceName = typeof wanted.ref === 'string' ? wanted.ref : wanted.ref['source-name'];
  if (deviceName === undefined) throw badRequest('Invalid input received: ref must have a source-name.');
  const { volume } = await asked.ferry.findVolume(wanted.volume_id);
  const made = await asked.admin.manageSnapshot({
    volumeId: volume.id,
    deviceName,
    name: labelOf('name', wanted.name),
    description: labelOf('description', wanted.description),
    ...(wanted.metadata ? { metadata: wanted.metadata } : {}),
  });
  return { body: { snapshot: presentSnapshot(made, { minor: asked.minor, extended: false }) } };
}

const managing = {
  method: 'post',
  summary: 'Make a device that is there already a snapshot of a volume',
  rule: 'snapshot_extension:snapshot_manage',
  status: 202,
  body: management,
  handle: manage,
} as const;

export const manageableSnapshotCalls: readonly Call[] = [
  call({ ...managing, path: '/os-snapshot-manage' }),
  call({ ...managing, path: '/manageable_snapshots', since: 8 }),
];
