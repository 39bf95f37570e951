import * as z from 'zod';
import { backEndName, volumeId } from '../../model/ids.ts';
import { origin } from '../../model/origin.ts';
import { sizeBytes } from '../../model/sizes.ts';
import {
  exportAddress,
  exportName,
  fileName,
  generation,
  identity,
  input,
  live,
  onDevice,
  owner,
  snapshotDevice,
  tags,
  transfer,
} from './fields.ts';

/** Of the operation on the volume that a step is of. */
const owned = { owner: z.string().min(1).max(1000).optional() };

const ofMigration = { migrationId: z.uuid() };

/** What a migration makes its device with. */
const made = { ...onDevice, sizeBytes, volumeId, ...ofMigration, generation, labels: tags };

/** The device of a volume that is made from something else. */
const filled = { ...onDevice, volumeId, owner };
const from = input({ ...origin.shape, deviceName: fileName, identity: identity.nullable() });

const sourceExport = input({ ...exportAddress, holes: z.boolean().optional(), digests: z.boolean().optional() });

/** What holds a volume, or is going to. */
const whole = { ...onDevice, volumeId, identity: identity.nullable(), generation, sizeBytes };
const successor = { ...whole, ...ofMigration, keptBy: z.uuid().optional() };

/** What a volume has left. */
const left = { ...onDevice, volumeId, exportName, ...ofMigration, identity: identity.nullish() };

const proof = input({
  backEnd: backEndName,
  deviceName: fileName,
  identity,
  generation,
  sizeBytes,
  provenAt: z.iso.datetime({ offset: true }),
});

/** A number, since a mark's name is made of it. */
const round = { ...onDevice, sizeBytes, ...ofMigration, round: z.number().int().min(0).max(1_000_000) };

/** What a storage node's activities take. */
export const storageInputs = {
  createDevice: input({ ...onDevice, sizeBytes, tags, toFill: z.boolean().optional() }),
  openOrigin: input({ ...filled, origin: from, exported: z.boolean() }),
  checkOrigin: input({ origin: from, lastWrite: z.string().max(255).nullable() }),
  unsettleDevice: input({ ...live, owner, sizeBytes }),
  fillDevice: input({
    ...filled,
    sizeBytes,
    origin: from,
    source: sourceExport.nullable(),
    readsZero: z.boolean(),
    digest: z.boolean(),
    from: transfer.from,
    bandwidth: transfer.bandwidth,
  }),
  digestFilled: input({ ...filled, sizeBytes, from: transfer.from, bandwidth: transfer.bandwidth }),
  completeDevice: input({ ...filled, generation, identity, sizeBytes }),
  prepareDestination: input(made),
  prepareLocalMove: input({ ...made, source: input(live), mayShare: z.boolean().optional() }),
  copyVolume: input({ ...transfer, volumeId, source: input(live), readsZero: z.boolean(), digest: z.boolean() }),
  holdSource: input({ ...live, sizeBytes, ...ofMigration }),
  checkSource: input({ ...live, sizeBytes, lastWrite: z.string().max(255).nullable() }),
  releaseSource: input({ ...onDevice, ...ofMigration }),
  exportSource: input({ ...live, exportName, sizeBytes, ...ofMigration }),
  exportDestination: input({
    ...onDevice,
    exportName,
    sizeBytes,
    volumeId,
    ...ofMigration,
    port: exportAddress.port.optional(),
    needsRoom: z.boolean().optional(),
  }),
  pullVolume: input({
    ...transfer,
    volumeId,
    source: sourceExport,
    readsZero: z.boolean(),
    digest: z.boolean(),
    readBack: z.boolean().optional(),
  }),
  digestVolume: input({ ...transfer, volumeId: volumeId.optional(), beside: z.boolean().optional() }),
  compareVolume: input({ ...transfer, volumeId, source: sourceExport }),
  unmapZeros: input({ ...round, from: transfer.from }),
  endUnmapping: input(round),
  removeExport: input({ backEnd: backEndName, exportName, cut: z.boolean().optional() }),
  listEverything: input({ backEnd: backEndName }),
  inventory: z.null(),

  hasDevice: input(live),
  deleteDevice: input({ ...live, ...owned }),
  extendDevice: input({ ...live, ...owned, sizeBytes }),
  snapshotDevice: input({ ...live, ...owned, sizeBytes, snapshotName: snapshotDevice, tags }),
  deleteSnapshotDevice: input({ backEnd: backEndName, deviceName: snapshotDevice, snapshotId: z.uuid() }),
  adoptSnapshot: input({ ...live, ...owned, sizeBytes, snapshotId: z.uuid(), from: fileName }),
  disownSnapshot: input({ ...live, ...owned, snapshotId: z.uuid() }),
  exportVolume: input({ ...live, ...owned, exportName, sizeBytes, writable: z.boolean() }),
  locateVolume: input({
    ...onDevice,
    volumeId,
    sizeBytes,
    live: input({ generation, identity: identity.nullish() }).optional(),
    nobodys: z.boolean().optional(),
  }),
  checkUnused: input({ ...onDevice, exportName }),
  discoverDevices: input({ backEnd: backEndName }),
  inspectStranger: input({ ...onDevice, snapshots: z.array(fileName).optional() }),
  adoptDevice: input({
    ...onDevice,
    newName: fileName,
    volumeId,
    sizeBytes,
    labels: tags,
    snapshots: z.array(fileName).optional(),
    owner: owner.optional(),
  }),
  disownVolume: input({ backEnd: backEndName, volumeId, name: fileName.nullable() }),
  disownDevice: input({ ...live, newName: fileName }),

  lookAtDevice: input(onDevice),
  proveLive: input(whole),
  proveDestination: input(successor),
  settleDestination: input(successor),
  reviveDevice: input(whole),
  deleteDestination: input({ ...onDevice, ...ofMigration }),
  fenceSource: input(left),
  retireSource: input({ ...left, proof: proof.nullable() }),
  keepSource: input(left),

  examineSource: input({ ...live, identity: identity.nullable(), sizeBytes, attached: z.boolean() }),
  examineDestination: input({ ...onDevice, sizeBytes, source: input(onDevice), keepsName: z.boolean() }),
};
