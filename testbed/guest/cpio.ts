/** A file of the guest's root file system. */
export interface ArchiveEntry {
  /** Without a leading slash; its folders must come before it. */
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

export const folderMode = 0o040_755;
export const programMode = 0o100_755;
export const fileMode = 0o100_644;
export const linkMode = 0o120_777;

/** An archive in the "newc" format, the one that the kernel unpacks as its first root file system. */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const trailer: ArchiveEntry = { path: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) };
  return Buffer.concat([...entries, trailer].flatMap(member));
}

function member(entry: ArchiveEntry, index: number): Buffer[] {
  const name = Buffer.from(`${entry.path}\0`);
  const fields = [index + 1, entry.mode, 0, 0, 1, 0, entry.content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`);
  return [padded(Buffer.concat([header, name])), padded(entry.content)];
}

function padded(part: Buffer): Buffer {
  return Buffer.concat([part, Buffer.alloc(-part.length & 3)]);
}
