import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { guestDevice, instanceId, nodeName, volumeId } from '../model/ids.ts';
import type { Attachment } from '../model/volume.ts';
import { findAttachment, listAttachments } from '../registry/attachments.ts';
import { findVolume } from '../registry/volumes.ts';
import type { Context } from './context.ts';
import { visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { asTenant, run } from './volume-operations.ts';
import { label } from '../model/text.ts';

/** What a volume shall be attached to, and how. */
export const newAttachment = z.object({
  volumeId,
  instanceId,
  /** The hypervisor of the instance. */
  computeHost: nodeName,
  mode: z.enum(['rw', 'ro']).default('rw'),
  /** As the guest shall know it, e.g. `vdb`. */
  device: guestDevice.nullable().default(null),
});

const detachment = z.object({ volumeId, attachment: label.min(1).optional() });

/** Attach and detach: the volume's side. Refused as any operation on a volume. */
export function attachmentCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** Reserves the volume for the instance and exports it for its hypervisor. The answer's `connection` says how to connect. */
    async attachVolume(input: z.input<typeof newAttachment>): Promise<Attachment> {
      const wanted = { ...parseInput(newAttachment, input), attachmentId: randomUUID(), asTenant: asTenant(context) };
      const summary = `attach volume ${wanted.volumeId} to ${wanted.instanceId} on ${wanted.computeHost}`;
      await run(context, {
        workflow: 'attachVolume',
        name: 'attach',
        subject: wanted.volumeId,
        summary,
        input: wanted,
      });
      return findAttachment(registry, wanted.attachmentId, visible);
    },

    /**
     * Ends an attachment, named by its id or its instance, or the only one; the export ends, whoever is connected. An instance that was renamed
     * since has to be named by the attachment's id. None such: `AttachmentNotFound`, and nothing is done.
     */
    async detachVolume(id: string, attachment?: string): Promise<void> {
      const wanted = parseInput(detachment, { volumeId: id, attachment });
      const attachmentId = await attachmentOf(wanted.volumeId, wanted.attachment);
      const evenIfRenamed = wanted.attachment === attachmentId;
      const input = { volumeId: wanted.volumeId, attachmentId, evenIfRenamed, asTenant: asTenant(context) };
      const summary = `detach volume ${wanted.volumeId}`;
      await run(context, { workflow: 'detachVolume', name: 'detach', subject: wanted.volumeId, summary, input });
    },
  };

  async function attachmentOf(id: string, named: string | undefined): Promise<string> {
    await findVolume(registry, id, visible);
    const all = await listAttachments(registry, { volumeId: id });
    const fitting = all.filter((a) => named === undefined || a.id === named || a.instanceId === named);
    const [only, another] = fitting;
    const details = { volumeId: id, attachments: all.map((a) => a.id) };
    if (!only) {
      const which = named === undefined ? 'is not attached' : `has no attachment ${named}`;
      throw new FerryError('AttachmentNotFound', `Volume ${id} ${which}.`, details);
    }
    if (!another) return only.id;
    throw new FerryError(
      'InvalidInput',
      `Volume ${id} has ${fitting.length} attachments; say which: ${fitting.map((a) => a.id).join(', ')}`,
      details,
    );
  }
}
