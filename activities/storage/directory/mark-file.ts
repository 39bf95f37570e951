import { link, open, readFile, realpath, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { FerryError } from '../../../model/errors.ts';
import { storageMark, type StorageMark } from '../../../model/storage-identity.ts';
import { markChanged } from '../admission.ts';
import { syncFolder, writeAtomically } from '../atomic-file.ts';
import { nullIfMissing, systemCode } from '../system-errors.ts';

const fileName = '.ferry-back-end.json';

/** Ferry's mark in a directory, or null when there is none. One that is not understood is somebody's: `BackEndUnavailable`. */
export async function readMark(path: string): Promise<StorageMark | null> {
  const file = join(path, fileName);
  const text = await readFile(file, 'utf8').catch(nullIfMissing);
  if (text === null) return null;
  try {
    return storageMark.parse(JSON.parse(text));
  } catch (error) {
    throw new FerryError(
      'BackEndUnavailable',
      `${file} is no mark that this Ferry understands; if it is damaged, remove it, and see: ferry back-end adopt`,
      { path },
      { cause: error },
    );
  }
}

/** Writes the mark in the place of `instead`. The first one is made by a link, of which also two machines on one file system make only one. */
export async function writeMark(path: string, mark: StorageMark, instead: StorageMark | null): Promise<void> {
  const file = join(path, fileName);
  const content = `${JSON.stringify(mark)}\n`;
  if (instead) {
    if ((await readMark(path))?.id !== instead.id) throw markChanged(`directory ${path}`);
    return writeAtomically(file, content);
  }
  const staged = `${file}~${randomUUID()}`;
  try {
    await using handle = await open(staged, 'wx', 0o600);
    await handle.writeFile(content);
    await handle.sync();
    await link(staged, file);
  } catch (error) {
    throw systemCode(error) === 'EEXIST' ? markChanged(`directory ${path}`) : error;
  } finally {
    await rm(staged, { force: true });
  }
  await syncFolder(path);
}

/** Where the file system is mounted that the directory is on. */
export async function mountPointOf(path: string): Promise<string> {
  const real = await realpath(path);
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((field) => field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))));
  const over = mounts.filter((mount) => mount === '/' || real === mount || real.startsWith(`${mount}/`));
  return over.reduce((longest, mount) => (mount.length > longest.length ? mount : longest), '/');
}
