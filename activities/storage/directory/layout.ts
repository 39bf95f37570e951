import { randomUUID } from 'node:crypto';
import { link, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeWritten, syncFolder } from '../atomic-file.ts';
import { nullIfMissing } from '../system-errors.ts';
import { readTags, writeTags } from './tag-files.ts';

/** Between a device's name and what makes a staged file's name unique; in no device's name. */
const separator = '~';

/** What a staged file is called: a device's name and a UUID. Nobody else's file is. */
const stagedName = /^([A-Za-z0-9_][A-Za-z0-9_.+-]{0,99})~[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Where a directory back end keeps what, and in which order it changes it, so that a device is never seen without its tags
 * and that whatever a crash leaves behind is harmless and goes away with the next change:
 *
 * - `volumes/<name>`: the device. It appears by a link and disappears by a rename, whole each time.
 * - `tags/<name>.json`: its tags, written before it appears, removed after it has disappeared.
 * - `.ferry-staging/<name>~<uuid>`: a device not yet there or no longer there. It outlives stale tags, whose inode thus cannot
 *   come back as another file's.
 *
 * Only what is called so is Ferry's to remove. Whatever else is in one of these folders, or beside them, is left alone.
 */
export function createLayout(path: string) {
  const volumes = join(path, 'volumes');
  const tagFolder = join(path, 'tags');
  const staging = join(path, '.ferry-staging');

  const files = (name: string) => ({ device: join(volumes, name), tags: join(tagFolder, `${name}.json`) });
  const stage = (name: string) => join(staging, `${name}${separator}${randomUUID()}`);

  /** Finishes what was left half done: tags that are of no device, then the staged files. */
  async function sweep(): Promise<void> {
    for (const entry of await readdir(staging, { withFileTypes: true })) {
      const name = entry.isFile() ? stagedName.exec(entry.name)?.[1] : undefined;
      if (name === undefined) continue;
      const { device, tags } = files(name);
      const there = await lstat(device, { bigint: true }).catch(nullIfMissing);
      const known = await readTags(tags);
      if (known?.inode !== String(there?.ino)) await removeWritten(tags);
      await rm(join(staging, entry.name), { force: true });
    }
  }

  return {
    volumes,
    files,

    /** Makes what is missing of the folders, cleans up after a crash. Before every change, and only with the lock held. */
    async prepare(): Promise<void> {
      for (const folder of [volumes, tagFolder, staging]) await mkdir(folder, { recursive: true, mode: 0o700 });
      await sweep();
    },

    /**
     * Makes a device with its tags; `fill` gives the empty file its size and bytes. `EEXIST` when a stranger made a file of that
     * name meanwhile: that one stays.
     */
    async make(name: string, tags: readonly string[], fill: (file: string) => Promise<void>): Promise<void> {
      const staged = stage(name);
      const target = files(name);
      try {
        await using handle = await open(staged, 'wx', 0o600);
        await fill(staged);
        await handle.sync();
        const { ino } = await handle.stat({ bigint: true });
        await writeTags(target.tags, { inode: String(ino), tags: [...tags], identity: randomUUID() });
        await link(staged, target.device);
        await syncFolder(volumes);
      } finally {
        await sweep();
      }
    },

    /** Makes a device with its tags out of a file elsewhere on the file system: the same file under one more name. `EXDEV` when it is not. */
    async share(name: string, tags: readonly string[], file: string): Promise<void> {
      const staged = stage(name);
      const target = files(name);
      try {
        await link(file, staged);
        const { ino } = await lstat(staged, { bigint: true });
        await writeTags(target.tags, { inode: String(ino), tags: [...tags], identity: randomUUID() });
        await link(staged, target.device);
        await syncFolder(volumes);
      } finally {
        await sweep();
      }
    },

    /** Gives a device, tagged or not, a free name and these tags; it is never seen under the new name without them. */
    async rename(name: string, newName: string, tags: readonly string[], inode: bigint): Promise<void> {
      const [from, to] = [files(name), files(newName)];
      const identity = (await readTags(from.tags))?.identity ?? randomUUID();
      if (tags.length > 0) await writeTags(to.tags, { inode: String(inode), tags: [...tags], identity });
      if (newName !== name) await rename(from.device, to.device);
      await syncFolder(volumes);
      if (newName !== name && (await readTags(from.tags))?.inode === String(inode)) await removeWritten(from.tags);
      if (tags.length === 0) await removeWritten(to.tags);
    },

    /** Removes a device, then its tags, then its bytes. */
    async remove(name: string): Promise<void> {
      await rename(files(name).device, stage(name));
      await syncFolder(volumes);
      await sweep();
    },
  };
}
