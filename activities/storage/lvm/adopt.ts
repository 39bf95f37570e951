import { obstacleLeft } from '../../../model/unmanaged-device.ts';
import type { Kin } from '../driver.ts';
import { deviceExists, deviceInUse, deviceMissing, isFerryTag, isOurs, notAdoptable } from '../refusals.ts';
import type { LogicalVolume } from './report.ts';
import type { VolumeGroupCommands } from './volume-group.ts';

/** Why a logical volume cannot become a volume of Ferry's, whatever snapshots it has, or, `asSnapshot`, a snapshot; null when it can. */
function obstacleBesidesSnapshots(
  group: VolumeGroupCommands,
  found: LogicalVolume,
  { asSnapshot }: { asSnapshot: boolean },
): string | null {
  if (!group.isOwn(found))
    return `it is in the thin pool ${found.thinPool}, which is no back end; configure one with that thinPool`;
  const owner = found.tags.find(isFerryTag);
  if (owner !== undefined) return `it is Ferry's already (${owner})`;
  if (found.pool) return 'it is a pool or another part of lvm2, not a volume';
  if (found.snapshot !== asSnapshot) return asSnapshot ? 'it is no snapshot' : 'it is a snapshot';
  // lvm2 leaves a thin snapshot inactive; it is activated when it becomes ours.
  if (!found.active && !(asSnapshot && found.thinPool !== null))
    return `it is not active; activate it first: lvchange --activate y ${found.path}`;
  return found.open ? 'it is in use: mounted, exported or used by a guest' : null;
}

/**
 * Why a logical volume cannot become a volume of Ferry's, or, `asSnapshot`, a snapshot; null when it can. And the snapshots that are all that
 * is in the way.
 */
export function obstacle(
  group: VolumeGroupCommands,
  found: LogicalVolume,
  { asSnapshot = false } = {},
): { obstacle: string | null; snapshots: readonly string[] } {
  const other = obstacleBesidesSnapshots(group, found, { asSnapshot });
  if (other !== null || !found.origin) return { obstacle: other, snapshots: [] };
  return { obstacle: 'it has snapshots; delete them first', snapshots: found.snapshots };
}

/** Tags, then renames: a volume is never under Ferry's name without saying whose it is. The caller holds the group's lock. */
export async function adopt(
  group: VolumeGroupCommands,
  name: string,
  { newName, tags, kin = {} }: { newName: string; tags: readonly string[]; kin?: Kin | undefined },
): Promise<void> {
  const { snapshotOf, snapshots: known, stillWanted } = kin;
  const asSnapshot = snapshotOf !== undefined;
  const there = await group.volume(newName);
  if (there && isOurs(there, tags)) return wake(group, there);
  if (there && newName !== name) throw deviceExists(there, tags);
  await group.checkNotElsewhere(newName, tags);
  const found = await group.shown(name);
  if (!found) throw deviceMissing(group.where, name);
  const why = isOurs(found, tags) ? null : obstacleLeft(obstacle(group, found, { asSnapshot }), known);
  if (why === null && asSnapshot && !(await group.volume(snapshotOf))?.snapshots.includes(name))
    throw notAdoptable(found, `it is no snapshot of ${snapshotOf}`);
  if (why !== null) throw found.open ? deviceInUse(found.path, name) : notAdoptable(found, why);
  await stillWanted?.();
  await group.lvm(['lvchange', ...tags.flatMap((tag) => ['--addtag', tag]), '--', group.operand(name)]);
  if (newName !== name) await group.lvm(['lvrename', '--', group.name, name, newName]);
  await wake(group, { ...found, name: newName });
}

/** A thin snapshot of somebody else's is inactive, and skipped when its group is activated; one of ours is neither. */
async function wake(
  group: VolumeGroupCommands,
  { name, active }: Pick<LogicalVolume, 'name' | 'active'>,
): Promise<void> {
  if (active) return;
  await group.lvm(['lvchange', '--setactivationskip', 'n', '--', group.operand(name)]);
  await group.lvm(['lvchange', '--activate', 'y', '--', group.operand(name)]);
}

/** Renames, then takes the tags off. The caller holds the group's lock. */
export async function disown(
  group: VolumeGroupCommands,
  name: string,
  { newName, tag, stillWanted }: { newName: string; tag: string; stillWanted?: (() => Promise<void>) | undefined },
): Promise<void> {
  const under = await group.volume(name);
  await stillWanted?.();
  if (under && isOurs(under, [tag]) && newName !== name) await group.lvm(['lvrename', '--', group.name, name, newName]);
  const found = await group.volume(newName);
  if (!found || !isOurs(found, [tag])) return;
  const ours = found.tags.filter(isFerryTag);
  await group.lvm(['lvchange', ...ours.flatMap((each) => ['--deltag', each]), '--', group.operand(newName)]);
}
