import { join } from 'node:path';
import { execa } from 'execa';

/** What a Cinder's database holds, by the names of Cinder's own columns. */
export interface CinderContents {
  types?: { values: Record<string, unknown>; projects?: string[] }[];
  volumes?: Record<string, unknown>[];
  snapshots?: Record<string, unknown>[];
  attachments?: Record<string, unknown>[];
  adminMetadata?: { volume_id: string; metadata: Record<string, string> }[];
  /** When their cinder-volume was last heard of. */
  services?: { host: string; seconds_ago: number }[];
}

/** Debian's own Python: it has Debian's Cinder. */
const python = '/usr/bin/python3';

/** Makes an empty database, of SQLAlchemy's URL, a Cinder's, by Cinder's own schema and code. */
export async function fillCinder(connection: string, contents: CinderContents): Promise<void> {
  const program = join(import.meta.dirname, 'fill-cinder.py');
  const filled = await execa(python, [program], { input: JSON.stringify({ connection, ...contents }), reject: false });
  if (filled.exitCode !== 0) throw new Error(`Cinder's code did not fill its database: ${filled.stderr.slice(-2000)}`);
}
