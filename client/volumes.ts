import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { backEndName, tenantId } from '../model/ids.ts';
import { controlQueue, operationWorkflowId } from '../model/names.ts';
import { sizeGib } from '../model/sizes.ts';
import type { Attachment, Volume } from '../model/volume.ts';
import { listAttachments } from '../registry/attachments.ts';
import { listBackEnds } from '../registry/back-ends.ts';
import { findVolume, listVolumes, type VolumeFilter } from '../registry/volumes.ts';
import { chooseBackEnd } from './choose-back-end.ts';
import type { Context } from './context.ts';
import { waitForControlWorker } from './control-worker.ts';
import { requireAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { workflowResult } from './workflow-result.ts';

/** What a new volume shall be. */
export const newVolume = z.object({
  sizeGib,
  name: z.string().max(255).nullable().default(null),
  description: z.string().max(255).nullable().default(null),
  metadata: z.record(z.string().max(255), z.string().max(255)).default({}),
  bootable: z.boolean().default(false),
  /** Its owner, if it is not the caller's own tenant. For administrators. */
  tenantId: tenantId.optional(),
  /** Where it shall be; chosen if not given. For administrators. */
  backEnd: backEndName.optional(),
  availabilityZone: z.string().min(1).optional(),
});
export type NewVolume = z.input<typeof newVolume>;

/** A volume with what hangs on it. */
export interface VolumeWithAttachments {
  volume: Volume;
  attachments: Attachment[];
}

/** What anybody may ask about volumes; tenants see and make their own only. */
export function volumeCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** The volumes that fit and that the caller may see, newest first. */
    listVolumes: (filter: VolumeFilter = {}): Promise<Volume[]> => listVolumes(registry, { ...filter, ...visible }),

    /** `VolumeNotFound` if there is none, or it is another tenant's. */
    async findVolume(volumeId: string): Promise<VolumeWithAttachments> {
      const volume = await findVolume(registry, volumeId, visible);
      return { volume, attachments: await listAttachments(registry, { volumeId: volume.id }) };
    },

    /** Makes a volume and answers when it is `available`. Refused or failed: typed as the workflow ended. */
    async createVolume(input: NewVolume): Promise<VolumeWithAttachments> {
      const wanted = parseInput(newVolume, input);
      if (wanted.backEnd !== undefined) requireAdmin(identity, 'say on which back end a volume is made');
      if (wanted.tenantId !== undefined && wanted.tenantId !== identity.tenant) requireAdmin(identity, 'make volumes for other tenants');
      const backEnd = wanted.backEnd ?? chooseBackEnd(await listBackEnds(registry), wanted, new Date()).name;
      const id = randomUUID();
      const temporal = await context.temporal();
      await waitForControlWorker(temporal);
      const { name, description, metadata, bootable } = wanted;
      const handle = await temporal.call((client) =>
        client.workflow.start('createVolume', {
          taskQueue: controlQueue,
          workflowId: operationWorkflowId('create', id),
          staticSummary: `create volume ${id} (${wanted.sizeGib} GiB) on ${backEnd}`,
          args: [
            { volumeId: id, tenantId: wanted.tenantId ?? identity.tenant, sizeGib: wanted.sizeGib, backEnd, name, description, metadata, bootable },
          ],
        }),
      );
      await workflowResult(temporal, handle);
      return { volume: await findVolume(registry, id, visible), attachments: [] };
    },
  };
}
