import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { backEndName, tenantId } from '../model/ids.ts';
import { controlQueue, operationWorkflowId } from '../model/names.ts';
import { sizeBytes, sizeWords } from '../model/sizes.ts';
import { label, metadata } from '../model/text.ts';
import type { Volume } from '../model/volume.ts';
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
  sizeBytes,
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  metadata: metadata.default({}),
  bootable: z.boolean().default(false),
  /** By name or id. */
  volumeType: label.min(1).nullable().default(null),
  /** Its owner, if it is not the caller's own tenant. For administrators. */
  tenantId: tenantId.optional(),
  /** Where it shall be; chosen if not given. For administrators. */
  backEnd: backEndName.optional(),
  availabilityZone: label.min(1).optional(),
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
    ...wanted
  } = parseInput(newVolume, input);
  if (backEnd !== null) requireAdmin(identity, 'say on which back end a volume is made');
  if (owner !== identity.tenant) requireAdmin(identity, 'make volumes for other tenants');
  const volumeType = typeName === null ? null : await findVolumeType(registry, typeName, visibleTo(identity));
  const volumeId = randomUUID();
  const temporal = await context.temporal();
  await waitForControlWorker(temporal);
  const workflow = 'createVolume';
  const workflowId = operationWorkflowId('create', volumeId);
  const summary = `create volume ${volumeId} (${sizeWords(wanted.sizeBytes)})${backEnd === null ? '' : ` on ${backEnd}`}`;
  const request = {
    ...wanted,
    volumeId,
    tenantId: owner,
    userId: identity.userId ?? null,
    backEnd,
    availabilityZone,
    volumeType: volumeType?.name ?? null,
  };
  if (context.answers === 'when begun') {
    await beginWorkflow(temporal, { workflow, workflowId, summary, input: request });
    return findVolume(registry, volumeId);
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
  return findVolume(registry, volumeId);
}
