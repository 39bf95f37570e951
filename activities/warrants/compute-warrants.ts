import { nodeOf } from '../../model/ids.ts';
import {
  exportOffer,
  notToBeAttached,
  notToBeDetached,
  type MigrationFacts,
  type Objection,
  type OfferedSource,
} from '../../model/warrants.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { listAttachments } from '../../registry/attachments.ts';
import * as warrants from '../../registry/warrants.ts';
import type { ComputeActivities } from '../compute/create-compute-activities.ts';
import type { DiskSource } from '../compute/disk-source.ts';
import type { Warrants } from './require-warrants.ts';

interface Disk {
  instance: string;
  volumeId: string;
}

/** When the hypervisor `node` does what it is told. */
export function computeWarrants(registry: Registry, node: string): Warrants<ComputeActivities> {
  const volume = (volumeId: string) => warrants.volumeFacts(registry, volumeId);

  /** An attached volume moves, and its guest is here. */
  const mirroring = async ({ instance, volumeId }: Disk): Promise<MigrationFacts | string> => {
    const m = await warrants.migrationFacts(registry, { volumeId });
    if (!m?.isHeld || m.flow !== 'generic-attached') return 'no migration mirrors the volume';
    const { attachments } = await volume(volumeId);
    const isHere = attachments.some((a) => a.instanceId === instance && a.computeHost === node);
    return isHere ? m : `the volume is not attached to ${instance} here`;
  };
  const ofMirror = {
    objection: async (input: Disk): Promise<Objection> => {
      const found = await mirroring(input);
      return typeof found === 'string' ? found : null;
    },
  };
  /** The guest is turned only to what the destination's own node has offered for this migration. */
  const toDestination = {
    objection: async (input: Disk & { destination: DiskSource }): Promise<Objection> => {
      const m = await mirroring(input);
      if (typeof m === 'string') return m;
      const to = { volumeId: input.volumeId, backEnd: m.destination, deviceName: m.destinationDevice };
      return offered(to, input.destination);
    },
  };
  const offered = async (
    of: { volumeId: string; backEnd: string; deviceName: string },
    source: DiskSource,
  ): Promise<Objection> => {
    // A path is another thing on another machine.
    const isHere = source.kind === 'nbd' || nodeOf(of.backEnd) === node;
    return isHere && (await warrants.isOffered(registry, of, asOffered(source)))
      ? null
      : `the storage node of ${of.backEnd} has not offered ${of.deviceName} so`;
  };

  return {
    attachDisk: {
      async objection(input) {
        const facts = await volume(input.volumeId);
        const why = notToBeAttached(facts, { ...input, computeHost: node });
        if (why !== null) return why;
        const { host, deviceName } = facts.volume!;
        return offered({ volumeId: input.volumeId, backEnd: host, deviceName }, input.source);
      },
    },
    detachDisk: {
      objection: async (input) => notToBeDetached(await volume(input.volumeId), { ...input, computeHost: node }),
    },
    inspectDisk: 'reads',
    examineDisk: 'reads',
    examineHolders: 'reads',
    mirrorDisk: toDestination,
    setMirrorBandwidth: ofMirror,
    pauseMirror: ofMirror,
    holdMirror: ofMirror,
    beginPivot: 'reads',
    pivotDisk: {
      async objection(input) {
        const why = await toDestination.objection(input);
        if (why !== null || !input.isDecided) return why;
        // An operator's word is written into a definition that no mirror has to be ready for.
        const m = await mirroring(input);
        return typeof m !== 'string' && m.phase === 'switching' ? null : 'its guest is not being turned';
      },
    },
    // It ends only a mirror of Ferry's, and leaves the guest where it is: what is left of a migration that is over must end, too.
    abortMirror: 'reads',
    probeDisk: 'reads',
    resumeAfterIoError: {
      async objection({ instance }) {
        const here = await listAttachments(registry, { instanceId: instance, computeHost: node });
        return here.length > 0 ? null : `no volume is attached to ${instance} here`;
      },
    },
  };
}

/** As it was written down, whatever else the caller has said. */
function asOffered(source: DiskSource): OfferedSource {
  return source.kind === 'nbd' ? exportOffer(source.address) : { kind: source.kind, path: source.path };
}
