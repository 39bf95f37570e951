import { setTimeout as sleep } from 'node:timers/promises';
import type { DevicePlace } from '../../model/connection.ts';
import { FerryError } from '../../model/errors.ts';
import {
  isHalfFilled,
  labelsOf,
  liveTags,
  reasonNotLive,
  roleTag,
  snapshotTag,
  standingOf,
  volumeTag,
  type LiveDevice,
  type VolumeLabels,
  type Whereabouts,
} from '../../model/device.ts';
import { snapshotDeviceName } from '../../model/names.ts';
import { obstacleLeft, sizeObstacle, type UnmanagedDevice } from '../../model/unmanaged-device.ts';
import { beating } from '../beating.ts';
import { stillWanted } from '../warrants/require-warrants.ts';
import { beatingAtWork } from './activity-work.ts';
import type { Device, Expected, Stranger, VolumeDriver } from './driver.ts';
import { endExports, type ExportAddress, type Exports } from './exports.ts';
import { refuseIfStillUsed, refuseIfUsed } from './guard-device.ts';

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** `owner`: of the operation on the volume; absent: a workflow from before it was told. */
interface Owned {
  owner?: string | undefined;
}

/** What a device says of the volume that it holds, when the registry has lost that. */
export interface LostDevice extends VolumeLabels {
  volumeId: string;
  identity: string;
  generation: number;
  sizeBytes: number;
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
  liveDeviceOf: (at: OnDevice & LiveDevice, sizeBytes: number) => Promise<Device>;
  whereabouts: (volumeId: string) => Promise<Whereabouts>;
}) {
  const { exports, driverOf, deviceOf, liveDeviceOf, whereabouts } = deps;

  /** The device that holds the volume, of any size; null when there is none. `orHalf`: or one that it was never whole on. */
  const holderOf = async (at: OnDevice & LiveDevice, { orHalf = false } = {}): Promise<Device | null> => {
    const device = await driverOf(at.backEnd).find(at.deviceName);
    if (device && orHalf && isHalfFilled(device, at)) return device;
    const reason = device && reasonNotLive(device, at);
    if (reason) throw new FerryError(reason.type, `On ${at.backEnd}, ${reason.message}`, reason.details);
    return device;
  };

  /** One of Ferry's own that says that it holds a volume, of which the registry knows nothing. */
  const lostDevice = async (at: OnDevice): Promise<LostDevice | null> => {
    const device = await driverOf(at.backEnd).find(at.deviceName);
    if (!device) return null;
    const { volumeId, role, generation } = standingOf(device.tags);
    if (volumeId === null || role !== 'live' || (await whereabouts(volumeId)).state === 'there') return null;
    const { identity, sizeBytes, tags } = device;
    return { ...labelsOf(tags), volumeId, identity, generation, sizeBytes };
  };

  const strangerOf = async (at: OnDevice): Promise<Stranger> => {
    const found = (await driverOf(at.backEnd).strangers()).find(({ device }) => device.name === at.deviceName);
    if (found) return found;
    const known = await driverOf(at.backEnd).find(at.deviceName);
    throw known
      ? new FerryError(
          'NotOwned',
          `${at.deviceName} on ${at.backEnd} is Ferry's already (${known.tags.join(', ')}). A device that the registry has lost comes back by: ferry repair`,
        )
      : new FerryError(
          'DeviceMissing',
          `There is no ${at.deviceName} on ${at.backEnd}. See: ferry discover ${at.backEnd}`,
        );
  };

  return {
    /** Whether the device that holds the volume is there. One that is not the volume's, or says that it is not: the error tells. */
    hasDevice: beating(
      async (input: OnDevice & LiveDevice): Promise<boolean> => (await holderOf(input, { orHalf: true })) !== null,
    ),

    /** Ends the exports of the device that holds a volume, then deletes it. Not there: done. */
    deleteDevice: beating(async (input: OnDevice & LiveDevice & Owned): Promise<void> => {
      const device = await holderOf(input, { orHalf: true });
      if (!device) return;
      await stillWanted();
      await endExports(exports, device.path);
      await deleteUnlessHeld(driverOf(input.backEnd), input.deviceName, expectedLive(device, input));
    }),

    /** Makes a volume's device larger; the new bytes read as zero. */
    extendDevice: beatingAtWork(
      deps.noProgressMs,
      async (input: OnDevice & LiveDevice & Owned & { sizeBytes: number }): Promise<void> => {
        const device = await holderOf(input);
        if (!device) throw new FerryError('DeviceMissing', `${input.deviceName} is not on ${input.backEnd}.`);
        await driverOf(input.backEnd).makeReady(input.deviceName, stillWanted);
        await driverOf(input.backEnd).extend(input.deviceName, input.sizeBytes, expectedLive(device, input));
      },
    ),

    /** Makes a snapshot's device. */
    snapshotDevice: beating(
      async (
        input: OnDevice & LiveDevice & Owned & { sizeBytes: number; snapshotName: string; tags: string[] },
      ): Promise<void> => {
        await liveDeviceOf(input, input.sizeBytes);
        const driver = driverOf(input.backEnd);
        await driver.makeReady(input.deviceName, stillWanted);
        await driver.snapshot(input.deviceName, input.snapshotName, input.tags, stillWanted);
      },
    ),

    /** Deletes a snapshot's device. Not there: done. */
    deleteSnapshotDevice: beating(async (input: OnDevice & { snapshotId: string }): Promise<void> => {
      const tags = [snapshotTag(input.snapshotId)];
      const driver = driverOf(input.backEnd);
      const device = await driver.find(input.deviceName);
      await stillWanted();
      // A copy that came to nothing may have left the export that it read through.
      if (device?.tags.includes(tags[0]!)) await endExports(exports, device.path);
      await deleteUnlessHeld(driver, input.deviceName, { identity: device?.identity, tags, stillWanted });
    }),

    /**
     * Gives a device that is none of Ferry's the name and tag of a snapshot of the volume. `SizeMismatch` if it is not as large as that: nothing
     * was changed.
     */
    adoptSnapshot: beating(
      async (
        input: OnDevice & LiveDevice & Owned & { sizeBytes: number; snapshotId: string; from: string },
      ): Promise<void> => {
        const { backEnd, deviceName: origin, sizeBytes, snapshotId, from } = input;
        await liveDeviceOf(input, sizeBytes);
        const tags = [snapshotTag(snapshotId)];
        const driver = driverOf(backEnd);
        const name = snapshotDeviceName(snapshotId);
        const done = await driver.find(name);
        if (!done?.tags.includes(tags[0]!)) {
          const { device } = await strangerOf({ backEnd, deviceName: from });
          if (device.sizeBytes !== sizeBytes)
            throw new FerryError(
              'SizeMismatch',
              `${from} on ${backEnd} has ${device.sizeBytes} bytes, volume ${input.volumeId} ${sizeBytes}: it is no snapshot of it.`,
            );
        }
        await driver.adopt(from, name, tags, { snapshotOf: origin, stillWanted });
      },
    ),

    /** Takes Ferry's tags off a snapshot's device; it keeps its name. Not there: done. */
    disownSnapshot: beating(async (input: OnDevice & LiveDevice & Owned & { snapshotId: string }): Promise<void> => {
      const name = snapshotDeviceName(input.snapshotId);
      await driverOf(input.backEnd).disown(name, name, snapshotTag(input.snapshotId), stillWanted);
    }),

    /** Exports a volume for one attachment, and for nothing else: what an attach that failed left behind ends. */
    exportVolume: beating(
      async (
        input: OnDevice & LiveDevice & Owned & { exportName: string; sizeBytes: number; writable: boolean },
      ): Promise<ExportAddress> => {
        const device = await liveDeviceOf(input, input.sizeBytes);
        const { exportName, writable } = input;
        const driver = driverOf(input.backEnd);
        await driver.makeReady(device.name, stillWanted);
        await stillWanted();
        await endExports(exports, device.path, exportName);
        await refuseIfUsed({ driver, exports, name: device.name, but: exportName });
        await stillWanted();
        return exports.ensure({ exportName, path: device.path, writable, tags: [volumeTag(input.volumeId)] });
      },
    ),

    /**
     * Where a volume's device is on this node, for a hypervisor that is the same machine. `live`: it must hold the volume now. `nobodys`: it
     * is to be attached, and is refused as `VolumeInUse` if somebody uses it already.
     */
    locateVolume: beating(
      async (
        input: OnDevice & {
          volumeId: string;
          sizeBytes: number;
          live?: Omit<LiveDevice, 'volumeId'> | undefined;
          nobodys?: boolean | undefined;
        },
      ): Promise<DevicePlace> => {
        const { path } = input.live
          ? await liveDeviceOf({ ...input, ...input.live }, input.sizeBytes)
          : await deviceOf(input, input.sizeBytes, volumeTag(input.volumeId));
        const [driver, name] = [driverOf(input.backEnd), input.deviceName];
        if (input.nobodys) {
          await driver.makeReady(name);
          await refuseIfUsed({ driver, exports, name });
        }
        return { kind: driverOf(input.backEnd).kind === 'lvm' ? 'block' : 'file', path };
      },
    ),

    /**
     * At the end of an attachment: throws `VolumeInUse` if somebody still uses the device, or the attachment's export, although its guest was
     * told to let go: the guest has another name by now, say. Not there: nothing happens.
     */
    checkUnused: beating(async (input: OnDevice & { exportName: string }): Promise<void> => {
      const { backEnd, deviceName: name, exportName: but } = input;
      await refuseIfStillUsed({ driver: driverOf(backEnd), exports, name, but });
    }),

    /** A back end's devices that are none of Ferry's, and whether they can be managed. */
    discoverDevices: beating(async (input: { backEnd: string }): Promise<UnmanagedDevice[]> => {
      const found = await driverOf(input.backEnd).strangers();
      return found.map(({ device: { name, sizeBytes }, obstacle, snapshots = [] }) => {
        const size = sizeObstacle(sizeBytes);
        return { name, sizeBytes, obstacle: obstacle ?? size, snapshots: size === null ? snapshots : [] };
      });
    }),

    /** The size of a device that can be managed, and of one of Ferry's own that the registry does not know any more what it says of itself; `DeviceMissing`, `NotOwned` or `SizeMismatch` if it cannot. */
    inspectStranger: beating(
      async (
        input: OnDevice & { snapshots?: readonly string[] | undefined },
      ): Promise<{ sizeBytes: number; lost: LostDevice | null }> => {
        const lost = await lostDevice(input);
        if (lost) return { sizeBytes: lost.sizeBytes, lost };
        const stranger = await strangerOf(input);
        const { device } = stranger;
        const obstacle = obstacleLeft(stranger, input.snapshots);
        const cannot = (why: string) => `${device.name} on ${input.backEnd} cannot be managed: ${why}.`;
        if (obstacle !== null) throw new FerryError('NotOwned', cannot(obstacle));
        const why = sizeObstacle(device.sizeBytes);
        if (why !== null) throw new FerryError('SizeMismatch', cannot(why), { sizeBytes: device.sizeBytes });
        return { sizeBytes: device.sizeBytes, lost: null };
      },
    ),

    /** Gives a stranger the volume's name and tag; `snapshots` may hang on it, and no others. */
    adoptDevice: beating(
      async (
        input: OnDevice & {
          newName: string;
          volumeId: string;
          sizeBytes: number;
          labels: readonly string[];
          snapshots?: readonly string[] | undefined;
          owner?: string | undefined;
        },
      ): Promise<{ identity: string }> => {
        const tags = [...liveTags(input.volumeId), ...input.labels];
        const { snapshots } = input;
        await driverOf(input.backEnd).adopt(input.deviceName, input.newName, tags, { snapshots, stillWanted });
        const at = { backEnd: input.backEnd, deviceName: input.newName };
        const { identity } = await deviceOf(at, input.sizeBytes, volumeTag(input.volumeId));
        return { identity };
      },
    ),

    /** Takes Ferry's tags off the device of a volume that never came to be, whichever name it has by now. Not there: done. */
    disownVolume: beating(async (input: { backEnd: string; volumeId: string; name: string | null }): Promise<void> => {
      const driver = driverOf(input.backEnd);
      const tag = volumeTag(input.volumeId);
      // One of a later generation has moved since: whoever has forgotten that, it is a volume.
      const isItsFirst = ({ tags }: Device) => tags.includes(tag) && standingOf(tags).generation === 0;
      for (const device of (await driver.list()).filter(isItsFirst))
        await driver.disown(device.name, input.name ?? device.name, tag, stillWanted);
    }),

    /** Takes Ferry's tags off a volume's device and names it so. */
    disownDevice: beating(async (input: OnDevice & LiveDevice & { newName: string }): Promise<void> => {
      const [driver, name] = [driverOf(input.backEnd), input.deviceName];
      const device = await driver.find(name);
      if (device?.tags.includes(volumeTag(input.volumeId))) {
        await holderOf(input);
        await endExports(exports, device.path);
        await refuseIfUsed({ driver, exports, name });
        await driver.makeReady(name);
      }
      await driver.disown(name, input.newName, volumeTag(input.volumeId), stillWanted);
    }),
  };
}

/** Exactly the device that was looked at, still the one that holds the volume, and still to be changed. */
function expectedLive(device: Device, live: LiveDevice): Expected {
  const { identity } = device;
  const { volumeId } = live;
  if (isHalfFilled(device, live))
    return { identity, tags: [volumeTag(volumeId), roleTag('incoming')], not: [roleTag('live')], stillWanted };
  const not = (['incoming', 'retired', 'kept'] as const).map(roleTag);
  return { identity, tags: [volumeTag(volumeId)], not, stillWanted };
}

/** Who used a device until just now may not have let go of it yet: it is asked for so often, with a pause in between. Milliseconds. */
const tries = 5;
const pauseMs = 400;

/** Deletes a device; `DeviceInUse` when it stays open. */
async function deleteUnlessHeld(driver: VolumeDriver, name: string, expected: Expected): Promise<void> {
  for (let left = tries; ; left -= 1) {
    try {
      return await driver.delete(name, expected);
    } catch (error) {
      if (!(error instanceof FerryError) || error.type !== 'DeviceInUse' || left === 1) throw error;
      await sleep(pauseMs);
    }
  }
}
