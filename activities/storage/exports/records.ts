import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { removeWritten, writeAtomically } from '../atomic-file.ts';
import { nullIfMissing } from '../system-errors.ts';

/** What a server's process cannot tell of its export. */
const record = z.object({ tags: z.array(z.string()) });

/** The tags of exports, one file each: written before the server starts, removed after its end. */
export function createRecords(folder: string) {
  const file = (exportName: string) => join(folder, `${exportName}.json`);
  return {
    /** Makes the folder; its user's alone, because who can write here can say what is exported. */
    async prepare(): Promise<void> {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    },
    /** The export's tags; none when its record was lost. */
    async tags(exportName: string): Promise<readonly string[]> {
      const text = await readFile(file(exportName), 'utf8').catch(nullIfMissing);
      return text === null ? [] : record.parse(JSON.parse(text)).tags;
    },
    async write(exportName: string, tags: readonly string[]): Promise<void> {
      await writeAtomically(file(exportName), `${JSON.stringify({ tags })}\n`);
    },
    async remove(exportName: string): Promise<void> {
      await removeWritten(file(exportName));
    },
  };
}
