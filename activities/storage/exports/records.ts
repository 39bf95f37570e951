import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { removeWritten, writeAtomically } from '../atomic-file.ts';
import { nullIfMissing } from '../system-errors.ts';

/** What a server's process cannot tell of its export, and the port that it keeps while its server is dead. */
const record = z.object({ tags: z.array(z.string()), port: z.number().int().nullable().default(null) });
type ExportRecord = z.infer<typeof record>;

const ending = '.json';

/** The records of exports, one file each: written before the server starts, removed when the export ends. */
export function createRecords(folder: string) {
  const file = (exportName: string) => join(folder, `${exportName}${ending}`);
  const read = async (exportName: string): Promise<ExportRecord | null> => {
    const text = await readFile(file(exportName), 'utf8').catch(nullIfMissing);
    return text === null ? null : record.parse(JSON.parse(text));
  };
  return {
    /** Makes the folder; its user's alone, because who can write here can say what is exported. */
    async prepare(): Promise<void> {
      await mkdir(folder, { recursive: true, mode: 0o700 });
    },
    /** The export's tags; none when its record was lost. */
    async tags(exportName: string): Promise<readonly string[]> {
      return (await read(exportName))?.tags ?? [];
    },
    /** The ports of all exports but this one, also of those whose server is dead at the moment. */
    async portsOfOthers(exportName: string): Promise<ReadonlySet<number>> {
      const files = (await readdir(folder)).filter((name) => name.endsWith(ending));
      const others = files.map((name) => name.slice(0, -ending.length)).filter((name) => name !== exportName);
      const ports = (await Promise.all(others.map(read))).map((found) => found?.port ?? null);
      return new Set(ports.filter((port) => port !== null));
    },
    /** `port`: null when it is not known yet. */
    async write(exportName: string, { tags, port }: { tags: readonly string[]; port: number | null }): Promise<void> {
      await writeAtomically(file(exportName), `${JSON.stringify({ tags, port })}\n`);
    },
    async remove(exportName: string): Promise<void> {
      await removeWritten(file(exportName));
    },
  };
}
