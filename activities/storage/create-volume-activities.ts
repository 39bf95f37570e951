import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';
import { snapshotTag, volumeTag } from '../../model/names.ts';
import { sizeObstacle, type UnmanagedDevice } from '../../model/unmanaged-device.ts';
import { beating } from '../beating.ts';
import { beatingAtWork } from './activity-work.ts';
import type { Device, Stranger, VolumeDriver } from './driver.ts';
import { endExports, type ExportAddress, type Exports } from './exports.ts';

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/**
 * What operations on volumes do on a storage node; the volume is held in the registry meanwhile. Each may be repeated, may have run
 * half before, and asks the device.
 */
export function createVolumeActivities(deps: {
  exports: Exports;
  noProgressMs: number;
  driverOf: (backEnd: string) => VolumeDriver;
  deviceOf: (at: OnDevice, sizeBytes: number, tag: string) => Promise<Device>;
}) {
  const { exports, driverOf, deviceOf } = deps;

  const strangerOf = async (at: OnDevice): Promise<Stranger> => {
    const found = (await driverOf(at.backEnd).strangers()).find(({ device }) => device.name === at.deviceName);
    if (found) return found;
    const known = await driverOf(at.backEnd).find(at.deviceName);
    throw known
      ? new FerryError('NotOwned', `${at.deviceName} on ${at.backEnd} is Ferry's already (${known.tags.join(', ')}).`)
      : new FerryError(
          'DeviceMissing',
          `There is no ${at.deviceName} on ${at.backEnd}. See: ferry discover ${at.backEnd}`,
        );
  };

  return {
    /** Ends the exports of a volume's device, then deletes it. Not there: done. */
    deleteDevice: beating(async (input: OnDevice & { volumeId: string }): Promise<void> => {
      const driver = driverOf(input.backEnd);
      const device = await driver.find(input.deviceName);
      if (device?.tags.includes(volumeTag(input.volumeId))) await endExports(exports, device.path);
      await deleteUnlessHeld(driver, input.deviceName, volumeTag(input.volumeId));
    }),

    /** Makes a volume's device larger; the new bytes read as zero. */
    extendDevice: beatingAtWork(
      deps.noProgressMs,
      async (input: OnDevice & { volumeId: string; sizeBytes: number }): Promise<void> => {
        await driverOf(input.backEnd).extend(input.deviceName, input.sizeBytes, volumeTag(input.volumeId));
      },
    ),

    /** Makes a snapshot's device. */
    snapshotDevice: beating(
      async (
        input: OnDevice & { volumeId: string; sizeBytes: number; snapshotName: string; tags: string[] },
      ): Promise<void> => {
        await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
        await driverOf(input.backEnd).snapshot(input.deviceName, input.snapshotName, input.tags);
      },
    ),

    /** Deletes a snapshot's device. Not there: done. */
    deleteSnapshotDevice: beating(async (input: OnDevice & { snapshotId: string }): Promise<void> => {
      await deleteUnlessHeld(driverOf(input.backEnd), input.deviceName, snapshotTag(input.snapshotId));
    }),

    /** Exports a volume for one attachment, and for nothing else: what an attach that failed left behind ends. */
    exportVolume: beating(
      async (
        input: OnDevice & { volumeId: string; exportName: string; sizeBytes: number; writable: boolean },
      ): Promise<ExportAddress> => {
        const device = await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
        await endExports(exports, device.path, input.exportName);
        const { exportName, writable } = input;
        return exports.ensure({ exportName, path: device.path, writable, tags: [volumeTag(input.volumeId)] });
      },
    ),

    /** Where a volume's device is on this node, for a hypervisor that is the same machine. */
    locateVolume: beating(
      async (
        input: OnDevice & { volumeId: string; sizeBytes: number },
      ): Promise<{ kind: 'block' | 'file'; path: string }> => {
        const { path } = await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
        return { kind: driverOf(input.backEnd).kind === 'lvm' ? 'block' : 'file', path };
      },
    ),

    /** A back end's devices that are none of Ferry's, and whether they can be managed. */
    discoverDevices: beating(async (input: { backEnd: string }): Promise<UnmanagedDevice[]> => {
      const found = await driverOf(input.backEnd).strangers();
      return found.map(({ device: { name, sizeBytes }, obstacle }) => ({
        name,
        sizeBytes,
        obstacle: obstacle ?? sizeObstacle(sizeBytes),
      }));
    }),

    /** The size of a device that can be managed; `DeviceMissing`, `NotOwned` or `SizeMismatch` if it cannot. */
    inspectStranger: beating(async (input: OnDevice): Promise<{ sizeBytes: number }> => {
      const { device, obstacle } = await strangerOf(input);
      const cannot = (why: string) => `${device.name} on ${input.backEnd} cannot be managed: ${why}.`;
      if (obstacle !== null) throw new FerryError('NotOwned', cannot(obstacle));
      const why = sizeObstacle(device.sizeBytes);
      if (why !== null) throw new FerryError('SizeMismatch', cannot(why), { sizeBytes: device.sizeBytes });
      return { sizeBytes: device.sizeBytes };
    }),

    /** Gives a stranger the volume's name and tag. */
    adoptDevice: beating(
      async (input: OnDevice & { newName: string; volumeId: string; sizeBytes: number }): Promise<void> => {
        const tag = volumeTag(input.volumeId);
        await driverOf(input.backEnd).adopt(input.deviceName, input.newName, [tag]);
        await deviceOf({ backEnd: input.backEnd, deviceName: input.newName }, input.sizeBytes, tag);
      },
    ),

    /** Takes Ferry's tags off the device of a volume that never came to be, whichever name it has by now. Not there: done. */
    disownVolume: beating(async (input: { backEnd: string; volumeId: string; name: string | null }): Promise<void> => {
      const driver = driverOf(input.backEnd);
      const tag = volumeTag(input.volumeId);
      for (const device of (await driver.list()).filter(({ tags }) => tags.includes(tag)))
        await driver.disown(device.name, input.name ?? device.name, tag);
    }),

    /** Takes Ferry's tags off a volume's device and names it so. */
    disownDevice: beating(async (input: OnDevice & { newName: string; volumeId: string }): Promise<void> => {
      await driverOf(input.backEnd).disown(input.deviceName, input.newName, volumeTag(input.volumeId));
    }),
  };
}

/** Who used a device until just now may not have let go of it yet: it is asked for so often, with a pause in between. Milliseconds. */
const tries = 5;
const pauseMs = 400;

/** Deletes a device; `DeviceInUse` when it stays open. */
async function deleteUnlessHeld(driver: VolumeDriver, name: string, tag: string): Promise<void> {
  for (let left = tries; ; left -= 1) {
    try {
      return await driver.delete(name, tag);
    } catch (error) {
      if (!(error instanceof FerryError) || error.type !== 'DeviceInUse' || left === 1) throw error;
      await sleep(pauseMs);
    }
  }
}
