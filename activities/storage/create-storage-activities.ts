import path from 'node:path';
import type { CopySlots } from './copy-slots.ts';
import { endExports, type Exports, type ExportAddress } from './exports.ts';
import type { Copier, SourceExport, TlsFiles } from './copy-job.ts';
import type { Device, VolumeDriver } from './driver.ts';
import type { Checkpoint } from '../../model/migration.ts';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import { keptTag, migrationTag, volumeTag } from '../../model/names.ts';
import { beating } from '../beating.ts';
import { beatingAtWork } from './activity-work.ts';
import { createVolumeActivities } from './create-volume-activities.ts';
import { endUnmapping } from './copier/end-unmapping.ts';
import { tellsHoles } from './file-system.ts';
import { takeInventory, type Inventory } from './inventory.ts';
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
  readonly currentDevices: (backEnd: string) => Promise<ReadonlySet<string>>;
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

  /** A transfer onto a device. When it fails because the whole back end has run out of room, that is what it says. */
  const writing = async (input: TransferInput, run: Parameters<typeof runWithProgress>[2]) => {
    try {
      return await runWithProgress(deps, input, run);
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

  const markOf = ({ deviceName, round }: OnDevice & Round) => path.join(deps.marksDirectory, `${deviceName}.${round}`);

  /** Rule 1 of the house: what the registry points at is never deleted, whoever asks. */
  const refuseIfWanted = async (at: OnDevice): Promise<void> => {
    if (await deps.isCurrentLocation(at.backEnd, at.deviceName)) {
      throw new FerryError('NotOwned', `${at.deviceName} on ${at.backEnd} holds a volume; it is not deleted.`);
    }
    if (await deps.isKeptSource(at.backEnd, at.deviceName)) {
      throw new FerryError('NotOwned', `${at.deviceName} on ${at.backEnd} is a kept source; it is not deleted.`);
    }
  };

  return {
    ...createVolumeActivities({ exports: deps.exports, noProgressMs: deps.noProgressMs, driverOf, deviceOf }),

    /** Makes a volume's device, all zeros. */
    createDevice: beatingAtWork(
      deps.noProgressMs,
      async (input: OnDevice & { sizeBytes: number; tags: string[] }): Promise<void> => {
        await driverOf(input.backEnd).create({
          name: input.deviceName,
          sizeBytes: input.sizeBytes,
          tags: input.tags,
          zero: true,
        });
      },
    ),

    /**
     * Makes the device that a migration copies onto. `readsZero`: it shows nothing but zeros before the first byte comes. `zerosTakeRoom`:
     * so would zeros that are written to it.
     */
    prepareDestination: beating(
      async (
        input: OnDevice & { sizeBytes: number; volumeId: string; migrationId: string },
      ): Promise<{ readsZero: boolean; zerosTakeRoom?: boolean }> => {
        const tags = [volumeTag(input.volumeId), migrationTag(input.migrationId)];
        const driver = driverOf(input.backEnd);
        const device = await driver.create({
          name: input.deviceName,
          sizeBytes: input.sizeBytes,
          tags,
          zero: false,
        });
        return { readsZero: device.readsZero, zerosTakeRoom: driver.zerosTakeRoom };
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
        input: OnDevice & {
          sizeBytes: number;
          volumeId: string;
          migrationId: string;
          source: OnDevice;
          mayShare?: boolean | undefined;
        },
      ): Promise<{ readsZero: boolean; shared: boolean; nameTaken?: boolean }> => {
        const { deviceName: name, sizeBytes, volumeId, migrationId, source, mayShare = true } = input;
        const [from, to] = [driverOf(source.backEnd), driverOf(input.backEnd)];
        if (from.place === to.place)
          throw new FerryError('SameBackEnd', `${source.backEnd} and ${input.backEnd} are one storage: ${to.place}.`);
        if (from.namespace === to.namespace && source.deviceName === name)
          return { readsZero: false, shared: false, nameTaken: true };
        const device = await deviceOf(source, sizeBytes, volumeTag(volumeId));
        const tags = [volumeTag(volumeId), migrationTag(migrationId)];
        if (mayShare && from.kind === to.kind && (await to.share({ name, sizeBytes, tags }, device)))
          return { readsZero: false, shared: true };
        const { readsZero } = await to.create({ name, sizeBytes, tags, zero: false });
        return { readsZero, shared: false };
      },
    ),

    /** As `pullVolume`, from a device of this node. */
    copyVolume: async (
      input: TransferInput & { volumeId: string; source: OnDevice; readsZero: boolean; digest: boolean },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      writing(input, async (from, options) => {
        const source = await deviceOf(input.source, input.sizeBytes, volumeTag(input.volumeId));
        const device = await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId));
        const destination = { path: device.path, sizeBytes: device.sizeBytes, readsZero: input.readsZero };
        const { bandwidth, digest } = input;
        return deps.copier.run(
          { kind: 'copy', source: { devicePath: source.path }, tls: null, destination, from, bandwidth, digest },
          options,
        );
      }),

    /**
     * Exports the source read-only for the destination to pull from. Already exported: the same address. `holes`: what it tells of them can
     * be believed.
     */
    exportSource: beating(
      async (
        input: OnDevice & { exportName: string; sizeBytes: number; volumeId: string; migrationId: string },
      ): Promise<SourceExport> => {
        const device = await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
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
     * of it flushed. Goes on from the last beat's position when an earlier try was lost.
     */
    pullVolume: async (
      input: TransferInput & { volumeId: string; source: SourceExport; readsZero: boolean; digest: boolean },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      writing(input, async (from, options) => {
        const device = await deviceOf(input, input.sizeBytes, migrationTag(input.migrationId));
        const destination = { path: device.path, sizeBytes: device.sizeBytes, readsZero: input.readsZero };
        const { source, bandwidth, digest } = input;
        return deps.copier.run(
          { kind: 'copy', source, tls: source.tls ? deps.tls : null, destination, from, bandwidth, digest },
          options,
        );
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

    /** Ends an export; its server's process is gone on return. */
    removeExport: beating(async (input: { backEnd: string; exportName: string }): Promise<void> => {
      await deps.exports.remove(input.exportName);
    }),

    /** Takes back what `prepareDestination` made. Nothing there, or what had the name before and was refused as `DeviceExists`: done. */
    deleteDestination: beating(async (input: OnDevice & { migrationId: string }): Promise<void> => {
      const [driver, tag] = [driverOf(input.backEnd), migrationTag(input.migrationId)];
      const device = await driver.find(input.deviceName);
      if (device && !device.tags.includes(tag)) return;
      await refuseIfWanted(input);
      await driver.delete(input.deviceName, tag);
    }),

    /**
     * Ends the exports of the device that a volume has left, then deletes it; only after the registry's switch. Still open
     * somewhere: `DeviceInUse`, tried again.
     */
    retireSource: beating(async (input: OnDevice & { volumeId: string; exportName: string }): Promise<void> => {
      const tag = volumeTag(input.volumeId);
      await deps.exports.remove(input.exportName);
      await refuseIfWanted(input);
      // The one through which a guest had it: a repair does not know its name.
      const device = await driverOf(input.backEnd).find(input.deviceName);
      if (device?.tags.includes(tag)) await endExports(deps.exports, device.path);
      await driverOf(input.backEnd).delete(input.deviceName, tag);
    }),

    /**
     * Ends the exports of the device that a volume has left, and marks it as kept; only after the registry's switch. A late repeat changes
     * nothing: not there any more, or not kept any more.
     */
    keepSource: beating(
      async (input: OnDevice & { volumeId: string; exportName: string; migrationId: string }): Promise<void> => {
        await deps.exports.remove(input.exportName);
        const driver = driverOf(input.backEnd);
        const device = await driver.find(input.deviceName);
        if (!device?.tags.includes(volumeTag(input.volumeId))) return;
        if (!(await deps.isKeptSource(input.backEnd, input.deviceName))) return;
        await endExports(deps.exports, device.path);
        await driver.retag(input.deviceName, { add: [keptTag(input.migrationId)], remove: [] });
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

    /** The destination is an ordinary volume's device now: its migration's tag comes off, and that of the one which had kept it. */
    settleDestination: beating(
      async (input: OnDevice & { migrationId: string; keptBy?: string | undefined }): Promise<void> => {
        const kept = input.keptBy === undefined ? [] : [keptTag(input.keptBy)];
        const remove = [migrationTag(input.migrationId), ...kept];
        await driverOf(input.backEnd).retag(input.deviceName, { add: [], remove });
      },
    ),
  };
}

const unreported: ProgressReporter = async () => {};

/** What an operator must know of a device that is only kept. */
function keptNote(tags: readonly string[]): string {
  const [prefix, of] = [keptTag(''), volumeTag('')];
  if (!tags.some((tag) => tag.startsWith(prefix))) return '';
  const volumeId = tags.find((tag) => tag.startsWith(of))?.slice(of.length);
  return `: the kept source of volume ${volumeId}; remove it: ferry migration discard ${volumeId}`;
}
