import { constants, type BigIntStats } from 'node:fs';
import { access, lstat, open, readdir, stat, statfs, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { FerryError } from '../../../model/errors.ts';
import type { Admit } from '../admission.ts';
import { checkName, checkSpec, checkTags } from '../device-name.ts';
import type { Device, Expected, Stranger, VolumeDriver } from '../driver.ts';
import { checkExpected, checkIsExpected } from '../expected.ts';
import { withFileLock } from '../file-lock.ts';
import {
  deviceExists,
  deviceInUse,
  deviceMissing,
  insufficientSpace,
  isFerryTag,
  isOurs,
  notAdoptable,
  sizeDiffers,
  wouldShrink,
} from '../refusals.ts';
import { nullIfMissing, systemCode } from '../system-errors.ts';
import { usersOf } from '../device-users.ts';
import { heldBy, heldTag, holdTags, modeBefore, modeTag } from '../held-tags.ts';
import { copyOrClone } from './copy-or-clone.ts';
import { createLayout } from './layout.ts';
import { mountPointOf, readMark, writeMark } from './mark-file.ts';
import { isOpen } from './open-files.ts';
import { allowWriting, forbidWriting, isReadOnly, makeImmutable, makeMutable } from './read-only-file.ts';
import { readTags, writeTags } from './tag-files.ts';

export interface DirectoryDriverOptions {
  readonly path: string;
  /** What the back end says it can hold; more than the file system has is the operator's promise. */
  readonly capacityBytes?: number | undefined;
  /** Who says whether the directory is the back end's own; not given: it is. */
  readonly admit?: Admit | undefined;
}

/** Volumes as sparse files `<path>/volumes/<name>`. */
export function createDirectoryDriver({ path, capacityBytes, admit }: DirectoryDriverOptions): VolumeDriver {
  const layout = createLayout(path);
  const lockFile = join(path, '.lock');

  /** Throws `BackEndUnavailable` unless the folder is there. */
  async function checkThere(): Promise<void> {
    const unavailable = (why: string, cause?: unknown) =>
      new FerryError('BackEndUnavailable', `directory ${path} is not available: ${why}`, { path }, { cause });
    const found = await stat(path).catch((error: unknown) => {
      throw unavailable(
        systemCode(error) === 'ENOENT' ? 'it does not exist; is its file system mounted?' : String(error),
        error,
      );
    });
    if (!found.isDirectory()) throw unavailable('it is not a directory');
  }

  /** The same unless it is there and the back end's own; every other method starts here. */
  async function checkFolder(): Promise<void> {
    await checkThere();
    await admit?.({ mark: await readMark(path), uuid: null, mountPoint: null, sequence: null });
  }

  /** Changes are one at a time, whoever makes them. */
  async function changing<T>(action: () => Promise<T>): Promise<T> {
    await checkFolder();
    return withFileLock(lockFile, async () => {
      // What somebody has open cannot be unmounted: what is looked at here stays until the change is made.
      await using _ = await open(path);
      // It may have been unmounted during the wait: nothing must be made in what is below it.
      await checkFolder();
      await layout.prepare();
      return action().catch(async (error: unknown) => {
        // A directory may be exchanged all the same; what failed for that is not the device's fault.
        await checkFolder();
        throw error;
      });
    });
  }

  /**
   * What was read, if the folder is the back end's own afterwards as well: it may have been unmounted after it was looked at, and a device
   * that is not found would be taken for one that is gone.
   */
  async function stillThere<T>(value: T): Promise<T> {
    await checkFolder();
    return value;
  }

  type Found = Device & { readonly stat: BigIntStats };

  async function find(name: string): Promise<Found | null> {
    const { device, tags } = layout.files(name);
    for (;;) {
      const entry = await lstat(device, { bigint: true }).catch(nullIfMissing);
      if (!entry) return stillThere(null);
      const known = await readTags(tags);
      // A file from before identities were kept has that of its inode, as long as it is there.
      const identity = `inode-${entry.ino}`;
      const found = { name, path: device, sizeBytes: Number(entry.size), stat: entry, identity };
      if (known && known.inode === String(entry.ino) && entry.isFile())
        return { ...found, tags: known.tags, identity: known.identity ?? identity };
      // Tags are there before a device appears and stay until it is gone. None: a stranger's, or gone or made just now.
      const again = await lstat(device, { bigint: true }).catch(nullIfMissing);
      if (again?.ino === entry.ino) return { ...found, tags: [] };
    }
  }

  async function list(): Promise<Found[]> {
    const names = (await readdir(layout.volumes).catch(nullIfMissing)) ?? [];
    return stillThere((await Promise.all(names.map(find))).filter((found) => found !== null));
  }

  async function capacity(): Promise<{ totalBytes: number; freeBytes: number }> {
    const devices = await list();
    if (capacityBytes !== undefined) {
      const taken = devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      return { totalBytes: capacityBytes, freeBytes: Math.max(0, capacityBytes - taken) };
    }
    const { blocks, bavail, bsize } = await statfs(path);
    // What sparse files have been promised and have not taken yet is not free.
    const promised = devices.reduce(
      (sum, device) => sum + Math.max(0, device.sizeBytes - Number(device.stat.blocks) * 512),
      0,
    );
    return stillThere({ totalBytes: blocks * bsize, freeBytes: Math.max(0, bavail * bsize - promised) });
  }

  async function expected(name: string, what: Expected): Promise<Found> {
    const found = await find(name);
    if (!found) throw deviceMissing(path, name);
    checkIsExpected(found, what);
    return found;
  }

  const retagged = (found: Found, tags: readonly string[]) =>
    writeTags(layout.files(found.name).tags, {
      inode: String(found.stat.ino),
      tags: [...tags],
      identity: found.identity,
    });

  /** The mark comes before what it is the mark of: what a crash leaves is either as before, or says that it was Ferry. */
  async function hold(found: Found, what: Expected, migrationId: string): Promise<void> {
    const readOnly = await isReadOnly(found.path);
    const holds = holdTags(found.tags);
    if (readOnly && holds.length === 0) return;
    const mode = modeBefore(found.tags) ?? Number(found.stat.mode & 0o7777n);
    const others = found.tags.filter((tag) => !holds.includes(tag));
    await what.stillWanted?.();
    await retagged(found, [...others, heldTag(migrationId), modeTag(mode)]);
    if (!(await makeImmutable(found.path))) await forbidWriting(found.path, mode);
  }

  /** Ends the hold of the migration, or any. */
  async function release(found: Found, migrationId: string | null): Promise<void> {
    if (migrationId !== null && heldBy(found.tags) !== migrationId) return;
    const holds = holdTags(found.tags);
    if (holds.length === 0) return;
    await makeMutable(found.path);
    await allowWriting(found.path, modeBefore(found.tags));
    await retagged(
      found,
      found.tags.filter((tag) => !holds.includes(tag)),
    );
  }

  async function stranger(found: Found): Promise<Stranger> {
    const busy = found.stat.isFile() && (await isOpen(found));
    const obstacle = !found.stat.isFile()
      ? 'it is not a plain file'
      : busy
        ? 'it is in use: exported or used by a guest'
        : null;
    return { device: device(found), obstacle };
  }

  const device = ({ name, path: file, sizeBytes, tags, identity }: Found): Device => ({
    name,
    path: file,
    sizeBytes,
    tags,
    identity,
  });

  return {
    kind: 'directory',
    place: path,
    namespace: path,
    thin: true,
    zerosTakeRoom: false,

    async identify() {
      await checkThere();
      return { mark: await readMark(path), uuid: null, mountPoint: await mountPointOf(path), sequence: null };
    },

    async mark(mark, instead) {
      await checkThere();
      await withFileLock(lockFile, () => writeMark(path, mark, instead));
    },

    async capacity() {
      await checkFolder();
      const isReadOnly = await access(path, constants.W_OK).then(
        () => false,
        (error: unknown) => systemCode(error) === 'EROFS',
      );
      const placementFault = isReadOnly ? `the file system of ${path} is read-only` : null;
      return { ...(await capacity()), placementFault };
    },

    // A file system that is full says so with each write.
    exhaustion: async () => null,

    async create(spec) {
      checkSpec(spec);
      const { name, sizeBytes, tags } = spec;
      return changing(async () => {
        const found = await find(name);
        if (found) {
          if (!isOurs(found, tags)) throw deviceExists(found, tags);
          if (found.sizeBytes !== sizeBytes) throw sizeDiffers(found, sizeBytes);
          return { ...device(found), readsZero: false };
        }
        const { freeBytes } = await capacity();
        if (freeBytes < sizeBytes) throw insufficientSpace(path, sizeBytes, freeBytes);
        try {
          await layout.make(name, tags, (file) => truncate(file, sizeBytes));
        } catch (error) {
          const code = systemCode(error) ?? '';
          // No room for the entry itself, or a size the file system cannot hold.
          if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code))
            throw insufficientSpace(path, sizeBytes, (await capacity()).freeBytes, error);
          const stranger = code === 'EEXIST' ? await find(name) : null;
          throw stranger ? deviceExists(stranger, tags) : error;
        }
        const made = await find(name);
        if (!made) throw deviceMissing(path, name);
        return { ...device(made), readsZero: true };
      });
    },

    async share(spec, from) {
      checkSpec(spec);
      const { name, sizeBytes, tags } = spec;
      if (from.sizeBytes !== sizeBytes) throw sizeDiffers(from, sizeBytes);
      return changing(async () => {
        const found = await find(name);
        if (found && !isOurs(found, tags)) throw deviceExists(found, tags);
        try {
          if (!found) await layout.share(name, tags, from.path);
        } catch (error) {
          // Another file system, or one without hard links.
          if (['EXDEV', 'EPERM', 'EMLINK', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) return null;
          throw error;
        }
        const made = await find(name);
        const source = await lstat(from.path, { bigint: true });
        // One that an earlier try began to copy shares nothing.
        return made && made.stat.ino === source.ino && made.stat.dev === source.dev ? device(made) : null;
      });
    },

    async find(name) {
      checkName(name);
      await checkFolder();
      const found = await find(name);
      return found && device(found);
    },

    async list() {
      await checkFolder();
      return (await list()).map(device);
    },

    async surroundings(name) {
      checkName(name);
      await checkFolder();
      const found = await find(name);
      if (!found) return null;
      const users = await usersOf(found);
      return { device: device(found), snapshots: [], users, active: true, lastWrite: String(found.stat.mtimeNs) };
    },

    async snapshots(name) {
      checkName(name);
      await checkFolder();
      return stillThere([]);
    },

    async hold(name, what, migrationId) {
      checkName(name);
      checkExpected(what);
      checkTags([heldTag(migrationId)]);
      await changing(async () => hold(await expected(name, what), what, migrationId));
    },

    async release(name, migrationId) {
      checkName(name);
      checkTags([heldTag(migrationId)]);
      await changing(async () => {
        const found = await find(name);
        if (found) await release(found, migrationId);
      });
    },

    async makeReady(name, stillWanted) {
      checkName(name);
      await checkFolder();
      const seen = await find(name);
      if (!seen || holdTags(seen.tags).length === 0) return;
      await changing(async () => {
        const found = await find(name);
        if (!found) return;
        await stillWanted?.();
        await release(found, null);
      });
    },

    async delete(name, what) {
      checkName(name);
      checkExpected(what);
      await changing(async () => {
        const found = await find(name);
        if (!found) return;
        checkIsExpected(found, what);
        // Of bytes that another device shares only a name goes: they may be in use under the other one, for as long as a tenant likes.
        if (found.stat.nlink === 1n && (await isOpen(found))) throw deviceInUse(found.path, name);
        await what.stillWanted?.();
        // What is immutable cannot even be renamed.
        if (holdTags(found.tags).length > 0) await makeMutable(found.path);
        await layout.remove(name);
      });
    },

    async retag(name, what, { add, remove }) {
      checkName(name);
      checkExpected(what);
      checkTags([...add, ...remove]);
      await changing(async () => {
        const { tags: before, stat: entry, identity } = await expected(name, what);
        const tags = [...new Set([...before.filter((tag) => !remove.includes(tag)), ...add])];
        await writeTags(layout.files(name).tags, { inode: String(entry.ino), tags, identity });
      });
    },

    async extend(name, sizeBytes, what) {
      checkExpected(what);
      checkSpec({ name, sizeBytes, tags: what.tags });
      await changing(async () => {
        const found = await expected(name, what);
        if (found.sizeBytes > sizeBytes) throw wouldShrink(found, sizeBytes);
        if (found.sizeBytes === sizeBytes) return;
        if (await isOpen(found)) throw deviceInUse(found.path, name);
        const missing = sizeBytes - found.sizeBytes;
        const { freeBytes } = await capacity();
        if (freeBytes < missing) throw insufficientSpace(path, missing, freeBytes);
        await what.stillWanted?.();
        await using handle = await open(found.path, 'r+');
        // What is behind the end of a file reads as zeros once it is part of it.
        await handle.truncate(sizeBytes);
        await handle.sync();
      });
    },

    async snapshot(name, snapshotName, tags, stillWanted) {
      checkName(name);
      checkSpec({ name: snapshotName, sizeBytes: 1, tags });
      await changing(async () => {
        const made = await find(snapshotName);
        if (made && !isOurs(made, tags)) throw deviceExists(made, tags);
        if (made) return;
        const found = await find(name);
        if (!found) throw deviceMissing(path, name);
        const { freeBytes } = await capacity();
        if (freeBytes < found.sizeBytes) throw insufficientSpace(path, found.sizeBytes, freeBytes);
        await stillWanted?.();
        await layout.make(snapshotName, tags, (file) => copyOrClone(found, file));
      });
    },

    async strangers() {
      await checkFolder();
      const found = (await list()).filter(({ tags }) => !tags.some(isFerryTag));
      return Promise.all(found.map(stranger));
    },

    async adopt(name, newName, tags, { stillWanted } = {}) {
      checkName(name);
      checkSpec({ name: newName, sizeBytes: 1, tags });
      await changing(async () => {
        const there = await find(newName);
        if (there && isOurs(there, tags)) return;
        if (there && newName !== name) throw deviceExists(there, tags);
        const found = await find(name);
        if (!found) throw deviceMissing(path, name);
        const owner = found.tags.find(isFerryTag);
        if (owner !== undefined) throw notAdoptable(found, `it is Ferry's already (${owner})`);
        const { obstacle } = await stranger(found);
        if (obstacle !== null)
          throw found.stat.isFile() ? deviceInUse(found.path, name) : notAdoptable(found, obstacle);
        await stillWanted?.();
        await layout.rename(name, newName, [...found.tags, ...tags], found.stat.ino);
      });
    },

    async disown(name, newName, tag, stillWanted) {
      checkName(name);
      checkName(newName);
      checkTags([tag]);
      await changing(async () => {
        const found = await find(name);
        if (!found || !isOurs(found, [tag])) return;
        // A rename would put it in the place of what has that name.
        const there = newName === name ? null : await find(newName);
        if (there) throw deviceExists(there, []);
        await stillWanted?.();
        await layout.rename(
          name,
          newName,
          found.tags.filter((each) => !isFerryTag(each)),
          found.stat.ino,
        );
      });
    },
  };
}
