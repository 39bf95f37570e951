import { checkName, checkSpec, checkTags } from '../device-name.ts';
import type { Device, Expected, VolumeDriver } from '../driver.ts';
import { checkExpected, checkIsExpected, whyUnexpected } from '../expected.ts';
import { withNamedLock } from '../file-lock.ts';
import { heldTag } from '../held-tags.ts';
import { deviceInUse, deviceMissing, hasSnapshots, isFerryTag, isOurs } from '../refusals.ts';
import { exitCodeOf } from '../run-command.ts';
import { adopt, disown, obstacle } from './adopt.ts';
import { hold, release } from './hold.ts';
import { selection } from './selection.ts';
import { usersOfVolume } from './users-of-volume.ts';
import type { LogicalVolume } from './report.ts';
import { refusedByLvm, type VolumeGroupCommands } from './volume-group.ts';

/** What of a driver is the same for all logical volumes, whatever their bytes are in. */
export type LogicalVolumeMethods = Pick<
  VolumeDriver,
  | 'kind'
  | 'namespace'
  | 'identify'
  | 'mark'
  | 'find'
  | 'list'
  | 'surroundings'
  | 'snapshots'
  | 'hold'
  | 'release'
  | 'makeReady'
  | 'delete'
  | 'retag'
  | 'strangers'
  | 'adopt'
  | 'disown'
>;

export const deviceOf = ({ name, path, sizeBytes, tags, identity }: LogicalVolume): Device => ({
  name,
  path,
  sizeBytes,
  tags,
  identity,
});

export function logicalVolumeMethods(group: VolumeGroupCommands, lockDirectory: string): LogicalVolumeMethods {
  const { lvm, operand, volume } = group;

  async function remove(name: string, expected: Expected): Promise<void> {
    const found = await volume(name);
    if (!found) return;
    checkIsExpected(found, expected);
    const inUse = (cause?: unknown) => deviceInUse(operand(name), name, cause);
    if (found.origin) throw hasSnapshots(found, found.snapshots);
    // lvremove tries an open volume for 5 s before it refuses: asking first is quicker.
    if (found.open) throw inUse();
    await expected.stillWanted?.();
    try {
      // The same once more: this time lvm2 looks at it under the lock under which it removes. The identity in any case: what has come
      // to this name since the look is another's. It would remove snapshots with their origin.
      const select = `${selection({ ...expected, identity: found.identity })} && !(lv_role={"origin"})`;
      await lvm(['lvremove', '--yes', '--select', select, '--', operand(name)]);
    } catch (error) {
      const left = await volume(name);
      if (!left) return;
      throw left.open ? inUse(error) : error;
    }
    const left = await volume(name);
    if (left?.identity !== found.identity) return;
    throw left.origin ? hasSnapshots(left, left.snapshots) : (whyUnexpected(left, expected) ?? inUse());
  }

  return {
    kind: 'lvm',
    namespace: group.name,
    identify: group.identify,
    mark: group.mark,

    async find(name) {
      checkName(name);
      const found = await volume(name);
      return found && deviceOf(found);
    },

    async list() {
      return (await group.volumes()).map(deviceOf);
    },

    async surroundings(name) {
      checkName(name);
      const found = await volume(name);
      if (!found) return null;
      const { snapshots, active } = found;
      // Its size tells nothing of writes, and counters begin anew with each activation.
      return { device: deviceOf(found), snapshots, active, users: await usersOfVolume(group, found), lastWrite: null };
    },

    async snapshots(name) {
      checkName(name);
      return (await volume(name))?.snapshots ?? [];
    },

    async hold(name, expected, migrationId) {
      checkName(name);
      checkExpected(expected);
      checkTags([heldTag(migrationId)]);
      await hold(group, name, expected, migrationId);
    },

    async release(name, migrationId) {
      checkName(name);
      checkTags([heldTag(migrationId)]);
      await release(group, name, migrationId);
    },

    async makeReady(name, stillWanted) {
      checkName(name);
      const found = await volume(name);
      if (!found) return;
      await stillWanted?.();
      if (!found.active) await lvm(['lvchange', '--activate', 'y', '--', operand(name)]);
      await release(group, name, null, { used: true });
    },

    async delete(name, expected) {
      checkName(name);
      checkExpected(expected);
      // Not while it is zeroed or grows: who does that has looked at what it is, and must not go on with another of its name.
      await withNamedLock(lockDirectory, operand(name), () => remove(name, expected));
    },

    async retag(name, expected, { add, remove }) {
      checkName(name);
      checkExpected(expected);
      checkTags([...add, ...remove]);
      const missing = (cause?: unknown) => deviceMissing(group.where, name, cause);
      // lvm2 takes tags off after it puts tags on.
      const changes = [
        ...add.flatMap((tag) => ['--addtag', tag]),
        ...remove.filter((tag) => !add.includes(tag)).flatMap((tag) => ['--deltag', tag]),
      ];
      // Another back end of the group may have that name.
      const found = await volume(name);
      if (!found) throw missing();
      checkIsExpected(found, expected);
      if (changes.length === 0) return;
      const select = selection({ ...expected, identity: found.identity });
      try {
        await lvm(['lvchange', ...changes, '--select', select, '--', operand(name)]);
      } catch (error) {
        if (exitCodeOf(error) === refusedByLvm && !(await volume(name))) throw missing(error);
        throw error;
      }
      // Where lvm2 selected nothing it says nothing.
      const now = await volume(name);
      if (!now) throw missing();
      const isDone =
        now.identity === found.identity && isOurs(now, add) && !remove.some((tag) => isLeft(now, tag, add));
      if (!isDone) throw whyUnexpected(now, { ...expected, identity: found.identity }) ?? missing();
    },

    async strangers() {
      const found = (await group.volumes()).filter(({ tags }) => !tags.some(isFerryTag));
      return found.map((each) => ({ device: deviceOf(each), ...obstacle(group, each) }));
    },

    async adopt(name, newName, tags, kin) {
      checkName(name);
      checkSpec({ name: newName, sizeBytes: 1, tags });
      await withNamedLock(lockDirectory, group.name, () => adopt(group, name, { newName, tags, kin }));
    },

    async disown(name, newName, tag, stillWanted) {
      checkName(name);
      checkName(newName);
      checkTags([tag]);
      await withNamedLock(lockDirectory, group.name, () => disown(group, name, { newName, tag, stillWanted }));
    },
  };
}

function isLeft({ tags }: LogicalVolume, tag: string, added: readonly string[]): boolean {
  return tags.includes(tag) && !added.includes(tag);
}
