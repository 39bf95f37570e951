import { zeroingTag } from '../../../model/device.ts';
import { FerryError } from '../../../model/errors.ts';
import type { Admit } from '../admission.ts';
import { checkName, checkSpec } from '../device-name.ts';
import type { Device, VolumeDriver } from '../driver.ts';
import { checkExpected } from '../expected.ts';
import { withNamedLock } from '../file-lock.ts';
import { deviceExists, insufficientSpace, isOurs, sizeDiffers } from '../refusals.ts';
import { exitCodeOf, type RunCommand } from '../run-command.ts';
import { extend, type Growth } from './extend.ts';
import { deviceOf, logicalVolumeMethods } from './logical-volume-methods.ts';
import type { LogicalVolume } from './report.ts';
import { snapshot } from './snapshot.ts';
import { createVolumeGroup, refusedByLvm } from './volume-group.ts';
import { zeroFrom } from './zero-range.ts';

export interface LvmDriverOptions {
  readonly volumeGroup: string;
  /** Thin pools of the group that are back ends themselves. */
  readonly otherPools?: readonly string[];
  readonly run: RunCommand;
  readonly admit?: Admit | undefined;
  /** Where the locks of volumes that are being zeroed are kept, the same for all workers of the node; made if missing. */
  readonly lockDirectory?: string;
}

/** Thick logical volumes of one volume group, by lvm2's own commands. Their stale bytes are zeroed by `blkdiscard`. */
export function createLvmDriver({
  volumeGroup,
  otherPools = [],
  run,
  admit,
  lockDirectory = '/run/ferry',
}: LvmDriverOptions): VolumeDriver {
  const vg = createVolumeGroup({ volumeGroup, thinPool: null, otherPools, run, admit });
  const { group, lvm, volume, operand } = vg;
  const growth: Growth = {
    freeBytes: async () => (await group()).freeBytes,
    // lvm2 itself gives no extent twice.
    counted: (action) => action(),
    clear: (found, { offset, sizeBytes }) => zeroFrom(vg, found, { offset, end: sizeBytes }),
  };

  /** All bytes to zero, on the medium; then the volume may be handed out. */
  async function zero(found: LogicalVolume): Promise<void> {
    await zeroFrom(vg, found, { offset: 0, end: found.sizeBytes });
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
    if (!spec.zero || !found.tags.includes(zeroingTag)) return { ...deviceOf(found), readsZero: false };
    await zero(found);
    return { ...deviceOf(found), tags: found.tags.filter((tag) => tag !== zeroingTag), readsZero: true };
  }

  async function create(spec: Parameters<VolumeDriver['create']>[0]): Promise<Device & { readsZero: boolean }> {
    const { name, sizeBytes, tags } = spec;
    const facts = await vg.soundGroup();
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
      await vg.checkNotElsewhere(name, tags);
      const left = (await group()).freeBytes;
      throw left < sizeBytes ? insufficientSpace(volumeGroup, sizeBytes, left, error) : error;
    }
    const made = await volume(name);
    if (!made) throw new FerryError('DeviceMissing', `${operand(name)} vanished while it was made`, { name });
    return settle(made, spec);
  }

  return {
    ...logicalVolumeMethods(vg, lockDirectory),
    place: volumeGroup,
    thin: false,
    zerosTakeRoom: false,

    // Logical volumes of two groups have no extents in common.
    share: async () => null,

    async capacity() {
      const { totalBytes, freeBytes, placementFault } = await group();
      if (placementFault === null) return { totalBytes, freeBytes };
      const lostDevices = (await vg.volumes()).filter(({ lost }) => lost).map(({ name }) => name);
      return { totalBytes, freeBytes, placementFault, lostDevices };
    },

    // A volume has all of its extents from the beginning.
    exhaustion: async () => null,

    async create(spec) {
      checkSpec(spec);
      if (!spec.zero) return create(spec);
      // From "not yet zeroed?" to the last zero no other attempt may run: it would zero what was handed out meanwhile.
      return withNamedLock(lockDirectory, `${volumeGroup}/${spec.name}`, () => create(spec));
    },

    async extend(name, sizeBytes, expected) {
      checkExpected(expected);
      checkSpec({ name, sizeBytes, tags: expected.tags });
      await withNamedLock(lockDirectory, operand(name), () => extend(vg, name, { sizeBytes, expected }, growth));
    },

    async snapshot(name, snapshotName, tags, stillWanted) {
      checkName(name);
      checkSpec({ name: snapshotName, sizeBytes: 1, tags });
      await snapshot(vg, name, { snapshotName, tags, stillWanted });
    },
  };
}
