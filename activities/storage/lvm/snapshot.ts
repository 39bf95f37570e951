import { deviceExists, deviceMissing, insufficientSpace, isOurs } from '../refusals.ts';
import { exitCodeOf } from '../run-command.ts';
import { refusedByLvm, type VolumeGroupCommands } from './volume-group.ts';

/**
 * Makes a copy-on-write snapshot that has room for every byte of its origin, so that it can never overflow and be lost. lvm2 holds
 * writes to the origin for the moment it takes.
 */
export async function snapshot(
  group: VolumeGroupCommands,
  name: string,
  made: { snapshotName: string; tags: readonly string[]; stillWanted?: (() => Promise<void>) | undefined },
): Promise<void> {
  const { snapshotName, tags } = made;
  if (await isMade(group, snapshotName, tags)) return;
  const origin = await group.volume(name);
  if (!origin) throw deviceMissing(group.where, name);
  await made.stillWanted?.();
  try {
    await group.lvm([
      'lvcreate',
      '--yes',
      '--snapshot',
      '--extents',
      '100%ORIGIN',
      '--name',
      snapshotName,
      ...tags.flatMap((tag) => ['--addtag', tag]),
      '--',
      group.operand(name),
    ]);
  } catch (error) {
    if (exitCodeOf(error) !== refusedByLvm) throw error;
    if (await isMade(group, snapshotName, tags)) return;
    await group.checkNotElsewhere(snapshotName, tags);
    const { freeBytes, extentBytes } = await group.group();
    const needed = roomFor(origin.sizeBytes, extentBytes);
    throw freeBytes < needed ? insufficientSpace(group.where, needed, freeBytes, error) : error;
  }
}

/** What a snapshot of every byte takes: its tables hold 16 bytes for each 4 KiB, and it is whole extents. */
function roomFor(sizeBytes: number, extentBytes: number): number {
  return (Math.ceil((sizeBytes * (1 + 16 / 4096)) / extentBytes) + 1) * extentBytes;
}

async function isMade(group: VolumeGroupCommands, snapshotName: string, tags: readonly string[]): Promise<boolean> {
  const found = await group.volume(snapshotName);
  if (!found) return false;
  if (!isOurs(found, tags)) throw deviceExists(found, tags);
  return true;
}
