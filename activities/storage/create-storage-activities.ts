import path from 'node:path';
import type { CopySlots } from './copy-slots.ts';
import { endExport, type Exports, type ExportAddress } from './exports.ts';
import type { Copier, CopyJob, SourceExport, TlsFiles } from './copy-job.ts';
import type { Device, Expected, VolumeDriver } from './driver.ts';
import type { Checkpoint } from '../../model/migration.ts';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import {
  incomingTags,
  keptTag,
  migrationTag,
  reasonNotLive,
  standingOf,
  volumeTag,
  type LiveDevice,
  type Whereabouts,
} from '../../model/device.ts';
import { beating } from '../beating.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { storageInputs } from '../inputs/storage.ts';
import { stillWanted } from '../warrants/require-warrants.ts';
import { beatingAtWork } from './activity-work.ts';
import { blamingBackEnds } from './blame-back-end.ts';
import { createSuccessionActivities } from './create-succession-activities.ts';
import { checkHeld, holdDevice, refuseIfUsed } from './guard-device.ts';
import { createExaminationActivities } from './create-examination-activities.ts';
import { createCopyActivities } from './create-copy-activities.ts';
import { createVolumeActivities } from './create-volume-activities.ts';
import { endUnmapping } from './copier/end-unmapping.ts';
import { tellsHoles } from './file-system.ts';
import { takeInventory, type Inventory, type InventoryDependencies } from './inventory.ts';
import { runWithProgress, type ProgressReporter } from './run-with-progress.ts';

/** What a storage node's activities work with. */
export interface StorageDependencies {
  /** The node's back ends by full name (`node@name`). */
  readonly drivers: ReadonlyMap<string, VolumeDriver>;
  readonly exports: Exports;
  readonly copier: Copier;
  readonly tls: TlsFiles | null;
  /** How many transfers move bytes at once on this node. */
  readonly slots: CopySlots;
  /** Whether the registry holds this device for some volume's truth: asked before any device is deleted. */
  readonly isCurrentLocation: (backEnd: string, deviceName: string) => Promise<boolean>;
  /** Whether the registry keeps this device so that a migration can be undone: asked then as well. */
  readonly isKeptSource: (backEnd: string, deviceName: string) => Promise<boolean>;
  /** Which devices of a back end hold volumes, as the registry has it. */
  readonly currentDevices: InventoryDependencies['currentDevices'];
  /** Where a volume is, by the registry, and by which migration it has left a device: asked before that is deleted. */
  readonly whereabouts: (volumeId: string, leftBy?: string) => Promise<Whereabouts>;
  /**
   * Whether the devices of a back end and the registry do not agree, or those of the volume, wherever they are: nothing is deleted there, or
   * of it, meanwhile.
   */
  readonly needsRepair: (backEnd: string, volumeId: string | null) => Promise<boolean>;
  /** The time by Postgres' clock. ISO 8601. */
  readonly registryTime: () => Promise<string>;
  /** Tells the migration's workflow, seldom, where its copy is. */
  readonly reportProgress: ProgressReporter;
  /** A transfer that moves no byte for this long has failed. Milliseconds. */
  readonly noProgressMs: number;
  /** Where the end of each unmapping is marked. Must be there for as long as the machine runs. */
  readonly marksDirectory: string;
}

/** How a write to a back end without room ends: at once, or never. */
const noRoom: ReadonlySet<FerryErrorType> = new Set(['InsufficientSpace', 'DestinationWriteFailed', 'NoProgress']);

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** What a migration makes its device with. `generation`: the epoch of its claim. */
interface Made {
  sizeBytes: number;
  volumeId: string;
  migrationId: string;
  generation: number;
  /** Tags by which the volume's row could be written anew. */
  labels: readonly string[];
}

interface TransferInput extends OnDevice {
  sizeBytes: number;
  migrationId: string;
  from: Checkpoint;
  /** Bytes a second; null is no cap. */
  bandwidth: number | null;
}

/** One unmapping of several of a migration, each under a mirror that is held. */
interface Round {
  sizeBytes: number;
  migrationId: string;
  round: number;
}

export type StorageActivities = ReturnType<typeof createStorageActivities>;

/**
 * The effects on one storage node. Each may be repeated, may have run half before, and asks the device. All of them beat, so
 * that a dead worker is noticed in seconds.
 */
export function createStorageActivities(deps: StorageDependencies) {
  const driverOf = (backEnd: string): VolumeDriver => {
    const driver = deps.drivers.get(backEnd);
    if (driver) return driver;
    throw new FerryError(
      'BackEndNotFound',
      `This node does not serve the back end ${backEnd}; it is not in its configuration.`,
    );
  };

  /** The device, if it is there, is ours by `tag`, and has the size that the registry says. */
  const deviceOf = async (at: OnDevice, sizeBytes: number, tag: string): Promise<Device> => {
    const device = await driverOf(at.backEnd).find(at.deviceName);
    if (!device) throw new FerryError('DeviceMissing', `${at.deviceName} is not on ${at.backEnd}.`);
    if (!device.tags.includes(tag))
      throw new FerryError('NotOwned', `${at.deviceName} on ${at.backEnd} does not carry the tag ${tag}.`);
    if (device.sizeBytes !== sizeBytes) {
      throw new FerryError(
        'SizeMismatch',
        `${at.deviceName} on ${at.backEnd} has ${device.sizeBytes} bytes, the registry says ${sizeBytes}.`,
      );
    }
    return device;
  };

  /** The device that holds a volume, if it is the one that the registry means, and has the size that the registry says. */
  const liveDeviceOf = async (at: OnDevice & LiveDevice, sizeBytes: number): Promise<Device> => {
    const device = await deviceOf(at, sizeBytes, volumeTag(at.volumeId));
    const reason = reasonNotLive(device, at);
    if (reason) throw new FerryError(reason.type, `On ${at.backEnd}, ${reason.message}`, reason.details);
    return device;
  };

  /** A transfer onto a device. When it fails because the whole back end has run out of room, that is what it says. */
  const writing = async (
    input: OnDevice & Pick<TransferInput, 'sizeBytes' | 'from'>,
    run: Parameters<typeof runWithProgress>[2],
    reportProgress = deps.reportProgress,
  ) => {
    try {
      return await runWithProgress({ ...deps, reportProgress }, input, run);
    } catch (error) {
      if (!(error instanceof FerryError) || !noRoom.has(error.type)) throw error;
      const why = await driverOf(input.backEnd)
        .exhaustion()
        .catch(() => null);
      if (!why) throw error;
      const details = { ...error.details, ...why.details };
      throw new FerryError(why.type, `${why.message}. ${error.message}`, details, { cause: error });
    }
  };

  /** Copies onto the incoming device that carries the tag; looked at once more when the copy has the device to itself. */
  const copyOnto = async (
    input: OnDevice &
      Pick<TransferInput, 'sizeBytes' | 'bandwidth'> & {
        readsZero: boolean;
        digest: boolean;
        readBack?: boolean | undefined;
      },
    tag: string,
    from: Pick<CopyJob, 'source' | 'tls' | 'from'>,
    options: Parameters<Copier['run']>[1],
  ) => {
    const { bandwidth, digest, readsZero, readBack } = input;
    const incoming = async () => {
      const device = await deviceOf(input, input.sizeBytes, tag);
      const { role } = standingOf(device.tags);
      if (role === 'incoming') return device;
      throw new FerryError('NotOwned', `${device.path} is ${role} by now: nothing is copied onto it.`);
    };
    const { path: devicePath, sizeBytes, identity } = await incoming();
    const confirm = async () => {
      const now = await incoming();
      if (now.identity === identity) return;
      throw new FerryError('WrongDevice', `${devicePath} is another device by now: nothing is copied onto it.`);
    };
    const destination = { path: devicePath, sizeBytes, readsZero };
    return deps.copier.run(
      { kind: 'copy', ...from, destination, bandwidth, digest, readBack },
      { ...options, confirm },
    );
  };

  const tlsFor = (source: CopyJob['source']) => ('tls' in source && source.tls ? deps.tls : null);

  const guarded = ({ backEnd, deviceName: name }: OnDevice) => ({
    driver: driverOf(backEnd),
    exports: deps.exports,
    name,
  });

  const markOf = ({ deviceName, round }: OnDevice & Round) => path.join(deps.marksDirectory, `${deviceName}.${round}`);

  const activities = {
    ...createVolumeActivities({
      exports: deps.exports,
      noProgressMs: deps.noProgressMs,
      driverOf,
      deviceOf,
      liveDeviceOf,
      whereabouts: deps.whereabouts,
    }),
    ...createCopyActivities({
      exports: deps.exports,
      copier: deps.copier,
      noProgressMs: deps.noProgressMs,
      driverOf,
      deviceOf,
      liveDeviceOf,
      copyOnto: (input, source, { from, options }) =>
        copyOnto(input, volumeTag(input.volumeId), { source, tls: tlsFor(source), from }, options),
      // No workflow but a migration's is told of progress.
      transfer: (input, run) => writing(input, run, unreported),
    }),
    ...createSuccessionActivities(deps, driverOf),
    ...createExaminationActivities({ drivers: deps.drivers, exports: deps.exports, driverOf }),

    /** Makes a volume's device, all zeros; or, `toFill`, one onto which its first bytes are copied: see `fillDevice`. */
    createDevice: beatingAtWork(
      deps.noProgressMs,
      async (
        input: OnDevice & { sizeBytes: number; tags: string[]; toFill?: boolean | undefined },
      ): Promise<{ identity: string; readsZero: boolean }> => {
        const { identity, readsZero } = await driverOf(input.backEnd).create({
          name: input.deviceName,
          sizeBytes: input.sizeBytes,
          tags: input.tags,
          zero: !input.toFill,
        });
        return { identity, readsZero };
      },
    ),

    /**
     * Makes the device that a migration copies onto. `readsZero`: it shows nothing but zeros before the first byte comes. `zerosTakeRoom`:
     * so would zeros that are written to it. `compares`: this node has `compareVolume`.
     */
    prepareDestination: beating(
      async (
        input: OnDevice & Made,
      ): Promise<{ readsZero: boolean; zerosTakeRoom: boolean; identity: string; compares?: boolean }> => {
        const tags = [...incomingTags(input.volumeId, input.migrationId, input.generation), ...input.labels];
        const driver = driverOf(input.backEnd);
        const device = await driver.create({
          name: input.deviceName,
          sizeBytes: input.sizeBytes,
          tags,
          zero: false,
        });
        const { readsZero, identity } = device;
        return { readsZero, zerosTakeRoom: driver.zerosTakeRoom, identity, compares: true };
      },
    ),

    /**
     * Makes the device that a volume moves to within this node. `shared`: it holds the volume's bytes already, without a copy; what is
     * written to one of the two then shows in the other, so `mayShare: false` forbids it where both live on. `nameTaken`: it cannot have the
     * name of the volume's device as long as that is there; nothing was made. Both back ends are one storage: `SameBackEnd`, and nothing was
     * made.
     */
    prepareLocalMove: beating(
      async (
        input: OnDevice & Made & { source: OnDevice & LiveDevice; mayShare?: boolean | undefined },
      ): Promise<{ readsZero: boolean; shared: boolean; nameTaken: boolean; identity: string | null }> => {
        const {
          deviceName: name,
          sizeBytes,
          volumeId,
          migrationId,
          generation,
          labels,
          source,
          mayShare = true,
        } = input;
        const [from, to] = [driverOf(source.backEnd), driverOf(input.backEnd)];
        if (from.place === to.place)
          throw new FerryError('SameBackEnd', `${source.backEnd} and ${input.backEnd} are one storage: ${to.place}.`);
        if (from.namespace === to.namespace && source.deviceName === name)
          return { readsZero: false, shared: false, nameTaken: true, identity: null };
        const device = await liveDeviceOf(source, sizeBytes);
        const tags = [...incomingTags(volumeId, migrationId, generation), ...labels];
        const mayBeShared = mayShare && from.kind === to.kind;
        // Nothing is copied or held then: this is the only look, and the one before the migration is left out on a node that is slow.
        if (mayBeShared) await refuseIfUsed(guarded(source));
        const shared = mayBeShared ? await to.share({ name, sizeBytes, tags }, device) : null;
        if (shared) return { readsZero: false, shared: true, nameTaken: false, identity: shared.identity };
        const { readsZero, identity } = await to.create({ name, sizeBytes, tags, zero: false });
        return { readsZero, shared: false, nameTaken: false, identity };
      },
    ),

    /** As `pullVolume`, from a device of this node. */
    copyVolume: async (
      input: TransferInput & { volumeId: string; source: OnDevice & LiveDevice; readsZero: boolean; digest: boolean },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      writing(input, async (from, options) => {
        const source = await liveDeviceOf(input.source, input.sizeBytes);
        const tag = migrationTag(input.migrationId);
        return copyOnto(input, tag, { source: { devicePath: source.path }, tls: null, from }, options);
      }),

    /**
     * Keeps the device of a detached volume from being written to while it is copied; an inactive one is activated. `VolumeInUse` if somebody
     * uses it, `VolumeHasSnapshots` if somebody's snapshots hang on it. The answer is for `checkSource`.
     */
    holdSource: beating(
      async (
        input: OnDevice & LiveDevice & { sizeBytes: number; migrationId: string },
      ): Promise<{ lastWrite: string | null }> => {
        const device = await liveDeviceOf(input, input.sizeBytes);
        const expected: Expected = { identity: device.identity, tags: [volumeTag(input.volumeId)], stillWanted };
        return holdDevice({ ...guarded(input), expected, migrationId: input.migrationId });
      },
    ),

    /** The last look before a volume is switched away: nobody uses its old device, or has written to it since `holdSource`. */
    checkSource: beating(
      async (input: OnDevice & LiveDevice & { sizeBytes: number; lastWrite: string | null }): Promise<void> => {
        await liveDeviceOf(input, input.sizeBytes);
        await checkHeld({ ...guarded(input), lastWrite: input.lastWrite });
      },
    ),

    /** Ends what `holdSource` of that migration began. Not there, or not held by it: done. */
    releaseSource: beating(async (input: OnDevice & { migrationId: string }): Promise<void> => {
      await driverOf(input.backEnd).release(input.deviceName, input.migrationId);
    }),

    /**
     * Exports the source read-only for the destination to pull from. Already exported: the same address. `holes`: what it tells of them can
     * be believed.
     */
    exportSource: beating(
      async (
        input: OnDevice & LiveDevice & { exportName: string; sizeBytes: number; migrationId: string },
      ): Promise<SourceExport> => {
        const device = await liveDeviceOf(input, input.sizeBytes);
        const address = await deps.exports.ensure({
          exportName: input.exportName,
          path: device.path,
          writable: false,
          tags: [migrationTag(input.migrationId)],
        });
        return { ...address, holes: await tellsHoles(device.path) };
      },
    ),

    /**
     * Exports the destination to the one hypervisor that mirrors onto it, and whose guest writes to it from then on. Already exported:
     * the same address; its server died: the same port, if nobody has it. `needsRoom`: a mirror has failed, and what it would begin anew is
     * refused with `InsufficientSpace` if the back end has run full.
     */
    exportDestination: beating(
      async (
        input: OnDevice & {
          exportName: string;
          sizeBytes: number;
          volumeId: string;
          migrationId: string;
          port?: number | undefined;
          needsRoom?: boolean | undefined;
        },
      ): Promise<ExportAddress> => {
        const full = input.needsRoom ? await driverOf(input.backEnd).exhaustion() : null;
        if (full) throw full;
        const device = await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId));
        const { exportName, port, volumeId, migrationId } = input;
        const tags = [volumeTag(volumeId), migrationTag(migrationId)];
        return deps.exports.ensure({ exportName, path: device.path, writable: true, tags, port });
      },
    ),

    /**
     * Pulls the source's bytes onto the destination until all are there, or until it is stopped: then it says how far it came, all
     * of it flushed. Goes on from the last beat's position when an earlier try was lost. `readBack`: each range is read back from the device,
     * and compared with what the source's server has read, where that server can tell; the checkpoint says `proven` then.
     */
    pullVolume: async (
      input: TransferInput & {
        volumeId: string;
        source: SourceExport;
        readsZero: boolean;
        digest: boolean;
        readBack?: boolean | undefined;
      },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      writing(input, async (from, options) => {
        const { source } = input;
        return copyOnto(input, migrationTag(input.migrationId), { source, tls: tlsFor(source), from }, options);
      }),

    /**
     * Reads the destination back from its device and digests it, the way the copy digested what arrived. With `volumeId`: a device of
     * that volume, which this migration did not make. `beside`: another is read at the same time, and that one's progress is reported.
     */
    digestVolume: async (
      input: TransferInput & { volumeId?: string | undefined; beside?: boolean | undefined },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      runWithProgress(input.beside ? { ...deps, reportProgress: unreported } : deps, input, async (from, options) => {
        const { volumeId, migrationId } = input;
        const tag = volumeId === undefined ? migrationTag(migrationId) : volumeTag(volumeId);
        const device = await deviceOf(input, input.sizeBytes, tag);
        return deps.copier.run({ kind: 'digest', device, from, bandwidth: input.bandwidth }, options);
      }),

    /**
     * Reads the destination back from its device while a mirror makes it follow the source, and compares it with what the source's server reads of
     * that one. Equal, but for what the guest changed all the time: the checkpoint says `unproven`. `ChecksumMismatch`: something differs and stays
     * so; as it would under a mirror that does not follow any more.
     */
    compareVolume: async (
      input: TransferInput & { volumeId: string; source: SourceExport },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      runWithProgress(deps, input, async (from, options) => {
        const { source, bandwidth } = input;
        const device = await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId));
        return deps.copier.run({ kind: 'compare', source, tls: tlsFor(source), device, from, bandwidth }, options);
      }),

    /**
     * Unmaps what of the destination reads as zeros, while nobody writes to it: its mirror is held. An economy: finished or not, its bytes
     * are the same. After `endUnmapping` of the same round: `NotOwned`.
     */
    unmapZeros: async (
      input: OnDevice & Round & { from: Checkpoint },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      // How far this is would only be taken for how far the mirror is.
      runWithProgress({ ...deps, reportProgress: unreported }, input, async (from, options) => {
        const device = await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId));
        return deps.copier.run({ kind: 'unmap', device, from, unless: markOf(input) }, options);
      }),

    /** No `unmapZeros` of this round unmaps anything any more, wherever it is suspended: the mirror may write again. May be repeated. */
    endUnmapping: beating(async (input: OnDevice & Round): Promise<void> => {
      await endUnmapping(await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId)), markOf(input));
    }),

    /**
     * Ends an export; its server's process is gone on return. Somebody is connected to it and stays: `VolumeInUse`. `cut`: whoever
     * is connected: only a mirror that came to nothing, or a guest that an operator gave up.
     */
    removeExport: beating(
      async (input: { backEnd: string; exportName: string; cut?: boolean | undefined }): Promise<void> => {
        await (input.cut ? deps.exports.remove(input.exportName) : endExport(deps.exports, input.exportName));
      },
    ),

    /** Every device and export of a back end, Ferry's or not, in words. Changes nothing. */
    listEverything: beating(async ({ backEnd }: { backEnd: string }): Promise<string[]> => {
      const driver = driverOf(backEnd);
      const devices = await driver.list();
      const exported = (await deps.exports.list()).filter(({ path }) => devices.some((device) => device.path === path));
      return [
        ...devices.map(({ name, tags }) => `${name} on ${backEnd}${keptNote(tags)}`),
        ...exported.map(({ exportName }) => `the export ${exportName}`),
      ];
    }),

    /** What this node has with Ferry's tags that may belong to nobody. Changes nothing. */
    inventory: beating<null, Inventory>(() => takeInventory(deps)),
  };
  return checkInputs(storageInputs, blamingBackEnds(deps.drivers, activities));
}

const unreported: ProgressReporter = async () => {};

/** What an operator must know of a device that is only kept. */
function keptNote(tags: readonly string[]): string {
  const [prefix, of] = [keptTag(''), volumeTag('')];
  if (!tags.some((tag) => tag.startsWith(prefix))) return '';
  const volumeId = tags.find((tag) => tag.startsWith(of))?.slice(of.length);
  return `: the kept source of volume ${volumeId}; remove it: ferry migration discard ${volumeId}`;
}
