import { heldBy, heldTag, holdTags, wokenTag } from '../held-tags.ts';
import type { Expected } from '../driver.ts';
import { checkIsExpected } from '../expected.ts';
import { deviceMissing } from '../refusals.ts';
import type { LogicalVolume } from './report.ts';
import { selection } from './selection.ts';
import type { VolumeGroupCommands } from './volume-group.ts';

const selected = (tag: string) => ['--select', `lv_tags={"${tag}"}`];
const marked = (option: '--addtag' | '--deltag', tags: readonly string[]) => tags.flatMap((tag) => [option, tag]);

/**
 * Activates the volume if need be, and lets nobody begin to write to it. The mark comes before what it is the mark of: what a crash
 * leaves is either as before, or says that it was Ferry.
 */
export async function hold(
  group: VolumeGroupCommands,
  name: string,
  expected: Expected,
  migrationId: string,
): Promise<LogicalVolume> {
  const found = await group.volume(name);
  if (!found) throw deviceMissing(group.where, name);
  checkIsExpected(found, expected);
  const others = holdTags(found.tags).filter((tag) => tag !== heldTag(migrationId) && tag !== wokenTag(migrationId));
  const isOthers = found.readOnly && heldBy(found.tags) === null;
  const add = [
    ...(isOthers || heldBy(found.tags) === migrationId ? [] : [heldTag(migrationId)]),
    ...(found.active || found.tags.includes(wokenTag(migrationId)) ? [] : [wokenTag(migrationId)]),
  ];
  const exactly = selection({ ...expected, identity: found.identity });
  const target = ['--select', exactly, '--', group.operand(name)];
  await expected.stillWanted?.();
  if (add.length + others.length > 0)
    await group.lvm(['lvchange', ...marked('--addtag', add), ...marked('--deltag', others), ...target]);
  if (!found.active) await group.lvm(['lvchange', '--activate', 'y', '--', group.operand(name)]);
  if (!found.readOnly) await setPermission(group, name, 'r', heldTag(migrationId));
  return found;
}

/** Ends a hold, this migration's or any; a volume that was woken for it sleeps again if it can, unless it is to be `used`. */
export async function release(
  group: VolumeGroupCommands,
  name: string,
  migrationId: string | null,
  { used = false } = {},
): Promise<void> {
  const found = await group.volume(name);
  const tags = found ? holdTags(found.tags, migrationId) : [];
  if (!found || tags.length === 0) return;
  const holder = heldBy(tags);
  if (holder !== null && found.readOnly) await setPermission(group, name, 'rw', heldTag(holder));
  const woken = tags.some((tag) => tag.startsWith(wokenTag('')));
  if (woken && !used && found.active && !found.open)
    await group.lvm(['lvchange', '--activate', 'n', '--', group.operand(name)]);
  const [mark = ''] = tags;
  await group.lvm(['lvchange', ...marked('--deltag', tags), ...selected(mark), '--', group.operand(name)]);
}

/** lvm2 looks at the mark under the lock under which it changes the volume; as it is already: it fails, and nothing is wrong. */
async function setPermission(group: VolumeGroupCommands, name: string, to: 'r' | 'rw', mark: string): Promise<void> {
  try {
    await group.lvm(['lvchange', '--permission', to, ...selected(mark), '--', group.operand(name)]);
  } catch (error) {
    const now = await group.volume(name);
    if (now && now.readOnly !== (to === 'r')) throw error;
  }
}
