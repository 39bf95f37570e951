import { FerryError } from '../../model/errors.ts';
import { generationTag, isHalfFilled, roleTag, snapshotTag, volumeTag, type LiveDevice } from '../../model/device.ts';
import type { Checkpoint } from '../../model/migration.ts';
import { copyExportName, type Origin } from '../../model/origin.ts';
import { beating } from '../beating.ts';
import { stillWanted } from '../warrants/require-warrants.ts';
import { beatingAtWork } from './activity-work.ts';
import { inspectDevice } from './copier/block-device.ts';
import { lockDevice } from './copier/device-lock.ts';
import type { Copier, CopyJob, SourceExport } from './copy-job.ts';
import type { Device, Expected, VolumeDriver } from './driver.ts';
import { endExports, type Exports } from './exports.ts';
import { tellsHoles } from './file-system.ts';
import { lastWriteTo, refuseIfUsed } from './guard-device.ts';

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** The device of a volume that is made from something else. `owner`: of its creation. */
interface Filled extends OnDevice {
  volumeId: string;
  owner: string;
}

/** How a copy goes on. */
interface Stretch {
  from: Checkpoint;
  options: Parameters<Copier['run']>[1];
}

type Onto = Filled & { sizeBytes: number; bandwidth: number | null; readsZero: boolean; digest: boolean };

/**
 * How a new volume gets its first bytes: from a snapshot, or from a volume that nobody has. Each may be repeated, may have run half before,
 * and asks the devices.
 */
export function createCopyActivities(deps: {
  exports: Exports;
  copier: Copier;
  noProgressMs: number;
  driverOf: (backEnd: string) => VolumeDriver;
  deviceOf: (at: OnDevice, sizeBytes: number, tag: string) => Promise<Device>;
  liveDeviceOf: (at: OnDevice & LiveDevice, sizeBytes: number) => Promise<Device>;
  copyOnto: (
    input: Onto,
    source: CopyJob['source'],
    stretch: Stretch,
  ) => Promise<{ checkpoint: Checkpoint; finished: boolean }>;
  /** Runs a transfer of the device, with its turn among others, beats and a limit to standstill. */
  transfer: (
    input: OnDevice & { sizeBytes: number; from: Checkpoint },
    run: (from: Checkpoint, options: Stretch['options']) => Promise<{ checkpoint: Checkpoint; finished: boolean }>,
  ) => Promise<{ checkpoint: Checkpoint; finished: boolean }>;
}) {
  const { exports, driverOf, deviceOf, liveDeviceOf } = deps;

  const originDevice = (origin: Origin): Promise<Device> =>
    origin.kind === 'volume'
      ? liveDeviceOf(origin, origin.sizeBytes)
      : deviceOf(origin, origin.sizeBytes, snapshotTag(origin.snapshotId!));

  /** A snapshot is nobody's to write to. */
  const lastWrite = async (origin: Origin, since: string | null = null): Promise<string | null> => {
    if (origin.kind === 'snapshot') return null;
    return lastWriteTo({ driver: driverOf(origin.backEnd), exports, name: origin.deviceName }, since);
  };

  return {
    /**
     * Makes what a volume is made from ready to be read: active, and nobody uses it (`VolumeInUse`). `exported`: by another node, through an
     * export that is only read. The answer is for `checkOrigin` and `fillDevice`.
     */
    openOrigin: beating(
      async (
        input: Filled & { origin: Origin; exported: boolean },
      ): Promise<{ lastWrite: string | null; source: SourceExport | null }> => {
        const { origin, exported, volumeId } = input;
        const device = await originDevice(origin);
        await driverOf(origin.backEnd).makeReady(origin.deviceName, stillWanted);
        const written = await lastWrite(origin);
        if (!exported) return { lastWrite: written, source: null };
        const exportName = copyExportName(volumeId);
        const tags = [volumeTag(origin.volumeId)];
        const address = await exports.ensure({ exportName, path: device.path, writable: false, tags });
        return { lastWrite: written, source: { ...address, holes: await tellsHoles(device.path) } };
      },
    ),

    /**
     * Makes the device of a volume one that is not whole, and that nobody gets, before what a snapshot holds is copied onto it. `VolumeInUse` if
     * somebody uses it. It may be so already: an earlier attempt has failed.
     */
    unsettleDevice: beating(
      async (input: Filled & LiveDevice & { sizeBytes: number }): Promise<{ identity: string }> => {
        const { backEnd, deviceName: name, volumeId, generation, sizeBytes } = input;
        const driver = driverOf(backEnd);
        const found = await driver.find(name);
        if (found && isHalfFilled(found, input)) return { identity: found.identity };
        const { identity, path } = await liveDeviceOf(input, sizeBytes);
        await driver.makeReady(name, stillWanted);
        await stillWanted();
        await endExports(exports, path);
        await refuseIfUsed({ driver, exports, name });
        const not = (['incoming', 'retired', 'kept'] as const).map(roleTag);
        const expected: Expected = { identity, tags: [volumeTag(volumeId)], not };
        await stillWanted();
        await driver.retag(name, expected, {
          add: [roleTag('incoming'), generationTag(generation)],
          remove: [roleTag('live')],
        });
        return { identity };
      },
    ),

    /** The last look at what was copied: it is still the same device, nobody uses it, or has written to it since `openOrigin`. */
    checkOrigin: beating(async (input: { origin: Origin; lastWrite: string | null }): Promise<void> => {
      await originDevice(input.origin);
      await lastWrite(input.origin, input.lastWrite);
    }),

    /**
     * Copies what a volume is made from onto its device, until all is there or until it is stopped: then it says how far it came, all of it
     * flushed. `source`: null where both are on this node. Goes on from the last beat's position when an earlier try was lost.
     */
    fillDevice: async (
      input: Onto & { origin: Origin; source: SourceExport | null; from: Checkpoint },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      deps.transfer(input, async (from, options) => {
        const source = input.source ?? { devicePath: (await originDevice(input.origin)).path };
        return deps.copyOnto(input, source, { from, options });
      }),

    /** Reads back what was copied, from its medium, and digests it the way the copy digested what arrived. */
    digestFilled: async (
      input: Filled & { sizeBytes: number; bandwidth: number | null; from: Checkpoint },
    ): Promise<{ checkpoint: Checkpoint; finished: boolean }> =>
      deps.transfer(input, async (from, options) => {
        const device = await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
        return deps.copier.run({ kind: 'digest', device, from, bandwidth: input.bandwidth }, options);
      }),

    /** All bytes are on the volume's device: makes it as large as the volume, the rest reads as zeros, and the volume's. */
    completeDevice: beatingAtWork(
      deps.noProgressMs,
      async (input: Filled & { generation: number; identity: string; sizeBytes: number }): Promise<void> => {
        const { backEnd, deviceName: name, volumeId, identity, sizeBytes } = input;
        const driver = driverOf(backEnd);
        const found = await driver.find(name);
        if (!found) throw new FerryError('DeviceMissing', `${name} is not on ${backEnd}.`);
        // It was done before.
        if (!isHalfFilled(found, input)) return void (await liveDeviceOf(input, sizeBytes));
        const [half, whole] = [roleTag('incoming'), roleTag('live')];
        const expected: Expected = { identity, tags: [volumeTag(volumeId), half], not: [whole], stillWanted };
        if (found.sizeBytes !== sizeBytes) await driver.extend(name, sizeBytes, expected);
        // A copy that is suspended writes no more when it wakes up: it is killed here, or finds the role changed.
        const lock = await lockDevice((await inspectDevice(found.path, sizeBytes)).identity);
        try {
          await stillWanted();
          await driver.retag(name, expected, { add: [whole], remove: [half] });
        } finally {
          lock.release();
        }
      },
    ),
  };
}
