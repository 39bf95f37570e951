import { checkName, checkSpec, checkTags } from '../device-name.ts';
import type { Device, VolumeDriver } from '../driver.ts';
import { withNamedLock } from '../file-lock.ts';
import { deviceInUse, deviceMissing, isFerryTag, isOurs, notOwned } from '../refusals.ts';
import { exitCodeOf } from '../run-command.ts';
import { adopt, disown, obstacle } from './adopt.ts';
import type { LogicalVolume } from './report.ts';
import { refusedByLvm, type VolumeGroupCommands } from './volume-group.ts';

/** What of a driver is the same for all logical volumes, whatever their bytes are in. */
export type LogicalVolumeMethods = Pick<
  VolumeDriver,
  'kind' | 'namespace' | 'find' | 'list' | 'delete' | 'retag' | 'strangers' | 'adopt' | 'disown'
>;

export const deviceOf = ({ name, path, sizeBytes, tags }: LogicalVolume): Device => ({ name, path, sizeBytes, tags });

export function logicalVolumeMethods(group: VolumeGroupCommands, lockDirectory: string): LogicalVolumeMethods {
  const { lvm, operand, volume } = group;
  return {
    kind: 'lvm',
    namespace: group.name,

    async find(name) {
      checkName(name);
      const found = await volume(name);
      return found && deviceOf(found);
    },

    async list() {
      return (await group.volumes()).map(deviceOf);
    },

    async delete(name, tag) {
      checkName(name);
      checkTags([tag]);
      const found = await volume(name);
      if (!found) return;
      if (!isOurs(found, [tag])) throw notOwned(found, tag);
      const inUse = (cause?: unknown) => deviceInUse(operand(name), name, cause);
      // lvremove tries an open volume for 5 s before it refuses: asking first is quicker.
      if (found.open) throw inUse();
      try {
        // The tag once more: this time lvm2 looks at it under the lock under which it removes.
        await lvm(['lvremove', '--yes', '--select', `lv_tags={"${tag}"}`, '--', operand(name)]);
      } catch (error) {
        const left = await volume(name);
        if (!left) return;
        throw left.open ? inUse(error) : error;
      }
      const left = await volume(name);
      if (left) throw notOwned(left, tag);
    },

    async retag(name, { add, remove }) {
      checkName(name);
      checkTags([...add, ...remove]);
      const missing = (cause?: unknown) => deviceMissing(group.where, name, cause);
      // lvm2 takes tags off after it puts tags on.
      const changes = [
        ...add.flatMap((tag) => ['--addtag', tag]),
        ...remove.filter((tag) => !add.includes(tag)).flatMap((tag) => ['--deltag', tag]),
      ];
      // Another back end of the group may have that name.
      if (!(await volume(name))) throw missing();
      if (changes.length === 0) return;
      try {
        await lvm(['lvchange', ...changes, '--', operand(name)]);
      } catch (error) {
        if (exitCodeOf(error) === refusedByLvm && !(await volume(name))) throw missing(error);
        throw error;
      }
    },

    async strangers() {
      const found = (await group.volumes()).filter(({ tags }) => !tags.some(isFerryTag));
      return found.map((each) => ({ device: deviceOf(each), obstacle: obstacle(group, each) }));
    },

    async adopt(name, newName, tags) {
      checkName(name);
      checkSpec({ name: newName, sizeBytes: 1, tags });
      await withNamedLock(lockDirectory, group.name, () => adopt(group, name, newName, tags));
    },

    async disown(name, newName, tag) {
      checkName(name);
      checkName(newName);
      checkTags([tag]);
      await withNamedLock(lockDirectory, group.name, () => disown(group, name, newName, tag));
    },
  };
}
