import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { backEndName, tenantId, volumeId } from '../model/ids.ts';
import { label } from '../model/text.ts';
import type { UnmanagedDevice } from '../model/unmanaged-device.ts';
import type { Volume } from '../model/volume.ts';
import { findBackEnd } from '../registry/back-ends.ts';
import { findVolume } from '../registry/volumes.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';
import { run } from './volume-operations.ts';

/** What a device that is there already shall be. */
export const adoption = z.object({
  backEnd: backEndName,
  /** The device's name as it is now. */
  deviceName: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$/, 'is not the name of a device on a back end (without its folder)'),
  tenantId: tenantId.optional(),
  name: label.nullable().default(null),
  description: label.nullable().default(null),
  bootable: z.boolean().default(false),
});

/** The devices of a registered back end that are none of Ferry's. Asks its node. */
export async function discoverOn(context: Context, backEnd: string): Promise<UnmanagedDevice[]> {
  const found = await run<UnmanagedDevice[]>(context, {
    workflow: 'discoverDevices',
    name: 'discover',
    subject: backEnd,
    summary: `what is on ${backEnd} and none of Ferry's`,
    input: { backEnd },
    isAwaited: true,
  });
  return found ?? [];
}

/** For administrators: what is on back ends without being Ferry's. */
export function adoptionCommands(context: Context) {
  const { registry, identity } = context;
  return {
    /** The devices of a back end that are none of Ferry's, and whether each can be managed. Asks the device itself. */
    async discoverDevices(name: string): Promise<UnmanagedDevice[]> {
      requireAdmin(identity, 'look at what is on back ends');
      const { name: backEnd } = await findBackEnd(
        registry,
        parseInput(z.object({ host: backEndName }), { host: name }).host,
      );
      return discoverOn(context, backEnd);
    },

    /**
     * Makes a device a volume, where it is; its bytes are not touched, its name becomes the volume's. Refused when it is in use, not
     * whole sectors of 512 bytes, or Ferry's already.
     */
    async manageVolume(input: z.input<typeof adoption>): Promise<Volume> {
      requireAdmin(identity, 'manage devices');
      const { tenantId: owner = identity.tenant, ...wanted } = parseInput(adoption, input);
      await findBackEnd(registry, wanted.backEnd);
      const id = randomUUID();
      const summary = `make ${wanted.deviceName} on ${wanted.backEnd} volume ${id}`;
      const made = await run<{ volumeId: string }>(context, {
        workflow: 'manageVolume',
        name: 'manage',
        subject: id,
        summary,
        input: { ...wanted, tenantId: owner, userId: identity.userId ?? null, volumeId: id },
      });
      return findVolume(registry, made?.volumeId ?? id);
    },

    /**
     * Forgets a volume and leaves its device, with its bytes. Answers where that is; null when it has only begun. Refused as any operation on
     * a volume.
     */
    async unmanageVolume(id: string): Promise<{ backEnd: string; deviceName: string } | null> {
      requireAdmin(identity, 'unmanage volumes');
      const wanted = parseInput(z.object({ volumeId }), { volumeId: id });
      const summary = `forget volume ${wanted.volumeId}, leave its device`;
      return run(context, {
        workflow: 'unmanageVolume',
        name: 'unmanage',
        subject: wanted.volumeId,
        summary,
        input: wanted,
      });
    },
  };
}
