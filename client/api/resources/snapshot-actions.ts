import * as z from 'zod';
import { metadata as metadataSchema } from '../../../model/text.ts';
import { action, call, type Action, type Asked, type Call } from '../call.ts';
import { metadata, text } from '../fields.ts';
import { badRequest, notFound } from '../fault.ts';

const path = '/snapshots/{id}/action';
const statuses = ['available', 'creating', 'deleting', 'error', 'error_deleting'];
const told = ['creating', 'available', 'deleting', 'error', 'error_deleting'];

/** What is set by hand of a snapshot. */
export const snapshotActions: readonly Action[] = [
  action({
    path,
    action: 'os-reset_status',
    summary: "Set a snapshot's status by hand",
    rule: 'volume_extension:snapshot_admin_actions:reset_status',
    status: 202,
    body: z.object({ status: text }),
    async handle(asked) {
      const { status } = asked.body;
      if (!status) throw badRequest("Must specify 'status' for update.");
      if (!statuses.includes(status)) throw invalidStatus(status, statuses);
      await asked.ferry.findSnapshot(asked.params['id']!);
      await asked.admin.resetSnapshot(asked.params['id']!, { status: status as 'error' });
      return {};
    },
  }),
  action({
    path,
    action: 'os-force_delete',
    summary: 'Delete a snapshot whatever its status',
    rule: 'volume_extension:snapshot_admin_actions:force_delete',
    status: 202,
    body: z.unknown(),
    async handle(asked) {
      const { id } = await asked.ferry.findSnapshot(asked.params['id']!);
      await asked.admin.deleteSnapshot(id, { force: true });
      return {};
    },
  }),
  action({
    path,
    action: 'os-unmanage',
    summary: 'Forget a snapshot and leave its device',
    rule: 'snapshot_extension:snapshot_unmanage',
    status: 202,
    body: z.unknown(),
    async handle(asked) {
      const { id } = await asked.ferry.findSnapshot(asked.params['id']!);
      await asked.admin.unmanageSnapshot(id);
      return {};
    },
  }),
  action({
    path,
    action: 'os-update_snapshot_status',
    summary: 'Tell what has become of a snapshot that is being made or deleted',
    rule: 'snapshot_extension:snapshot_actions:update_snapshot_status',
    status: 202,
    body: z.object({ status: z.string(), progress: text }),
    async handle(asked) {
      const { status, progress } = asked.body;
      if (!told.includes(status)) throw invalidStatus(status, told);
      if (progress && !/^(100|\d{1,2})%$/.test(progress))
        throw badRequest('Invalid input received: progress must be an integer percentage');
      await asked.ferry.tellSnapshotStatus(asked.params['id']!, { status, ...(progress ? { progress } : {}) });
      return {};
    },
  }),
];

function invalidStatus(status: string, valid: readonly string[]) {
  return badRequest(
    `Snapshot status: ${status} is invalid, valid statuses are: (${valid.map((each) => `'${each}'`).join(', ')}).`,
  );
}

const allBody = z.object({ metadata });
const oneBody = z.object({ meta: metadata });

const idOf = async ({ ferry, params }: Asked) => (await ferry.findSnapshot(params['id']!)).id;
const metadataOf = async ({ ferry, params }: Asked) => (await ferry.findSnapshot(params['id']!)).metadata;

function checked(given: Record<string, string>): Record<string, string> {
  const parsed = metadataSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw badRequest(`Invalid input for field/attribute metadata. ${parsed.error.issues[0]!.message}`);
}

async function valueOf(asked: Asked): Promise<[string, string]> {
  const key = asked.params['key']!;
  const all = await metadataOf(asked);
  if (!Object.hasOwn(all, key)) throw notFound(`Snapshot ${asked.params['id']} has no metadata with key ${key}.`);
  return [key, all[key]!];
}

/** What somebody keeps with a snapshot. */
export const snapshotMetadataCalls: readonly Call[] = [
  call({
    method: 'get',
    path: '/snapshots/{id}/metadata',
    summary: "Show a snapshot's metadata",
    rule: 'volume:get_snapshot_metadata',
    status: 200,
    handle: async (asked) => ({ body: { metadata: await metadataOf(asked) } }),
  }),
  call({
    method: 'post',
    path: '/snapshots/{id}/metadata',
    summary: 'Add to the metadata of a snapshot',
    rule: 'volume:update_snapshot_metadata',
    status: 200,
    body: allBody,
    async handle(asked) {
      const set = checked(asked.body.metadata);
      const { metadata: all } = await asked.ferry.changeSnapshotMetadata(await idOf(asked), { set });
      return { body: { metadata: all } };
    },
  }),
  call({
    method: 'put',
    path: '/snapshots/{id}/metadata',
    summary: 'Replace the metadata of a snapshot',
    rule: 'volume:update_snapshot_metadata',
    status: 200,
    body: allBody,
    async handle(asked) {
      const all = checked(asked.body.metadata);
      const { metadata: now } = await asked.ferry.replaceSnapshotMetadata(await idOf(asked), all);
      return { body: { metadata: now } };
    },
  }),
  call({
    method: 'get',
    path: '/snapshots/{id}/metadata/{key}',
    summary: "Show one of a snapshot's metadata",
    rule: 'volume:get_snapshot_metadata',
    status: 200,
    async handle(asked) {
      const [key, value] = await valueOf(asked);
      return { body: { meta: { [key]: value } } };
    },
  }),
  call({
    method: 'put',
    path: '/snapshots/{id}/metadata/{key}',
    summary: "Set one of a snapshot's metadata",
    rule: 'volume:update_snapshot_metadata',
    status: 200,
    body: oneBody,
    async handle(asked) {
      const key = asked.params['key']!;
      const meta = checked(asked.body.meta);
      if (!Object.hasOwn(meta, key)) throw badRequest('Request body and URI mismatch');
      if (Object.keys(meta).length > 1) throw badRequest('Request body contains too many items');
      await asked.ferry.changeSnapshotMetadata(await idOf(asked), { set: meta });
      return { body: { meta } };
    },
  }),
  call({
    method: 'delete',
    path: '/snapshots/{id}/metadata/{key}',
    summary: "Remove one of a snapshot's metadata",
    rule: 'volume:delete_snapshot_metadata',
    status: 200,
    async handle(asked) {
      const [key] = await valueOf(asked);
      await asked.ferry.changeSnapshotMetadata(await idOf(asked), { unset: [key] });
      return {};
    },
  }),
];
