import { FerryError } from '../../../model/errors.ts';
import { checkName, checkSpec, checkTags } from '../device-name.ts';
import type { Device, VolumeDriver } from '../driver.ts';
import { withNamedLock } from '../file-lock.ts';
import {
  deviceExists,
  deviceInUse,
  deviceMissing,
  insufficientSpace,
  isFerryTag,
  isOurs,
  notOwned,
  sizeDiffers,
} from '../refusals.ts';
import { exitCodeOf, type RunCommand } from '../run-command.ts';
import { adopt, disown, obstacle } from './adopt.ts';
import { extend } from './extend.ts';
import type { LogicalVolume } from './report.ts';
import { snapshot } from './snapshot.ts';
import { createVolumeGroup, refusedByLvm } from './volume-group.ts';
import { zeroFrom } from './zero-range.ts';

/** On a volume from its creation until it reads as zeros: until then it is not handed out. */
const zeroingTag = 'ferry.zeroing';

export interface LvmDriverOptions {
  readonly volumeGroup: string;
  readonly run: RunCommand;
  /** Where the locks of volumes that are being zeroed are kept, the same for all workers of the node; made if missing. */
  readonly lockDirectory?: string;
}

/** Thick logical volumes of one volume group, by lvm2's own commands. Their stale bytes are zeroed by `blkdiscard`. */
export function createLvmDriver({ volumeGroup, run, lockDirectory = '/run/ferry' }: LvmDriverOptions): VolumeDriver {
  const vg = createVolumeGroup({ volumeGroup, run });
  const { group, lvm, volume, volumes, operand } = vg;
  const device = ({ name, path, sizeBytes, tags }: LogicalVolume): Device => ({ name, path, sizeBytes, tags });

  /** All bytes to zero, on the medium; then the volume may be handed out. */
  async function zero(found: LogicalVolume): Promise<void> {
    await zeroFrom(vg, found, 0);
    await lvm(['lvchange', '--deltag', zeroingTag, '--', operand(found.name)]);
  }

  /** What to answer for a volume that is there: by this call (`made`) or before. */
  async function settle(
    found: LogicalVolume,
    spec: Parameters<VolumeDriver['create']>[0],
  ): Promise<Device & { readsZero: boolean }> {
    if (!isOurs(found, spec.tags)) throw deviceExists(found, spec.tags);
    if (found.sizeBytes !== spec.sizeBytes) throw sizeDiffers(found, spec.sizeBytes);
    // lvcreate was killed between its metadata and its activation, or the node has been restarted.
    if (!found.active) await lvm(['lvchange', '--activate', 'y', '--', operand(found.name)]);
    if (!spec.zero || !found.tags.includes(zeroingTag)) return { ...device(found), readsZero: false };
    await zero(found);
    return { ...device(found), tags: found.tags.filter((tag) => tag !== zeroingTag), readsZero: true };
  }

  async function create(spec: Parameters<VolumeDriver['create']>[0]): Promise<Device & { readsZero: boolean }> {
    const { name, sizeBytes, tags } = spec;
    const facts = await group();
    vg.checkExtents(sizeBytes, facts);
    const { freeBytes } = facts;
    const found = await volume(name);
    if (found) return settle(found, spec);
    if (freeBytes < sizeBytes) throw insufficientSpace(volumeGroup, sizeBytes, freeBytes);
    const allTags = spec.zero ? [...tags, zeroingTag] : tags;
    try {
      // The tags are in the same command: no volume of Ferry's is ever without them.
      await lvm([
        'lvcreate',
        '--yes',
        '--type',
        'linear',
        '--zero',
        'n',
        '--wipesignatures',
        'n',
        '--size',
        `${sizeBytes}b`,
        '--name',
        name,
        ...allTags.flatMap((tag) => ['--addtag', tag]),
        '--',
        volumeGroup,
      ]);
    } catch (error) {
      if (exitCodeOf(error) !== refusedByLvm) throw error;
      const winner = await volume(name);
      if (winner) return settle(winner, spec);
      const left = (await group()).freeBytes;
      throw left < sizeBytes ? insufficientSpace(volumeGroup, sizeBytes, left, error) : error;
    }
    const made = await volume(name);
    if (!made) throw new FerryError('DeviceMissing', `${operand(name)} vanished while it was made`, { name });
    return settle(made, spec);
  }

  return {
    kind: 'lvm',
    place: volumeGroup,

    // Logical volumes of two groups have no extents in common.
    share: async () => null,

    async capacity() {
      const { totalBytes, freeBytes } = await group();
      return { totalBytes, freeBytes };
    },

    async create(spec) {
      checkSpec(spec);
      if (!spec.zero) return create(spec);
      // From "not yet zeroed?" to the last zero no other attempt may run: it would zero what was handed out meanwhile.
      return withNamedLock(lockDirectory, `${volumeGroup}/${spec.name}`, () => create(spec));
    },

    async find(name) {
      checkName(name);
      const found = await volume(name);
      return found && device(found);
    },

    async list() {
      return (await volumes()).map(device);
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
      const missing = (cause?: unknown) => deviceMissing(volumeGroup, name, cause);
      // lvm2 takes tags off after it puts tags on.
      const changes = [
        ...add.flatMap((tag) => ['--addtag', tag]),
        ...remove.filter((tag) => !add.includes(tag)).flatMap((tag) => ['--deltag', tag]),
      ];
      if (changes.length === 0) {
        if (!(await volume(name))) throw missing();
        return;
      }
      try {
        await lvm(['lvchange', ...changes, '--', operand(name)]);
      } catch (error) {
        if (exitCodeOf(error) === refusedByLvm && !(await volume(name))) throw missing(error);
        throw error;
      }
    },

    async extend(name, sizeBytes, tag) {
      checkSpec({ name, sizeBytes, tags: [tag] });
      await withNamedLock(lockDirectory, operand(name), () => extend(vg, name, sizeBytes, tag));
    },

    async snapshot(name, snapshotName, tags) {
      checkName(name);
      checkSpec({ name: snapshotName, sizeBytes: 1, tags });
      await snapshot(vg, name, snapshotName, tags);
    },

    async strangers() {
      const found = (await volumes()).filter(({ tags }) => !tags.some(isFerryTag));
      return found.map((each) => ({ device: device(each), obstacle: obstacle(each) }));
    },

    async adopt(name, newName, tags) {
      checkName(name);
      checkSpec({ name: newName, sizeBytes: 1, tags });
      await withNamedLock(lockDirectory, volumeGroup, () => adopt(vg, name, newName, tags));
    },

    async disown(name, newName, tag) {
      checkName(name);
      checkName(newName);
      checkTags([tag]);
      await withNamedLock(lockDirectory, volumeGroup, () => disown(vg, name, newName, tag));
    },
  };
}
