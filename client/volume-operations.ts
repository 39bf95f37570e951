import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { volumeId as volumeIdSchema } from '../model/ids.ts';
import { sizeBytes, sizeWords } from '../model/sizes.ts';
import { label, metadata, metadataKey } from '../model/text.ts';
import type { Volume } from '../model/volume.ts';
import { changeMetadata } from '../registry/metadata.ts';
import { beginDetaching, reserve, rollDetaching, setReadOnly, unreserve } from '../registry/reservations.ts';
import { resetState, resettableStatus, type Reset } from '../registry/reset-state.ts';
import { describeVolume, findVolume } from '../registry/volumes.ts';
import type { Context } from './context.ts';
import { requireAdmin, visibleTo } from './identity.ts';
import type { Operation } from './run-operation.ts';
import { parseInput } from './parse-input.ts';

const volumeOnly = z.object({ volumeId: volumeIdSchema });
const extension = volumeOnly.extend({ sizeBytes });
const description = z.object({ name: label.nullable().optional(), description: label.nullable().optional() });
const metadataChange = z.object({ set: metadata.default({}), unset: z.array(metadataKey).default([]) });

/** `detached`: forget the attachments, once nobody has the volume; `evenIfSilent`: also if not everybody who could know answers. */
export type ResetByHand = Omit<Reset, 'tenantId' | 'detached'> & {
  detached?: boolean | undefined;
  evenIfSilent?: boolean | undefined;
};

/** Runs the workflow of an operation; Temporal's client is loaded only then. */
export async function run<Result>(context: Context, operation: Operation): Promise<Result | null> {
  const { runOperation } = await import('./run-operation.ts');
  return runOperation(context, operation);
}

/** Who asks, for a workflow. */
export function asTenant(context: Context): string | null {
  return visibleTo(context.identity).tenantId ?? null;
}

/**
 * What may be done to a volume. Those that touch its device are refused while it migrates (`VolumeMigrating`), while something else is
 * under way (`VolumeBusy`) and from statuses that do not allow them (`VolumeStatusRefused`): nothing is done then.
 */
export function volumeOperationCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /**
     * Deletes the volume with its bytes. `force`, for administrators: also from statuses in which it usually has work to do. `cascade`: with its
     * snapshots.
     */
    async deleteVolume(id: string, options: { force?: boolean; cascade?: boolean } = {}): Promise<void> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      const force = options.force ?? false;
      if (force) requireAdmin(identity, 'force a delete');
      const input = { volumeId, force, cascade: options.cascade ?? false, asTenant: asTenant(context) };
      await run(context, {
        workflow: 'deleteVolume',
        name: 'delete',
        subject: volumeId,
        summary: `delete volume ${volumeId}`,
        input,
      });
    },

    /** Makes the volume larger, to so many bytes; the new bytes read as zero. Not larger: `InvalidInput`. */
    async extendVolume(id: string, newSizeBytes: number): Promise<Volume> {
      const { volumeId, sizeBytes: size } = parseInput(extension, { volumeId: id, sizeBytes: newSizeBytes });
      const input = { volumeId, sizeBytes: size, asTenant: asTenant(context) };
      const summary = `extend volume ${volumeId} to ${sizeWords(size)}`;
      await run(context, { workflow: 'extendVolume', name: 'extend', subject: volumeId, summary, input });
      return findVolume(registry, volumeId, visible);
    },

    /** Changes what people call the volume; what is left out stays. Goes on during a migration. */
    async describeVolume(id: string, change: z.input<typeof description>): Promise<Volume> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      const { name, description: words } = parseInput(description, change);
      const given = { ...(name === undefined ? {} : { name }), ...(words === undefined ? {} : { description: words }) };
      return describeVolume(registry, volumeId, given, visible);
    },

    /** Sets and removes keys of the volume's metadata; the others stay. Goes on during a migration. */
    async changeMetadata(id: string, change: z.input<typeof metadataChange>): Promise<Volume> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      return changeMetadata(registry, volumeId, parseInput(metadataChange, change), visible);
    },

    /**
     * Sets the status by hand; see resetState in the registry, and for `detached` resetDetached. For administrators.
     */
    async resetState({ detached = false, evenIfSilent = false, ...reset }: ResetByHand): Promise<Volume> {
      requireAdmin(identity, 'reset the state of volumes');
      const parsed = parseInput(volumeOnly.extend({ status: resettableStatus.optional() }), reset);
      if (evenIfSilent && !detached)
        throw new FerryError('InvalidInput', 'even-if-silent: goes with detached', { fields: ['even-if-silent'] });
      if (!detached) return resetState(registry, { ...reset, ...parsed });
      const { resetDetached } = await import('./reset-detached.ts');
      return resetDetached(context, { ...reset, ...parsed, evenIfSilent });
    },

    /** Says whether the volume is one to boot from. */
    async setBootable(id: string, bootable: boolean): Promise<Volume> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      return describeVolume(registry, volumeId, { bootable }, visible);
    },

    /** The volume has just this metadata. Goes on during a migration. */
    async replaceMetadata(id: string, all: Record<string, string>): Promise<Volume> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      return describeVolume(registry, volumeId, { metadata: parseInput(metadata, all) }, visible);
    },

    /** Says whether guests may only read the volume. Only while it is available. */
    async setReadOnly(id: string, readOnly: boolean): Promise<Volume> {
      const { volumeId } = parseInput(volumeOnly, { volumeId: id });
      return setReadOnly(registry, { volumeId, readOnly, ...visible });
    },

    /** Keeps an available volume for whoever is about to attach it; see reserve in the registry. */
    reserveVolume: (id: string): Promise<Volume> =>
      reserve(registry, { ...parseInput(volumeOnly, { volumeId: id }), ...visible }),

    /** Takes `reserveVolume` back; without it, does nothing. */
    unreserveVolume: (id: string): Promise<Volume> =>
      unreserve(registry, { ...parseInput(volumeOnly, { volumeId: id }), ...visible }),

    /** Keeps an attached volume for whoever is about to detach it. */
    beginDetaching: (id: string): Promise<Volume> =>
      beginDetaching(registry, { ...parseInput(volumeOnly, { volumeId: id }), ...visible }),

    /** Takes `beginDetaching` back; without it, does nothing. */
    rollDetaching: (id: string): Promise<Volume> =>
      rollDetaching(registry, { ...parseInput(volumeOnly, { volumeId: id }), ...visible }),
  };
}
