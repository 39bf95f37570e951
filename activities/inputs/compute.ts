import * as z from 'zod';
import { guestDevice, instanceId, volumeId } from '../../model/ids.ts';
import { qemuIdentity } from '../../model/qemu-identity.ts';
import { sizeBytes } from '../../model/sizes.ts';
import { cap, devicePlace, exportAddress, fileName, input } from './fields.ts';

const domain = z.uuid().nullish();
const disk = { instance: instanceId, volumeId, domain };

const places = [input({ kind: z.literal('nbd'), address: input(exportAddress) }), devicePlace] as const;
const source = z.discriminatedUnion('kind', places);
const named = input({ kind: z.literal('named'), name: fileName });

const byName = {
  ...disk,
  source,
  destination: z.discriminatedUnion('kind', [...places, named]),
  asked: z.union([qemuIdentity, z.literal('unknown')]).nullish(),
};
const move = { ...byName, destination: source, isDecided: z.boolean().optional() };

/** What a hypervisor's activities take. */
export const computeInputs = {
  attachDisk: input({ ...disk, source, device: guestDevice.nullable(), mode: z.enum(['rw', 'ro']) }),
  detachDisk: input({
    ...disk,
    source: source.nullish(),
    evenIfRenamed: z.boolean().optional(),
    takesBack: z.boolean().optional(),
  }),
  inspectDisk: input({ ...disk, source, sizeBytes }),
  examineDisk: input({ ...disk, source, sizeBytes }),
  examineHolders: input({ volumeId, source: source.nullable() }),
  mirrorDisk: input({ ...move, bandwidth: cap }),
  setMirrorBandwidth: input({ ...disk, bandwidth: cap }),
  pauseMirror: input(disk),
  holdMirror: input(disk),
  beginPivot: input(move),
  pivotDisk: input(move),
  abortMirror: input(byName),
  probeDisk: input(byName),
  resumeAfterIoError: input({ instance: instanceId, domain }),
};
