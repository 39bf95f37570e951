import { stat } from 'node:fs/promises';
import { type DeviceUser, kernel, usersOf } from '../device-users.ts';
import { nullIfMissing } from '../system-errors.ts';
import type { LogicalVolume } from './report.ts';
import type { VolumeGroupCommands } from './volume-group.ts';

/** Who has the volume open. Device-mapper counts all of them; whom this worker cannot see is told of as well. */
export async function usersOfVolume(
  group: VolumeGroupCommands,
  { path, open, active }: LogicalVolume,
): Promise<DeviceUser[]> {
  if (!active || !open) return [];
  const device = await stat(path, { bigint: true }).catch(nullIfMissing);
  const seen = device?.isBlockDevice() ? await usersOf({ rdev: device.rdev }) : [];
  const unseen = (await openCount(group, path)) - seen.length;
  if (unseen <= 0) return seen;
  return [
    ...seen,
    kernel(`${unseen} of whom this worker only sees that they have it open: see dmsetup ls --tree, lsof ${path}`),
  ];
}

async function openCount(group: VolumeGroupCommands, path: string): Promise<number> {
  const { stdout } = await group.run(['dmsetup', 'info', '--columns', '--noheadings', '--options', 'open', '--', path]);
  return Number(stdout.trim());
}
