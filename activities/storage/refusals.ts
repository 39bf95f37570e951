import { FerryError } from '../../model/errors.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { Device } from './driver.ts';

/** Whether the device carries all of `tags`. */
export function isOurs(device: Pick<Device, 'tags'>, tags: readonly string[]): boolean {
  return tags.every((tag) => device.tags.includes(tag));
}

export function deviceExists(device: Pick<Device, 'name' | 'path' | 'tags'>, tags: readonly string[]): FerryError {
  return new FerryError(
    'DeviceExists',
    `${device.path} exists and does not carry ${tags.join(', ')}: it was not made for this`,
    { name: device.name, tags: device.tags },
  );
}

export function sizeDiffers(device: Pick<Device, 'name' | 'path' | 'sizeBytes'>, sizeBytes: number): FerryError {
  return new FerryError('SizeMismatch', `${device.path} has ${device.sizeBytes} bytes instead of ${sizeBytes}`, {
    name: device.name,
    sizeBytes: device.sizeBytes,
  });
}

export function insufficientSpace(where: string, sizeBytes: number, freeBytes: number, cause?: unknown): FerryError {
  return new FerryError(
    'InsufficientSpace',
    `${where} has ${formatBytes(Math.max(0, freeBytes))} free, ${formatBytes(sizeBytes)} are needed`,
    { sizeBytes, freeBytes },
    { cause },
  );
}

export function deviceMissing(where: string, name: string, cause?: unknown): FerryError {
  return new FerryError('DeviceMissing', `there is no ${name} in ${where}`, { name }, { cause });
}

export function deviceInUse(path: string, name: string, cause?: unknown): FerryError {
  return new FerryError(
    'DeviceInUse',
    `${path} is open: exported or used by a guest; end that first`,
    { name },
    { cause },
  );
}

/** For a device that cannot go without what somebody made of it. */
export function hasSnapshots(device: Pick<Device, 'name' | 'path'>, snapshots: readonly string[]): FerryError {
  const which = snapshots.join(', ');
  return new FerryError(
    'VolumeHasSnapshots',
    `${device.path} has snapshots on its storage that would go with it: ${which}. Remove them first, if nobody needs them: lvremove`,
    { name: device.name, snapshots },
  );
}

/** For a device that should be nobody's at the moment. */
export function volumeInUse(path: string, users: readonly string[]): FerryError {
  return new FerryError(
    'VolumeInUse',
    `${path} is in use, though no attachment says so: ${users.join('; ')}. End that first; what it has written is on the volume`,
    { path, users },
  );
}

/** For an export that is to end while somebody is connected to it. */
export function exportInUse(exportName: string, users: readonly string[]): FerryError {
  return new FerryError(
    'VolumeInUse',
    `the export ${exportName} is not ended: ${users.join('; ')} is connected to it, and may write. Let whoever that is close the disk, then try again`,
    { exportName, users },
  );
}

/** For a device that should be nobody's, and that somebody has written to nevertheless. */
export function writtenMeanwhile(path: string): FerryError {
  return new FerryError(
    'VolumeInUse',
    `${path} was written to while it was copied, though no attachment says that it is used. Find out by whom, and migrate again`,
    { path, users: [] },
  );
}

/** For a device that would have to become smaller. */
export function wouldShrink(device: Pick<Device, 'name' | 'path' | 'sizeBytes'>, sizeBytes: number): FerryError {
  return new FerryError(
    'SizeMismatch',
    `${device.path} has ${device.sizeBytes} bytes already; it is not made smaller, to ${sizeBytes}`,
    { name: device.name, sizeBytes: device.sizeBytes },
  );
}

/** Whether a tag is one of those by which Ferry knows what is whose. */
export function isFerryTag(tag: string): boolean {
  return tag.startsWith('ferry.');
}

/** For a stranger that cannot become ours. */
export function notAdoptable(device: Pick<Device, 'name' | 'path'>, obstacle: string): FerryError {
  return new FerryError('NotOwned', `${device.path} cannot be managed: ${obstacle}`, { name: device.name, obstacle });
}
