import type { QemuIdentity } from '../../model/qemu-identity.ts';
import type { Reason } from '../../model/errors.ts';
import type { KeptDevice } from '../../model/kept-source.ts';
import type { Claim, Outcome, Phase } from '../../model/migration.ts';
import type { MigrationStatus } from '../../model/volume.ts';
import * as adoption from '../../registry/adoption.ts';
import * as attachments from '../../registry/attachments.ts';
import { claimVolume, type ClaimArguments } from '../../registry/claim.ts';
import { isClients } from '../../registry/client-attachments.ts';
import * as creation from '../../registry/creation.ts';
import { hasComputeWorker } from '../../registry/compute-nodes.ts';
import { beginExtend } from '../../registry/extension.ts';
import * as keptSources from '../../registry/kept-sources.ts';
import * as steps from '../../registry/migration-steps.ts';
import { planMigration, type Move } from '../../registry/migration-facts.ts';
import { findVolume, isCurrentLocation, type Visibility } from '../../registry/volumes.ts';
import { beginOperation, failOperation, finishOperation, type Ticket } from '../../registry/operations.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { findOrigin } from '../../registry/origins.ts';
import { beginRevert, failRevert, finishRevert } from '../../registry/reverting.ts';
import * as snapshotAdoption from '../../registry/snapshot-adoption.ts';
import * as snapshots from '../../registry/snapshots.ts';
import { whereabouts } from '../../registry/whereabouts.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { registryInputs } from '../inputs/registry.ts';

/** An operation that went wrong. */
type Failed<T extends Ticket = Ticket> = T & { reason: Reason };
type AttachmentTicket = Ticket & { attachmentId: string };
type SnapshotTicket = Ticket & { snapshotId: string };

/**
 * The registry, as far as workflows need it; one statement or transaction each. All may be repeated by their owner; what is promised and
 * refused is told at the functions that they call.
 */
export function createRegistryActivities({ registry }: { registry: Registry }) {
  /** What is still kept of a volume whose row is gone: it is being removed. */
  const keptOf = async ({ volumeId }: Ticket): Promise<KeptDevice[]> =>
    (await keptSources.listKeptSources(registry, { volumeId })).map(keptSources.keptDevice);
  const attachmentsOf = async (of: { volumeId: string }) =>
    Promise.all(
      (await attachments.listAttachments(registry, of)).map(async (each) => ({
        ...each,
        hasComputeWorker: await hasComputeWorker(registry, each.computeHost),
        isClients: await isClients(registry, each.id),
      })),
    );
  return checkInputs(registryInputs, {
    findVolume: (which: Visibility & { volumeId: string }) => findVolume(registry, which.volumeId, which),

    whereabouts: (of: { volumeId: string }) => whereabouts(registry, of.volumeId),

    hasComputeWorker: (node: { name: string }) => hasComputeWorker(registry, node.name),

    /** Whether a volume is on that device. */
    isCurrentLocation: (at: { backEnd: string; deviceName: string }) =>
      isCurrentLocation(registry, at.backEnd, at.deviceName),

    /** Where a volume is and who has it, for the questions that its nodes are asked before it moves. */
    factsOfMove: async (of: { volumeId: string }) => ({
      at: await whereabouts(registry, of.volumeId),
      attachments: await attachmentsOf(of),
    }),
    /** Every reason why the registry would refuse the migration. */
    reasonsAgainst: async (request: Move): Promise<Reason[]> => (await planMigration(registry, request)).reasons,

    claimVolume: (args: ClaimArguments) => claimVolume(registry, args),
    enterPhase: (at: {
      claim: Claim;
      phase: Exclude<Phase, 'finished'>;
      migrationStatus?: NonNullable<MigrationStatus> | undefined;
      qemu?: QemuIdentity | undefined;
    }) => steps.enterPhase(registry, at.claim, at.phase, at.migrationStatus, at.qemu),
    nameDestination: (at: { claim: Claim; nameId: string }) => steps.nameDestination(registry, at.claim, at.nameId),
    switchVolume: (at: { claim: Claim } & steps.Switch) => steps.switchVolume(registry, at.claim, at),
    returnToSource: (at: { claim: Claim }) => steps.returnToSource(registry, at.claim),
    releaseVolume: (end: { claim: Claim; outcome: Outcome; error: Reason | null }) =>
      steps.releaseVolume(registry, end.claim, end),

    takeDueKeptSource: (of: { migrationId: string }) => keptSources.takeDueKeptSource(registry, of.migrationId),
    forgetKeptSource: (of: { migrationId: string }) => keptSources.forgetKeptSource(registry, of.migrationId),

    /** What is copied onto the device of a volume. */
    findOrigin: (of: { volumeId: string }) => findOrigin(registry, of.volumeId),
    beginCreate: (wanted: creation.NewVolume) => creation.beginCreate(registry, wanted),
    finishCreate: (done: Ticket & { identity?: string }) => creation.finishCreate(registry, done),
    failCreate: (failed: Failed) => creation.failCreate(registry, failed),

    beginDelete: (ticket: Ticket & { force?: boolean | undefined; cascade?: boolean | undefined }) =>
      creation.beginDelete(registry, ticket),
    finishDelete: async (ticket: Ticket): Promise<KeptDevice[]> => {
      await creation.finishDelete(registry, ticket);
      return keptOf(ticket);
    },
    /** `untouched`: the device was not touched, and so the volume is what it was. */
    failDelete: (failed: Failed & { untouched?: boolean | undefined }) => creation.failDelete(registry, failed),

    beginManage: (adopted: adoption.AdoptedVolume) => adoption.beginManage(registry, adopted),
    finishManage: (done: Ticket & { identity?: string }) => adoption.finishManage(registry, done),
    failManage: (failed: Failed) => adoption.failManage(registry, failed),
    beginUnmanage: (ticket: Ticket) => beginOperation(registry, 'unmanage', ticket),
    finishUnmanage: async (ticket: Ticket): Promise<KeptDevice[]> => {
      await adoption.finishUnmanage(registry, ticket);
      return keptOf(ticket);
    },
    failUnmanage: async (failed: Failed): Promise<void> => void (await failOperation(registry, 'unmanage', failed)),

    beginExtend: (ticket: Ticket & { sizeBytes: number }) => beginExtend(registry, ticket),
    finishExtend: async (ticket: Ticket & { sizeBytes: number }): Promise<void> =>
      void (await finishOperation(registry, 'extend', ticket, { sizeBytes: ticket.sizeBytes })),
    /** `untouched`: the device is as it was, and so the volume is available again; else it is `error_extending`. */
    failExtend: async (failed: Failed & { untouched?: boolean | undefined }): Promise<void> =>
      void (await failOperation(registry, 'extend', failed, failed.untouched ? 'available' : undefined)),

    beginAttach: (wanted: attachments.NewAttachment) => attachments.beginAttach(registry, wanted),
    finishAttach: (done: attachments.Attached) => attachments.finishAttach(registry, done),
    failAttach: (failed: Failed<AttachmentTicket>) => attachments.failAttach(registry, failed),
    beginDetach: async (ticket: AttachmentTicket) => {
      const attachment = await attachments.beginDetach(registry, ticket);
      return { ...attachment, isClients: await isClients(registry, attachment.id) };
    },
    finishDetach: (ticket: AttachmentTicket & { connectionOnly?: boolean | undefined }) =>
      attachments.finishDetach(registry, ticket),
    failDetach: (failed: Failed<AttachmentTicket>) => attachments.failDetach(registry, failed),
    /** The volume's attachments, and which of them are on hypervisors with a compute worker. */
    attachmentsOf,

    beginRevert: (ticket: SnapshotTicket) => beginRevert(registry, ticket),
    finishRevert: (ticket: Ticket) => finishRevert(registry, ticket),
    /** `untouched`: the device is as it was. */
    failRevert: (failed: Failed & { untouched?: boolean | undefined }) => failRevert(registry, failed),

    beginSnapshot: (wanted: snapshots.NewSnapshot) => snapshots.beginSnapshot(registry, wanted),
    beginSnapshotManage: (wanted: Omit<snapshots.NewSnapshot, 'force'>) =>
      snapshotAdoption.beginSnapshotManage(registry, wanted),
    finishSnapshotManage: (ticket: SnapshotTicket) => snapshotAdoption.finishSnapshotManage(registry, ticket),
    failSnapshotManage: (failed: Failed<SnapshotTicket>) => snapshotAdoption.failSnapshotManage(registry, failed),
    beginSnapshotUnmanage: (ticket: SnapshotTicket) => snapshotAdoption.beginSnapshotUnmanage(registry, ticket),
    finishSnapshotUnmanage: (ticket: SnapshotTicket) => snapshotAdoption.finishSnapshotUnmanage(registry, ticket),
    failSnapshotUnmanage: (failed: Failed<SnapshotTicket>) => snapshotAdoption.failSnapshotUnmanage(registry, failed),
    finishSnapshot: (ticket: SnapshotTicket) => snapshots.finishSnapshot(registry, ticket),
    failSnapshot: (failed: Failed<SnapshotTicket>) => snapshots.failSnapshot(registry, failed),
    beginSnapshotDelete: (ticket: SnapshotTicket & { force?: boolean | undefined }) =>
      snapshots.beginSnapshotDelete(registry, ticket),
    finishSnapshotDelete: (ticket: SnapshotTicket) => snapshots.finishSnapshotDelete(registry, ticket),
    failSnapshotDelete: (failed: Failed<SnapshotTicket>) => snapshots.failSnapshotDelete(registry, failed),
  });
}

export type RegistryActivities = ReturnType<typeof createRegistryActivities>;
