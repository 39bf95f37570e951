import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { writeAtomically } from '../atomic-file.ts';
import { nullIfMissing } from '../system-errors.ts';

/** A device's tags, kept beside it. `inode` says which file they are of: another one of the same name has none. */
const tagFile = z.object({ inode: z.string(), tags: z.array(z.string()) });
export type TagFile = z.infer<typeof tagFile>;

/** The tags in `file`, or null when there is no such file. */
export async function readTags(file: string): Promise<TagFile | null> {
  const text = await readFile(file, 'utf8').catch(nullIfMissing);
  return text === null ? null : tagFile.parse(JSON.parse(text));
}

export async function writeTags(file: string, content: TagFile): Promise<void> {
  await writeAtomically(file, `${JSON.stringify(content)}\n`);
}
