import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { writeAtomically } from '../atomic-file.ts';
import { nullIfMissing } from '../system-errors.ts';

/** A device's tags, kept beside it. `inode` says which file they are of: another one of the same name has none. */
const tagFile = z.object({
  inode: z.string(),
  tags: z.array(z.string()),
  /** Of this file for ever, and of no other. Files from before have none. */
  identity: z.string().optional(),
});
export type TagFile = z.infer<typeof tagFile>;

/** The tags in `file`; null when there is no such file, or when it is somebody else's: then what is beside it has none. */
export async function readTags(file: string): Promise<TagFile | null> {
  const text = await readFile(file, 'utf8').catch(nullIfMissing);
  return text === null ? null : (tagFile.safeParse(parsed(text)).data ?? null);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export async function writeTags(file: string, content: TagFile): Promise<void> {
  await writeAtomically(file, `${JSON.stringify(content)}\n`);
}
