import { FerryError } from '../../../model/errors.ts';
import { checkName, checkSpec, checkTags } from '../device-name.ts';
import type { Device, VolumeDriver } from '../driver.ts';
import { withNamedLock } from '../file-lock.ts';
import { deviceExists, insufficientSpace, isOurs, notOwned, sizeDiffers } from '../refusals.ts';
import { exitCodeOf, type RunCommand, type RunOptions } from '../run-command.ts';
import { groupReport, type LogicalVolume, parseGroup, parseVolumes, type VolumeGroup, volumeReport } from './report.ts';

/** On a volume from its creation until it reads as zeros: until then it is not handed out. */
const zeroingTag = 'ferry.zeroing';

/** One request to zero: small enough that a cancel, which waits for the request under way, is heard soon. */
const zeroStepBytes = 256 * 1024 ** 2;

/** lvm2's exit code for "could not": no room, name taken, not found, in use. */
const refusedByLvm = 5;

export interface LvmDriverOptions {
  readonly volumeGroup: string;
  readonly run: RunCommand;
  /** Where the locks of volumes that are being zeroed are kept, the same for all workers of the node; made if missing. */
  readonly lockDirectory?: string;
}

/** Thick logical volumes of one volume group, by lvm2's own commands. Their stale bytes are zeroed by `blkdiscard`. */
export function createLvmDriver({ volumeGroup, run, lockDirectory = '/run/ferry' }: LvmDriverOptions): VolumeDriver {
  const unavailable = (why: string, cause?: unknown) =>
    new FerryError('BackEndUnavailable', `volume group ${volumeGroup} is not available: ${why}`, { volumeGroup }, { cause });

  // Killed in the middle, lvm2 would leave devices suspended: it is only asked to end.
  const ask = (argv: readonly [string, ...string[]], options?: RunOptions) => run(argv, { ...options, neverKill: true });

  async function findGroup(): Promise<VolumeGroup | null> {
    return parseGroup(volumeGroup, (await ask(['vgs', ...groupReport])).stdout);
  }

  async function group(): Promise<VolumeGroup> {
    const found = await findGroup();
    if (!found) throw unavailable('there is no volume group of that name on this node');
    if (found.fault !== null) throw unavailable(found.fault);
    return found;
  }

  /** Runs an lvm2 command; when it fails because the whole group is gone, says so. */
  async function lvm(argv: readonly [string, ...string[]], options?: RunOptions): Promise<string> {
    try {
      return (await ask(argv, options)).stdout;
    } catch (error) {
      if (exitCodeOf(error) === refusedByLvm) await group();
      throw error;
    }
  }

  async function volumes(...selection: string[]): Promise<LogicalVolume[]> {
    return parseVolumes(volumeGroup, await lvm(['lvs', ...volumeReport, ...selection, '--', volumeGroup]));
  }

  async function volume(name: string): Promise<LogicalVolume | null> {
    return (await volumes('--select', `lv_name="${name}"`))[0] ?? null;
  }

  const operand = (name: string) => `${volumeGroup}/${name}`;
  const device = ({ name, path, sizeBytes, tags }: LogicalVolume): Device => ({ name, path, sizeBytes, tags });

  /** All bytes to zero, on the medium; then the volume may be handed out. */
  async function zero({ name, path }: LogicalVolume): Promise<void> {
    try {
      // Opens exclusively: one that an earlier worker left behind and that still runs makes this one fail.
      await run(['blkdiscard', '--zeroout', '--step', String(zeroStepBytes), '--', path], { timeoutMs: 0 });
    } catch (error) {
      if (!(await volume(name))?.open) throw error;
      throw new FerryError('DeviceInUse', `${path} cannot be zeroed: it is open elsewhere, maybe an earlier attempt still zeroes it`, { name }, { cause: error });
    }
    await run(['sync', '--', path], { timeoutMs: 0 });
    await lvm(['lvchange', '--deltag', zeroingTag, '--', operand(name)]);
  }

  /** What to answer for a volume that is there: by this call (`made`) or before. */
  async function settle(found: LogicalVolume, spec: Parameters<VolumeDriver['create']>[0]): Promise<Device & { readsZero: boolean }> {
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
    const { extentBytes, freeBytes } = await group();
    if (sizeBytes % extentBytes !== 0) {
      throw new FerryError('SizeMismatch', `${sizeBytes} bytes are not whole extents of ${extentBytes} bytes in ${volumeGroup}`, { sizeBytes, extentBytes });
    }
    const found = await volume(name);
    if (found) return settle(found, spec);
    if (freeBytes < sizeBytes) throw insufficientSpace(volumeGroup, sizeBytes, freeBytes);
    const allTags = spec.zero ? [...tags, zeroingTag] : tags;
    try {
      // The tags are in the same command: no volume of Ferry's is ever without them.
      await lvm([
        'lvcreate', '--yes', '--type', 'linear', '--zero', 'n', '--wipesignatures', 'n', '--size', `${sizeBytes}b`,
        '--name', name, ...allTags.flatMap((tag) => ['--addtag', tag]), '--', volumeGroup,
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
      const inUse = (cause?: unknown) =>
        new FerryError('DeviceInUse', `${operand(name)} is open: exported or used by a guest; end that first`, { name }, { cause });
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
      const missing = (cause?: unknown) => new FerryError('DeviceMissing', `there is no ${operand(name)} to tag`, { name }, { cause });
      // lvm2 takes tags off after it puts tags on.
      const changes = [...add.flatMap((tag) => ['--addtag', tag]), ...remove.filter((tag) => !add.includes(tag)).flatMap((tag) => ['--deltag', tag])];
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
  };
}
