import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { backEndName, tenantId, volumeId } from '../model/ids.ts';
import { controlQueue, operationWorkflowId } from '../model/names.ts';
import { sizeBytes, sizeWords } from '../model/sizes.ts';
import { label, metadata } from '../model/text.ts';
import type { Volume } from '../model/volume.ts';
import { findSnapshot } from '../registry/snapshots.ts';
import { findVolumeType } from '../registry/volume-types.ts';
import { findVolume } from '../registry/volumes.ts';
import { beginWorkflow } from './begin-workflow.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { requireAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { workflowResult } from './workflow-result.ts';

/** What a new volume shall be. */
export const newVolume = z.object({
  /** May be left out of one that is made from something: as large as that is. */
  sizeBytes: sizeBytes.optional(),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  metadata: metadata.default({}),
  /** As what it is made from, if not given. */
  bootable: z.boolean().optional(),
  /** By name or id. */
  volumeType: label.min(1).nullable().default(null),
  /** Its owner, if it is not the caller's own tenant. For administrators. */
  tenantId: tenantId.optional(),
  /** Where it shall be; chosen if not given. For administrators. */
  backEnd: backEndName.optional(),
  availabilityZone: label.min(1).optional(),
  /** What its bytes are copied from, at most one of the two. Its type is that of the volume, if no other is given. */
  snapshotId: z.uuid().nullish(),
  sourceVolumeId: volumeId.nullish(),
});
export type NewVolume = z.input<typeof newVolume>;

/** Makes a volume and answers when it is `available`, or when it is begun. Refused or failed: typed as the workflow ended. */
export async function createVolume(context: Context, input: NewVolume): Promise<Volume> {
  const { registry, identity } = context;
  const {
    backEnd = null,
    tenantId: owner = identity.tenant,
    availabilityZone = null,
    volumeType: typeName,
    sizeBytes: givenSize,
    snapshotId = null,
    sourceVolumeId = null,
    ...wanted
  } = parseInput(newVolume, input);
  if (backEnd !== null) requireAdmin(identity, 'say on which back end a volume is made');
  if (owner !== identity.tenant) requireAdmin(identity, 'make volumes for other tenants');
  const from = await originOf(context, { snapshotId, sourceVolumeId });
  const size = givenSize ?? from?.sizeBytes;
  if (size === undefined)
    throw new FerryError('InvalidInput', 'The size of a volume that is made from nothing must be given.');
  const type = typeName ?? from?.volumeType ?? null;
  const volumeType = type === null ? null : await findVolumeType(registry, type, visibleTo(identity));
  const id = randomUUID();
  const temporal = await context.temporal();
  await waitForControlWorker(temporal);
  const workflow = 'createVolume';
  const workflowId = operationWorkflowId('create', id);
  const summary = `create volume ${id} (${sizeWords(size)})${backEnd === null ? '' : ` on ${backEnd}`}`;
  const request = {
    ...wanted,
    volumeId: id,
    bootable: wanted.bootable ?? from?.bootable ?? false,
    sizeBytes: size,
    snapshotId,
    sourceVolumeId,
    tenantId: owner,
    userId: identity.userId ?? null,
    backEnd,
    availabilityZone,
    volumeType: volumeType?.name ?? null,
  };
  if (context.answers === 'when begun') {
    await beginWorkflow(temporal, { workflow, workflowId, summary, input: request });
    return findVolume(registry, id);
  }
  const handle = await temporal.call((client) =>
    client.workflow.start(workflow, {
      taskQueue: controlQueue,
      workflowId,
      staticSummary: summary,
      args: [request],
    }),
  );
  await workflowResult(temporal, handle);
  return findVolume(registry, id);
}

/** What it is made from, as far as the new one is like it; null: it is made from nothing. Not there for the caller: as for any other call. */
async function originOf(
  { registry, identity }: Context,
  { snapshotId, sourceVolumeId }: { snapshotId: string | null; sourceVolumeId: string | null },
): Promise<Pick<Volume, 'sizeBytes' | 'volumeType' | 'bootable'> | null> {
  const visible = visibleTo(identity);
  if (snapshotId !== null) {
    const found = await findSnapshot(registry, snapshotId, visible);
    return { ...(await findVolume(registry, found.volumeId)), sizeBytes: found.sizeBytes };
  }
  return sourceVolumeId === null ? null : findVolume(registry, sourceVolumeId, visible);
}
