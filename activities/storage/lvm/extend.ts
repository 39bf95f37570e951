import { unzeroedFrom, unzeroedTag } from '../../../model/device.ts';
import { FerryError } from '../../../model/errors.ts';
import type { Expected } from '../driver.ts';
import { checkIsExpected, whyUnexpected } from '../expected.ts';
import { deviceInUse, deviceMissing, insufficientSpace, wouldShrink } from '../refusals.ts';
import { exitCodeOf } from '../run-command.ts';
import type { LogicalVolume } from './report.ts';
import { selection } from './selection.ts';
import { refusedByLvm, type VolumeGroupCommands } from './volume-group.ts';

/** Where a volume's new bytes come from. */
export interface Growth {
  /** How much it may still grow. */
  freeBytes(): Promise<number>;
  /** Runs what counts room and takes it; never what takes as long as there are bytes to clear: others' room waits for it. */
  counted<T>(action: () => Promise<T>): Promise<T>;
  /** Makes the bytes from `offset` on of a volume that has `sizeBytes` now read as zeros, on the medium. */
  clear(found: LogicalVolume, range: { offset: number; sizeBytes: number }): Promise<void>;
}

/** Makes the volume larger. One at a time for a volume: the caller holds its lock. */
export async function extend(
  group: VolumeGroupCommands,
  name: string,
  { sizeBytes, expected }: { sizeBytes: number; expected: Expected },
  growth: Growth,
): Promise<void> {
  const found = await group.volume(name);
  if (!found) throw deviceMissing(group.where, name);
  checkIsExpected(found, expected);
  if (found.sizeBytes > sizeBytes) throw wouldShrink(found, sizeBytes);
  const before = unzeroedFrom(found.tags);
  if (found.sizeBytes === sizeBytes && before === null) return;
  group.checkExtents(sizeBytes, await group.soundGroup());
  // lvm2 resizes such a one only while it is inactive, and what it then writes to the new bytes would use up the room of its snapshots.
  if (found.thickOrigin)
    throw new FerryError('VolumeHasSnapshots', `${found.path} has snapshots; delete them first`, { name });
  if (found.open) throw deviceInUse(found.path, name);
  const missing = sizeBytes - found.sizeBytes;
  const from = before ?? found.sizeBytes;
  const mark = unzeroedTag(from);
  const here = { ...expected, identity: found.identity };
  const select = selection(here);
  await growth.counted(async () => {
    const freeBytes = await growth.freeBytes();
    if (freeBytes < missing) throw insufficientSpace(group.where, missing, freeBytes);
    await expected.stillWanted?.();
    // The mark first: no moment may come at which stale bytes are there and nothing tells of them.
    if (before === null) await group.lvm(['lvchange', '--addtag', mark, '--select', select, '--', group.operand(name)]);
    const marked = await group.volume(name);
    if (!marked) throw deviceMissing(group.where, name);
    if (!marked.tags.includes(mark)) throw whyUnexpected(marked, here) ?? deviceInUse(found.path, name);
    if (missing > 0) await grow(group, found, { sizeBytes, mark }, growth);
  });
  await growth.clear(found, { offset: from, sizeBytes });
  await group.lvm(['lvchange', '--deltag', mark, '--', group.operand(name)]);
}

async function grow(
  group: VolumeGroupCommands,
  found: LogicalVolume,
  { sizeBytes, mark }: { sizeBytes: number; mark: string },
  growth: Growth,
): Promise<void> {
  try {
    await group.lvm(['lvextend', '--yes', '--size', `${sizeBytes}b`, '--', group.operand(found.name)]);
  } catch (error) {
    if (exitCodeOf(error) !== refusedByLvm) throw error;
    const freeBytes = await growth.freeBytes();
    const missing = sizeBytes - found.sizeBytes;
    if (freeBytes >= missing) throw error;
    // Others were quicker. What an earlier attempt left unzeroed stays marked.
    const now = await group.volume(found.name);
    if (now?.sizeBytes === unzeroedFrom((now ?? found).tags)) {
      await group.lvm(['lvchange', '--deltag', mark, '--', group.operand(found.name)]);
    }
    throw insufficientSpace(group.where, missing, freeBytes, error);
  }
}
