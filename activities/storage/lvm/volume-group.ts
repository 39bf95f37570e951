import { FerryError } from '../../../model/errors.ts';
import { sizeText, sizeWords } from '../../../model/sizes.ts';
import type { StorageMark, StorageSeen } from '../../../model/storage-identity.ts';
import { type Admit, markChanged } from '../admission.ts';
import { deviceExists } from '../refusals.ts';
import { exitCodeOf, type RunCommand, type RunOptions } from '../run-command.ts';
import { markTags } from './mark-tags.ts';
import {
  groupReport,
  markedGroups,
  type LogicalVolume,
  parseGroup,
  parseThinPool,
  parseVolumes,
  seenInVolumes,
  seenOfPool,
  type ThinPool,
  type VolumeGroup,
  volumeReport,
} from './report.ts';

/** lvm2's exit code for "could not": no room, name taken, not found, in use. */
export const refusedByLvm = 5;

/** How often a mark is tried to be put on a group that others change meanwhile. */
const triesToMark = 20;

/** One volume group, or one thin pool of it, by lvm2's own commands. */
export type VolumeGroupCommands = ReturnType<typeof createVolumeGroup>;

export interface VolumeGroupOptions {
  readonly volumeGroup: string;
  /** Only what is in this thin pool is the back end's; null: only what has extents of its own. */
  readonly thinPool: string | null;
  /** Thin pools of the group that are back ends themselves: neither they nor what is in them is seen. */
  readonly otherPools: readonly string[];
  readonly run: RunCommand;
  /** Who says whether the group, or the pool in it, is the back end's own; not given: it is. */
  readonly admit?: Admit | undefined;
}

export interface PoolContents {
  readonly pool: ThinPool;
  readonly volumes: readonly LogicalVolume[];
  readonly elsewhere: readonly LogicalVolume[];
}

export function createVolumeGroup({ volumeGroup, thinPool, otherPools, run, admit }: VolumeGroupOptions) {
  const where = thinPool === null ? volumeGroup : `${volumeGroup}/${thinPool}`;
  const unavailable = (what: string, why: string) =>
    new FerryError('BackEndUnavailable', `${what} is not available: ${why}`, { volumeGroup, thinPool });

  // Killed in the middle, lvm2 would leave devices suspended: it is only asked to end.
  const ask = (argv: readonly [string, ...string[]], options?: RunOptions) =>
    run(argv, { ...options, neverKill: true });

  const groupName = `volume group ${volumeGroup}`;

  async function anyGroup(): Promise<VolumeGroup> {
    const { stdout } = await ask(['vgs', ...groupReport]);
    const found = parseGroup(volumeGroup, stdout);
    if (found) return found;
    // It may only have another name now.
    const marked = markedGroups(stdout).map(({ name, backEnd }) => `${name} is marked as back end ${backEnd}`);
    throw unavailable(groupName, ['there is no volume group of that name on this node', ...marked].join('; '));
  }

  /** The group as it is now. `BackEndUnavailable` when there is none, it is not the back end's own, or its volumes cannot be used. */
  async function group(): Promise<VolumeGroup> {
    const found = await anyGroup();
    // Of a pool the pool itself says whose it is: others of the group are others'.
    if (thinPool === null) await admit?.(found.seen);
    if (found.fault !== null) throw unavailable(groupName, found.fault);
    return found;
  }

  /** The same, and `BackEndUnavailable` also when nothing can be made in it. */
  async function soundGroup(): Promise<VolumeGroup> {
    const found = await group();
    if (found.placementFault !== null) throw unavailable(groupName, found.placementFault);
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

  /** What the group, or the pool in it, tells of itself, whoever's it is. */
  async function identify(): Promise<StorageSeen> {
    if (thinPool === null) return (await anyGroup()).seen;
    await anyGroup();
    const seen = seenOfPool(thinPool, (await ask(['lvs', ...volumeReport, '--', volumeGroup])).stdout);
    if (!seen) throw unavailable(`thin pool ${where}`, `there is no thin pool of that name in ${volumeGroup}`);
    return seen;
  }

  /** Puts the mark on the group, or on the pool in it, in the place of `instead`. */
  async function mark(next: StorageMark, instead: StorageMark | null): Promise<void> {
    const named = thinPool === null ? groupName : `thin pool ${where}`;
    const tags = markTags(next);
    const removed = instead ? markTags(instead).filter((tag) => !tags.includes(tag)) : [];
    let seen = await identify();
    for (let tries = 0; tries < triesToMark; tries += 1) {
      if (seen.mark?.id !== instead?.id) throw markChanged(named);
      await ask([
        thinPool === null ? 'vgchange' : 'lvchange',
        ...tags.flatMap((tag) => ['--addtag', tag]),
        ...removed.flatMap((tag) => ['--deltag', tag]),
        // Only if nobody has changed anything since it was looked at: that is looked at under lvm2's own lock.
        ...['--select', `vg_seqno=${seen.sequence}`],
        '--',
        where,
      ]);
      seen = await identify();
      if (seen.mark?.id === next.id && seen.mark.backEnd === next.backEnd) return;
      // Something else of the group was changed: another back end of it was marked, say.
    }
    throw unavailable(named, 'its volume group is changed all the time, so that it could not be marked');
  }

  /** Everything in the group that has one of these names, or all; and the thin pool, if there must be one. */
  async function report(...names: string[]): Promise<{ volumes: LogicalVolume[]; pool: ThinPool | null }> {
    const wanted = names.length > 0 && thinPool !== null ? [...names, thinPool] : names;
    const selection = wanted.map((name) => `lv_name="${name}"`).join(' || ');
    const stdout = await lvm([
      'lvs',
      ...volumeReport,
      ...(selection ? ['--select', selection] : []),
      '--',
      volumeGroup,
    ]);
    const pool = thinPool === null ? null : parseThinPool(volumeGroup, thinPool, stdout);
    if (thinPool !== null && !pool)
      throw unavailable(`thin pool ${where}`, `there is no thin pool of that name in ${volumeGroup}`);
    const seen = thinPool === null ? seenInVolumes(stdout) : seenOfPool(thinPool, stdout);
    // Nothing found tells nothing of the group.
    if (admit) await admit(seen ?? (await anyGroup()).seen);
    return { volumes: parseVolumes(volumeGroup, stdout), pool };
  }

  const isOwn = (found: LogicalVolume) =>
    found.thinPool === thinPool && found.name !== thinPool && !otherPools.includes(found.name);
  /** What is in a pool that is no back end is shown by the group: nothing that is on a node is overlooked. */
  const isForeign = (found: LogicalVolume) =>
    thinPool === null && found.thinPool !== null && !otherPools.includes(found.thinPool);

  async function named(name: string): Promise<LogicalVolume | null> {
    return (await report(name)).volumes.find((each) => each.name === name) ?? null;
  }

  return {
    name: volumeGroup,
    /** The group, or the pool in it, for people. */
    where,
    isOwn,
    run,
    lvm,
    group,
    soundGroup,
    identify,
    mark,
    /** All of the back end, and what else is shown with it. */
    volumes: async (): Promise<LogicalVolume[]> =>
      (await report()).volumes.filter((each) => isOwn(each) || isForeign(each)),
    /** The back end's volume of that name. */
    volume: async (name: string): Promise<LogicalVolume | null> => {
      const found = await named(name);
      return found && isOwn(found) ? found : null;
    },
    /** The same of all that is shown. */
    shown: async (name: string): Promise<LogicalVolume | null> => {
      const found = await named(name);
      return found && (isOwn(found) || isForeign(found)) ? found : null;
    },
    /** The thin pool, well or not. Only for a back end that is one. */
    anyPool: async (): Promise<ThinPool> => (await report()).pool!,
    /**
     * The thin pool, what is in it, and what else is in the group, as they are at one moment. `BackEndUnavailable` when there is no such
     * pool, or its volumes cannot be used; with `sound` also when nothing can be made in it. Only for a back end that is one.
     */
    async pool(sound = true): Promise<PoolContents> {
      const { pool, volumes } = await report();
      const fault = pool!.fault ?? (sound ? pool!.placementFault : null);
      if (fault !== null) throw unavailable(`thin pool ${where}`, fault);
      return { pool: pool!, volumes: volumes.filter(isOwn), elsewhere: volumes.filter((each) => !isOwn(each)) };
    },
    /** Throws `DeviceExists` if another back end of the group has that name: in a group each is there once. */
    async checkNotElsewhere(name: string, tags: readonly string[]): Promise<void> {
      const found = await named(name);
      if (found && !isOwn(found)) throw deviceExists(found, tags);
    },
    /** How lvm2 is told of a volume. */
    operand: (name: string) => `${volumeGroup}/${name}`,
    /** Throws `SizeMismatch` unless lvm2 can make a volume of exactly that size. */
    checkExtents(sizeBytes: number, { extentBytes }: VolumeGroup): void {
      if (sizeBytes % extentBytes === 0) return;
      throw new FerryError(
        'SizeMismatch',
        `${sizeWords(sizeBytes)} are not whole extents of ${sizeWords(extentBytes)} in ${volumeGroup}; the next size that is: ${sizeText(Math.ceil(sizeBytes / extentBytes) * extentBytes)}`,
        { sizeBytes, extentBytes },
      );
    },
  };
}
