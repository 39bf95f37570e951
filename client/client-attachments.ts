import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { instanceId, nodeName, volumeId } from '../model/ids.ts';
import type { SeenAttachment } from '../model/seen-attachment.ts';
import {
  completeAttachment,
  completeOnVolume,
  forgetAttachment,
  noteDevice,
  reserveAttachment,
  type ToldAttached,
} from '../registry/client-attachments.ts';
import { findSeenAttachment, listSeenAttachments, type SeenFilter } from '../registry/seen-attachments.ts';
import { rollDetaching } from '../registry/reservations.ts';
import { findVolume } from '../registry/volumes.ts';
import type { Context } from './context.ts';
import { requireAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { asTenant, run } from './volume-operations.ts';

const mode = z.enum(['rw', 'ro']);
const reservation = z.object({ volumeId, instanceId: instanceId.nullable().default(null), mode: mode.default('rw') });

/** Who will use the volume, as far as Ferry asks: its machine, and what the guest will know it as. */
export const connector = z.object({ host: nodeName, mountpoint: z.string().min(1).max(255).nullish() });
export type Connector = z.output<typeof connector>;

/** What ends with an attachment besides itself. */
interface Ending {
  /** For administrators: whoever is connected is cut off. */
  force?: boolean;
}

/**
 * Attachments in the steps of Cinder's API: reserved, connected, attached. Ferry makes the connection and ends it; the disk comes into the guest
 * and out of it by the client, as Nova does it. All may be repeated.
 */
export function clientAttachmentCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** Every attachment that the caller may see, the newest first. */
    seenAttachments: (filter: SeenFilter = {}): Promise<SeenAttachment[]> =>
      listSeenAttachments(registry, { ...filter, ...visible }),

    seenAttachment: (id: string): Promise<SeenAttachment> => findSeenAttachment(registry, id, visible),

    /** Keeps the volume for an attachment; see reserveAttachment in the registry. */
    reserveAttachment: (input: z.input<typeof reservation>): Promise<SeenAttachment> =>
      reserveAttachment(registry, { ...parseInput(reservation, input), attachmentId: randomUUID(), ...visible }),

    /**
     * Makes the connection of that host to a volume that is reserved; answers when it is there. Connected to this host already: the same
     * again. Another host has it: `VolumeStatusRefused`.
     */
    async connectAttachment(id: string, wanted: z.input<typeof connector>): Promise<SeenAttachment> {
      const { host, mountpoint } = parseInput(connector, wanted);
      return connect(await findSeenAttachment(registry, id, visible), { host, mountpoint });
    },

    /** The client has done what it wanted the connection for. */
    completeAttachment: (id: string): Promise<SeenAttachment> =>
      completeAttachment(registry, { attachmentId: id, ...visible }),

    /**
     * Ends an attachment, whoever made it; answers when it has ended. `VolumeInUse`, and all stays as it was: somebody still uses its
     * connection. Ferry's own leaves the guest first.
     */
    endAttachment: async (id: string, ending: Ending = {}): Promise<void> =>
      end(await findSeenAttachment(registry, id, visible), ending),

    /** The connection of that host to a volume, as before attachments could be named: one is reserved, if none is yet. */
    async connectHost(id: string, wanted: z.input<typeof connector>): Promise<SeenAttachment> {
      const { host, mountpoint } = parseInput(connector, wanted);
      const volume = await findVolume(registry, id, visible);
      const all = await listSeenAttachments(registry, { volumeId: volume.id });
      const its = all.find((each) => each.host === host && each.connection !== null);
      if (its) return its;
      const reserved = { volumeId: volume.id, instanceId: null, mode: volume.readOnly ? 'ro' : 'rw' } as const;
      const attachmentId = randomUUID();
      const made = await reserveAttachment(registry, { ...reserved, attachmentId, takesReservation: true, ...visible });
      try {
        return await connect(made, { host, mountpoint });
      } catch (error) {
        await forgetAttachment(registry, { attachmentId, ...visible }).catch(() => {});
        throw error;
      }
    },

    /** Ends that host's connection to a volume; what has been attached with it stays so until `endAttachment`. None: nothing happens. */
    async disconnectHost(id: string, { host }: { host: string }): Promise<void> {
      const volume = await findVolume(registry, id, visible);
      const all = await listSeenAttachments(registry, { volumeId: volume.id });
      for (const each of all)
        if (each.isClients && each.host === host && each.connection !== null)
          await disconnect(each, { connectionOnly: true });
    },

    /** Whoever was connected says that it has attached the volume. */
    async attachOnVolume(id: string, told: ToldAttached): Promise<SeenAttachment> {
      const volume = await findVolume(registry, id, visible);
      return completeOnVolume(registry, { volumeId: volume.id, attachmentId: randomUUID(), told, ...visible });
    },

    /** Ends the attachment of a volume that is named, or its only one. None: what `beginDetaching` began is taken back, and nothing else. */
    async detachOnVolume(id: string, named: string | null, ending: Ending = {}): Promise<void> {
      const volume = await findVolume(registry, id, visible);
      const all = await listSeenAttachments(registry, { volumeId: volume.id });
      const fitting = all.filter((each) => named === null || each.id === named);
      const [only, another] = fitting;
      if (another)
        throw new FerryError(
          'InvalidInput',
          `Volume ${volume.id} is attached to more than one; name the attachment: ${all.map((each) => each.id).join(', ')}`,
        );
      if (only) return end(only, ending);
      if (named !== null)
        throw new FerryError('AttachmentNotFound', `Attachment ${named} could not be found.`, { attachmentId: named });
      await rollDetaching(registry, { volumeId: volume.id, ...visible });
    },
  };

  async function connect(seen: SeenAttachment, { host, mountpoint }: Connector): Promise<SeenAttachment> {
    if (seen.connection !== null && seen.host === host) return seen;
    const { id: attachmentId, volumeId: of } = seen;
    if (mountpoint) await noteDevice(registry, attachmentId, mountpoint);
    await run(context, {
      workflow: 'attachVolume',
      name: 'attach',
      subject: of,
      summary: `connect ${host} to volume ${of}`,
      // A host without an instance is its own.
      input: {
        volumeId: of,
        attachmentId,
        instanceId: seen.instanceId ?? host,
        computeHost: host,
        mode: seen.mode,
        isClients: true,
        asTenant: asTenant(context),
      },
      isAwaited: true,
    });
    return findSeenAttachment(registry, attachmentId, visible);
  }

  async function end(seen: SeenAttachment, { force = false }: Ending): Promise<void> {
    if (force) requireAdmin(identity, 'force a detach');
    const isConnected = !seen.isClients || seen.connection !== null;
    if (!isConnected) return forgetAttachment(registry, { attachmentId: seen.id, ...visible });
    await disconnect(seen, { force });
  }

  async function disconnect(
    { id: attachmentId, volumeId: of }: SeenAttachment,
    { force = false, connectionOnly = false }: Ending & { connectionOnly?: boolean },
  ): Promise<void> {
    const cut = force ? { hypervisorGone: 'even-if-connected' } : {};
    await run(context, {
      workflow: 'detachVolume',
      name: 'detach',
      subject: of,
      summary: `end attachment ${attachmentId} of volume ${of}`,
      input: { volumeId: of, attachmentId, evenIfRenamed: true, connectionOnly, ...cut, asTenant: asTenant(context) },
      isAwaited: true,
    });
  }
}
