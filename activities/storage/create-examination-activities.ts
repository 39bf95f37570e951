import { migrationTag, reasonNotLive, standingOf, volumeTag } from '../../model/device.ts';
import { FerryError, type Reason } from '../../model/errors.ts';
import { formatBytes } from '../../model/sizes.ts';
import { beating } from '../beating.ts';
import type { VolumeDriver } from './driver.ts';
import type { Exports } from './exports.ts';
import { usersOfDevice } from './guard-device.ts';
import { hasSnapshots, volumeInUse } from './refusals.ts';

interface OnDevice {
  backEnd: string;
  deviceName: string;
}

/** Where the registry has the volume. */
export interface ExaminedSource extends OnDevice {
  volumeId: string;
  identity: string | null;
  generation: number;
  sizeBytes: number;
  /** A guest has it: that it is open is as it should be. */
  attached: boolean;
}

export interface ExaminedDestination extends OnDevice {
  sizeBytes: number;
  source: OnDevice;
  /** The device is to have the name that the volume's has now, unless both cannot be in one place. */
  keepsName: boolean;
}

/** What a storage node sees that would keep a volume from moving. Asked before anything is done; changes nothing. */
export function createExaminationActivities(deps: {
  drivers: ReadonlyMap<string, VolumeDriver>;
  exports: Exports;
  driverOf: (backEnd: string) => VolumeDriver;
}) {
  return {
    /** Every reason why the volume cannot leave its device. An inactive one is none: it is activated. */
    examineSource: beating(async (at: ExaminedSource): Promise<Reason[]> =>
      reasonsOf(async () => {
        const { backEnd, deviceName, sizeBytes } = at;
        const around = await deps.driverOf(backEnd).surroundings(deviceName);
        if (!around) return [new FerryError('DeviceMissing', `${deviceName} is not on ${backEnd}.`)];
        const { device, snapshots } = around;
        if (!device.tags.includes(volumeTag(at.volumeId)))
          return [new FerryError('NotOwned', `${device.path} is not the device of volume ${at.volumeId}.`)];
        const found: FerryError[] = [];
        const wrong = reasonNotLive(device, at);
        if (wrong) found.push(new FerryError(wrong.type, `On ${backEnd}, ${wrong.message}`, wrong.details));
        if (device.sizeBytes !== sizeBytes)
          found.push(
            new FerryError(
              'SizeMismatch',
              `${deviceName} on ${backEnd} has ${device.sizeBytes} bytes, the registry says ${sizeBytes}.`,
            ),
          );
        if (snapshots.length > 0) found.push(hasSnapshots(device, snapshots));
        const users = at.attached ? [] : await usersOfDevice(around, deps.exports);
        if (users.length > 0) found.push(volumeInUse(device.path, users));
        return found;
      }),
    ),

    /** Every reason why the volume's new device cannot be made. */
    examineDestination: beating(async (at: ExaminedDestination): Promise<Reason[]> =>
      reasonsOf(async () => {
        const { backEnd, deviceName, sizeBytes, source, keepsName } = at;
        const driver = deps.driverOf(backEnd);
        const found: FerryError[] = [];
        const full = await driver.exhaustion();
        if (full) found.push(full);
        const { freeBytes } = await driver.capacity();
        if (freeBytes < sizeBytes)
          found.push(
            new FerryError(
              'InsufficientSpace',
              `Back end ${backEnd} says that it has ${formatBytes(Math.max(0, freeBytes))} free; ${formatBytes(sizeBytes)} are needed.`,
              { freeBytes, neededBytes: sizeBytes },
            ),
          );
        const isSamePlace = deps.drivers.get(source.backEnd)?.namespace === driver.namespace;
        const taken = keepsName && !isSamePlace ? await driver.find(deviceName) : null;
        // Beside a source that is kept the volume gets a name of its own.
        const isInTheWay = taken !== null && standingOf(taken.tags).role !== 'kept';
        if (taken && isInTheWay && !taken.tags.some((tag) => tag.startsWith(migrationTag(''))))
          found.push(
            new FerryError(
              'DeviceExists',
              `There is a ${deviceName} on ${backEnd} already (${taken.path}), which no migration makes now. Look at it, and remove or rename it.`,
              { backEnd, name: deviceName, tags: taken.tags },
            ),
          );
        return found;
      }),
    ),
  };
}

/** What is found, and what keeps the node from looking at all. */
async function reasonsOf(look: () => Promise<FerryError[]>): Promise<Reason[]> {
  const found = await look().catch((error: unknown) => {
    if (error instanceof FerryError) return [error];
    throw error;
  });
  return found.map(({ type, message, details }) => ({ type, message, details }));
}
