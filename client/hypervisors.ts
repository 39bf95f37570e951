import * as z from 'zod';
import { FerryError, type Reason } from '../model/errors.ts';
import { nodeName } from '../model/ids.ts';
import type { Attachment } from '../model/volume.ts';
import { listAttachments } from '../registry/attachments.ts';
import { forgetComputeNode } from '../registry/compute-nodes.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { run } from './volume-operations.ts';

const declaration = z.object({
  hypervisor: nodeName,
  /** The hypervisor's name once more, as the operator typed it. */
  confirm: z.string().default(''),
  evenIfConnected: z.boolean().default(false),
});

/** What became of the volumes of a hypervisor that was declared gone. */
export interface GoneHypervisor {
  hypervisor: string;
  /** The volumes whose attachment has ended. */
  freed: string[];
  /** Those that are attached still, and why; the declaration may be repeated for them. */
  left: { volumeId: string; attachmentId: string; reason: Reason }[];
}

/** For administrators: hypervisors as a whole. */
export function hypervisorCommands(context: Context) {
  const { registry, identity } = context;
  return {
    /**
     * Declares that a hypervisor will never come back: nothing waits for it any more, and the attachments to its guests end without them.
     * An export goes only when nobody is connected to it, unless `evenIfConnected`. `InvalidInput`: not confirmed by its name;
     * `VolumeInUse`: it is still heard of. May be repeated, for what was left.
     */
    async declareHypervisorGone(input: z.input<typeof declaration>): Promise<GoneHypervisor> {
      requireAdmin(identity, 'declare hypervisors gone');
      const { hypervisor, confirm, evenIfConnected } = parseInput(declaration, input);
      const attachments = await listAttachments(registry, { computeHost: hypervisor });
      if (confirm !== hypervisor) throw notConfirmed(hypervisor, attachments);
      await forgetComputeNode(registry, hypervisor);
      const hypervisorGone = evenIfConnected ? 'even-if-connected' : 'unless-connected';
      const byVolume = Object.values(Object.groupBy(attachments, ({ volumeId }) => volumeId));
      const ended = await Promise.all(byVolume.map((each) => endEach(each ?? [], hypervisorGone)));
      const left = ended.flat().filter((each) => each.reason !== null) as GoneHypervisor['left'];
      const attached = new Set(left.map(({ volumeId }) => volumeId));
      const freed = [...new Set(attachments.map(({ volumeId }) => volumeId))].filter((id) => !attached.has(id));
      return { hypervisor, freed, left };
    },
  };

  /** One after the other: one operation at a time has a volume. */
  async function endEach(attachments: readonly Attachment[], hypervisorGone: string) {
    const ended: { volumeId: string; attachmentId: string; reason: Reason | null }[] = [];
    for (const { id: attachmentId, volumeId } of attachments)
      ended.push({ volumeId, attachmentId, reason: await end(volumeId, attachmentId, hypervisorGone) });
    return ended;
  }

  async function end(volumeId: string, attachmentId: string, hypervisorGone: string): Promise<Reason | null> {
    const summary = `detach volume ${volumeId}: ${identity.name} declared its hypervisor gone (${hypervisorGone})`;
    const input = { volumeId, attachmentId, hypervisorGone };
    try {
      await run(context, { workflow: 'detachVolume', name: 'detach', subject: volumeId, summary, input });
      return null;
    } catch (error) {
      if (!(error instanceof FerryError)) throw error;
      return error.type === 'AttachmentNotFound'
        ? null
        : (({ type, message, details }) => ({ type, message, details }))(error);
    }
  }
}

function notConfirmed(hypervisor: string, attachments: readonly Attachment[]): FerryError {
  const lines = attachments.map((a) => `  - volume ${a.volumeId}, of instance ${a.instanceId}`);
  return new FerryError(
    'InvalidInput',
    [
      `Hypervisor ${hypervisor} has ${attachments.length} attachments:`,
      ...lines,
      'Declared gone, they end without its guests: their exports end, the volumes become available, and what its guests had not written yet ' +
        'is lost. If the machine runs on, its guests get I/O errors; where it has a device of its own (no export), turn it off first.',
      `If it is gone for good, type its name again: ferry hypervisor gone ${hypervisor} --confirm ${hypervisor}`,
    ].join('\n'),
    { hypervisor, attachments: attachments.map(({ id }) => id) },
  );
}
