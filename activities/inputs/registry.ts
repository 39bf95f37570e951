import * as z from 'zod';
import { backEndName, guestDevice, instanceId, nodeName, tenantId, volumeId } from '../../model/ids.ts';
import { evidence, migrationRequest, outcome, phase, proof } from '../../model/migration.ts';
import { qemuIdentity } from '../../model/qemu-identity.ts';
import { sizeBytes } from '../../model/sizes.ts';
import { label, metadata } from '../../model/text.ts';
import { migrationStatus } from '../../model/volume.ts';
import { volumeTypeName } from '../../model/volume-type.ts';
import { fileName, identity, input, owner, reason } from './fields.ts';

const visibility = { tenantId: tenantId.optional() };
const ticket = { volumeId, owner, ...visibility };
const ofAttachment = { ...ticket, attachmentId: z.uuid() };
const ofSnapshot = { ...ticket, snapshotId: z.uuid() };
const text = label.nullish();
const untouched = z.boolean().optional();
/** How a hypervisor reaches a volume. */
const connection = z.record(z.string(), z.unknown());

const claim = input({ volumeId, migrationId: z.uuid(), owner, epoch: z.number().int().nonnegative() });
const ofVolume = input({ volumeId });
const ofMigration = input({ migrationId: z.uuid() });

/** What the activities on the registry take. */
export const registryInputs = {
  findVolume: input({ volumeId, ...visibility }),
  whereabouts: ofVolume,
  hasComputeWorker: input({ name: nodeName }),
  isCurrentLocation: input({ backEnd: backEndName, deviceName: fileName }),
  factsOfMove: ofVolume,
  reasonsAgainst: input({ volumeId, destination: backEndName, newType: volumeTypeName.nullish() }),

  claimVolume: input({ request: migrationRequest, migrationId: z.uuid(), owner, destinationNameId: z.uuid() }),
  enterPhase: input({
    claim,
    phase: phase.exclude(['finished']),
    migrationStatus: migrationStatus.unwrap().optional(),
    qemu: qemuIdentity.optional(),
  }),
  nameDestination: input({ claim, nameId: z.uuid() }),
  switchVolume: input({
    claim,
    digest: z.string().max(255).nullish(),
    proof: proof.optional(),
    evidence: evidence.nullish(),
    transferredBytes: z.number().int().nonnegative().nullish(),
    identity: identity.nullish(),
    attachment: input({ id: z.uuid(), connection }).optional(),
  }),
  returnToSource: input({ claim }),
  releaseVolume: input({ claim, outcome, error: reason.nullable() }),

  takeDueKeptSource: ofMigration,
  forgetKeptSource: ofMigration,

  findOrigin: ofVolume,
  beginCreate: input({
    ...ticket,
    tenantId,
    userId: z.string().nullish(),
    sizeBytes,
    backEnd: backEndName.nullable(),
    availabilityZone: text,
    name: text,
    description: text,
    volumeType: volumeTypeName.nullish(),
    bootable: z.boolean().optional(),
    snapshotId: z.uuid().nullish(),
    sourceVolumeId: volumeId.nullish(),
    metadata: metadata.optional(),
  }),
  finishCreate: input({ ...ticket, identity: identity.optional() }),
  failCreate: input({ ...ticket, reason }),

  beginDelete: input({ ...ticket, force: z.boolean().optional(), cascade: z.boolean().optional() }),
  finishDelete: input(ticket),
  failDelete: input({ ...ticket, reason, untouched }),

  beginManage: input({
    ...ticket,
    tenantId,
    userId: z.string().nullish(),
    sizeBytes,
    backEnd: backEndName,
    name: text,
    description: text,
    bootable: z.boolean().optional(),
    nameId: z.uuid().nullish(),
    volumeType: volumeTypeName.nullish(),
    metadata: metadata.optional(),
    readOnly: z.boolean().nullish(),
    beyondQuota: z.boolean().optional(),
  }),
  finishManage: input({ ...ticket, identity: identity.optional() }),
  failManage: input({ ...ticket, reason }),
  beginUnmanage: input(ticket),
  finishUnmanage: input(ticket),
  failUnmanage: input({ ...ticket, reason }),

  beginExtend: input({ ...ticket, sizeBytes }),
  finishExtend: input({ ...ticket, sizeBytes }),
  failExtend: input({ ...ticket, reason, untouched }),

  beginAttach: input({
    ...ofAttachment,
    instanceId,
    computeHost: nodeName,
    mode: z.enum(['rw', 'ro']).optional(),
    isClients: z.boolean().optional(),
  }),
  finishAttach: input({ ...ofAttachment, device: guestDevice.nullish(), connection: connection.nullish() }),
  failAttach: input({ ...ofAttachment, reason }),
  // What is no id is the registry's to refuse: it says so in its own words.
  beginDetach: input({ ...ofAttachment, attachmentId: label.min(1) }),
  finishDetach: input({ ...ofAttachment, connectionOnly: z.boolean().optional() }),
  failDetach: input({ ...ofAttachment, reason }),
  attachmentsOf: ofVolume,

  beginRevert: input(ofSnapshot),
  finishRevert: input(ticket),
  failRevert: input({ ...ticket, reason, untouched }),

  beginSnapshot: input({
    ...ofSnapshot,
    name: text,
    description: text,
    force: z.boolean().optional(),
    userId: z.string().nullish(),
    metadata: metadata.optional(),
  }),
  beginSnapshotManage: input({
    ...ofSnapshot,
    name: text,
    description: text,
    userId: z.string().nullish(),
    metadata: metadata.optional(),
    beyondQuota: z.boolean().optional(),
  }),
  finishSnapshotManage: input(ofSnapshot),
  failSnapshotManage: input({ ...ofSnapshot, reason }),
  beginSnapshotUnmanage: input(ofSnapshot),
  finishSnapshotUnmanage: input(ofSnapshot),
  failSnapshotUnmanage: input({ ...ofSnapshot, reason }),
  finishSnapshot: input(ofSnapshot),
  failSnapshot: input({ ...ofSnapshot, reason }),
  beginSnapshotDelete: input({ ...ofSnapshot, force: z.boolean().optional() }),
  finishSnapshotDelete: input(ofSnapshot),
  failSnapshotDelete: input({ ...ofSnapshot, reason }),
};
