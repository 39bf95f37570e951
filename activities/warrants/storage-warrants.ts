import { fillingTags, isStandingTag, liveTags, standingOf, snapshotTag } from '../../model/device.ts';
import type { Flow } from '../../model/migration.ts';
import { snapshotDeviceName } from '../../model/names.ts';
import {
  exportOffer,
  isGone,
  isServing,
  neverCameToBe,
  notFilling,
  notItsDestination,
  notItsOrigin,
  notItsSource,
  notMovedSo,
  notSwitchedTo,
  notToBeExported,
  notToBeRevived,
  notUnderWay,
  stillNeeded,
  type Objection,
} from '../../model/warrants.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { originOrNull } from '../../registry/origins.ts';
import * as warrants from '../../registry/warrants.ts';
import type { StorageActivities } from '../storage/create-storage-activities.ts';
import type { Warrants } from './require-warrants.ts';

/** When a storage node does what it is told. */
export function storageWarrants(registry: Registry): Warrants<StorageActivities> {
  const volume = (volumeId: string) => warrants.volumeFacts(registry, volumeId);
  const migration = (id: string) => warrants.migrationFacts(registry, { id });
  const originOf = (volumeId: string) => originOrNull(registry, volumeId);
  const concerned = (name: string) => warrants.concernedWith(registry, name);

  /** Remembers what the node has exported. */
  const offersExport = (
    input: { volumeId: string; backEnd: string; deviceName: string },
    exported: Parameters<typeof exportOffer>[0],
  ) => warrants.recordOffer(registry, input, exportOffer(exported));

  /** Fills the destination of a migration that moves so. */
  const fillsDestination = (flow: Flow) => ({
    async objection(input: { migrationId: string; backEnd: string; deviceName: string; volumeId?: string }) {
      const m = await migration(input.migrationId);
      return notItsDestination(m, input) ?? notMovedSo(m!, flow);
    },
  });
  /** Reads what the source's node has exported of it, and has the destination of a migration that moves so. */
  const readsSource = (flow: Flow) => ({
    async objection(input: {
      migrationId: string;
      backEnd: string;
      deviceName: string;
      volumeId: string;
      source: Parameters<typeof exportOffer>[0];
    }) {
      const m = await migration(input.migrationId);
      const why = notItsDestination(m, input) ?? notMovedSo(m!, flow);
      if (why !== null) return why;
      const from = { volumeId: m!.volumeId, backEnd: m!.source, deviceName: m!.sourceDevice };
      return (await warrants.isOffered(registry, from, exportOffer(input.source)))
        ? null
        : 'the source is not exported there';
    },
  });
  const usesSource = {
    objection: async (input: { migrationId: string; backEnd: string; deviceName: string; volumeId: string }) =>
      notItsSource(await migration(input.migrationId), input),
  };
  /** Makes the destination, as large and as new as the migration says. */
  const makes = async (input: {
    migrationId: string;
    volumeId: string;
    backEnd: string;
    deviceName: string;
    sizeBytes: number;
    generation: number;
  }) => {
    const m = await migration(input.migrationId);
    const why = notItsDestination(m, input);
    if (why !== null) return why;
    return m!.epoch === input.generation && m!.totalBytes === input.sizeBytes ? null : 'the migration says otherwise';
  };
  const ofOperation = (operation: string) => ({
    objection: async (input: { volumeId: string; backEnd: string; deviceName: string; owner?: string | undefined }) =>
      notUnderWay(operation, await volume(input.volumeId), input),
  });
  /** Copies onto the device of a volume that is being made from that. */
  const notToBeFilled = async (
    input: Parameters<typeof notUnderWay>[2] & {
      volumeId: string;
      origin: { volumeId: string; backEnd: string; deviceName: string };
    },
  ): Promise<Objection> =>
    notFilling(await volume(input.volumeId), input) ?? notItsOrigin(await originOf(input.volumeId), input.origin);
  /** Ends what is exported under that name, too. */
  const leaves = {
    async objection(input: { migrationId: string; volumeId: string; exportName: string }) {
      const m = await migration(input.migrationId);
      if (m && m.volumeId !== input.volumeId) return `migration ${m.id} is another volume's`;
      return stillNeeded(m) ?? isServing(input.exportName, await concerned(input.exportName));
    },
  };

  return {
    createDevice: {
      async objection(input) {
        const { volumeId } = standingOf(input.tags);
        if (volumeId === null) return 'its tags name no volume';
        const facts = await volume(volumeId);
        const why = notUnderWay('create', facts, input);
        if (why !== null) return why;
        const from = input.toFill ? await originOf(volumeId) : null;
        if (input.toFill && !from) return 'the volume is made from nothing else';
        if ((from ?? facts.volume!).sizeBytes !== input.sizeBytes) return 'the volume has another size';
        // What says that it is newer, or a migration's, would set the devices against the registry.
        const wanted = from ? fillingTags(volumeId) : liveTags(volumeId);
        const isNew = wanted.every((tag) => input.tags.includes(tag));
        return isNew && !input.tags.filter(isStandingTag).some((tag) => !wanted.includes(tag))
          ? null
          : 'its tags are not those of a new device';
      },
    },
    openOrigin: {
      objection: notToBeFilled,
      async done({ origin }, { source }) {
        if (source) await offersExport(origin, source);
      },
    },
    checkOrigin: 'reads',
    fillDevice: {
      async objection(input) {
        const why = await notToBeFilled(input);
        if (why !== null || !input.source) return why;
        return (await warrants.isOffered(registry, input.origin, exportOffer(input.source)))
          ? null
          : 'what it is made from is not exported there';
      },
    },
    digestFilled: { objection: async (input) => notFilling(await volume(input.volumeId), input) },
    unsettleDevice: ofOperation('revert'),
    completeDevice: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        const why = notFilling(facts, input) ?? ((await originOf(input.volumeId)) ? null : 'nothing is copied onto it');
        return why ?? (facts.volume!.sizeBytes === input.sizeBytes ? null : 'the volume has another size');
      },
    },
    prepareDestination: { objection: makes },
    prepareLocalMove: {
      objection: async (input) =>
        (await makes(input)) ?? notItsSource(await migration(input.migrationId), { ...input.source }),
    },
    copyVolume: {
      async objection(input) {
        const m = await migration(input.migrationId);
        return notItsDestination(m, input) ?? notMovedSo(m!, 'assisted') ?? notItsSource(m, input.source);
      },
    },
    pullVolume: readsSource('generic-detached'),
    compareVolume: readsSource('generic-attached'),
    holdSource: usesSource,
    checkSource: 'reads',
    // A migration that the registry has forgotten has no claim to it either.
    releaseSource: {
      async objection(input) {
        const m = await migration(input.migrationId);
        return m && stillNeeded(m);
      },
    },
    exportSource: {
      async objection(input) {
        const why = await usesSource.objection(input);
        return why ?? (input.exportName === `migration-${input.migrationId}` ? null : 'it has another name');
      },
      done: offersExport,
    },
    exportDestination: {
      async objection(input) {
        const why = await fillsDestination('generic-attached').objection(input);
        return why ?? (input.exportName === input.deviceName ? null : 'it has another name');
      },
      done: offersExport,
    },
    digestVolume: {
      async objection(input) {
        const m = await migration(input.migrationId);
        return notItsDestination(m, input) && notItsSource(m, input);
      },
    },
    unmapZeros: fillsDestination('generic-attached'),
    // Asked on the way back, too.
    endUnmapping: {
      async objection(input) {
        const m = await migration(input.migrationId);
        return m?.isHeld ? null : 'no such migration has the volume';
      },
    },
    removeExport: { objection: async (input) => isServing(input.exportName, await concerned(input.exportName)) },
    listEverything: 'reads',
    inventory: 'reads',

    hasDevice: 'reads',
    deleteDevice: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        return isGone(facts) ? null : notUnderWay('delete', facts, input);
      },
    },
    extendDevice: ofOperation('extend'),
    snapshotDevice: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        const why = notUnderWay('snapshot', facts, input);
        if (why !== null) return why;
        const [made] = facts.snapshots.filter(({ id }) => snapshotDeviceName(id) === input.snapshotName);
        if (made?.status !== 'creating') return 'no such snapshot is being made';
        return input.tags.every((tag) => tag === snapshotTag(made.id))
          ? null
          : 'its tags are not those of the snapshot';
      },
    },
    deleteSnapshotDevice: {
      objection: async (input) =>
        input.deviceName === snapshotDeviceName(input.snapshotId)
          ? warrants.objectionToSnapshotDelete(registry, input.snapshotId, input.backEnd)
          : 'the device is not that of the snapshot',
    },
    adoptSnapshot: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        const why = notUnderWay('manage-snapshot', facts, input);
        if (why !== null) return why;
        const isMade = facts.snapshots.some(({ id, status }) => id === input.snapshotId && status === 'creating');
        return isMade && facts.volume!.sizeBytes === input.sizeBytes ? null : 'no such snapshot is being managed';
      },
    },
    disownSnapshot: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        const why = notUnderWay('unmanage-snapshot', facts, input);
        if (why !== null) return why;
        const isLeft = facts.snapshots.some(({ id, status }) => id === input.snapshotId && status === 'deleting');
        return isLeft ? null : 'the snapshot is not being unmanaged';
      },
    },
    exportVolume: {
      objection: async (input) => notToBeExported(await volume(input.volumeId), input),
      done: offersExport,
    },
    locateVolume: {
      objection: async (input) => (input.nobodys ? notUnderWay('attach', await volume(input.volumeId), input) : null),
      done: (input, source) => warrants.recordOffer(registry, input, source),
    },
    checkUnused: 'reads',
    discoverDevices: 'reads',
    inspectStranger: 'reads',
    adoptDevice: {
      objection: async (input) =>
        notUnderWay('manage', await volume(input.volumeId), { ...input, deviceName: input.newName }),
    },
    disownVolume: { objection: async (input) => neverCameToBe(await volume(input.volumeId)) },
    disownDevice: {
      async objection(input) {
        // Another name may be another volume's.
        if (input.newName !== input.deviceName) return 'it keeps its name';
        const facts = await volume(input.volumeId);
        return isGone(facts) ? null : notUnderWay('unmanage', facts, input);
      },
    },

    lookAtDevice: 'reads',
    proveLive: 'reads',
    proveDestination: 'reads',
    settleDestination: {
      objection: async (input) =>
        notSwitchedTo(await volume(input.volumeId), await migration(input.migrationId), input),
    },
    reviveDevice: {
      objection: async (input) =>
        notToBeRevived(
          await volume(input.volumeId),
          await warrants.migrationFacts(registry, { volumeId: input.volumeId }),
          input,
        ),
    },
    deleteDestination: { objection: async (input) => stillNeeded(await migration(input.migrationId)) },
    fenceSource: {
      async objection(input) {
        const m = await migration(input.migrationId);
        const isIts =
          m?.volumeId === input.volumeId && m.source === input.backEnd && m.sourceDevice === input.deviceName;
        if (!isIts) return 'no such migration moves the volume from there';
        return m.isSwitched
          ? isServing(input.exportName, await concerned(input.exportName))
          : 'the volume is there still';
      },
    },
    retireSource: leaves,
    keepSource: leaves,

    examineSource: 'reads',
    examineDestination: 'reads',
  };
}
