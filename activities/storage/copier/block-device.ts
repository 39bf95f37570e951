import { readFile, realpath, stat } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { FerryError } from '../../../model/errors.ts';

/** A device or file as the kernel sees it. */
export interface DeviceFacts {
  readonly path: string;
  readonly kind: 'block' | 'file';
  readonly sizeBytes: number;
  /** The same for every name of it. */
  readonly identity: string;
  /** Zeros need not be carried to it: it makes them itself. */
  readonly offloadsZeroes: boolean;
}

/** Looks at what is to be opened. Throws `DeviceMissing`; `SizeMismatch` if it is not of `sizeBytes`. */
export async function inspectDevice(path: string, sizeBytes: number): Promise<DeviceFacts> {
  const facts = await deviceFacts(path);
  if (facts.sizeBytes === sizeBytes) return facts;
  const details = { path, expected: sizeBytes, found: facts.sizeBytes };
  throw new FerryError('SizeMismatch', `${path} has ${facts.sizeBytes} bytes, but ${sizeBytes} were expected`, details);
}

/** As `inspectDevice`, whatever its size is. */
export async function deviceFacts(path: string): Promise<DeviceFacts> {
  const stats = await stat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new FerryError('DeviceMissing', `There is no device ${path}`, { path });
  });
  if (!stats.isBlockDevice() && !stats.isFile())
    throw new FerryError('DeviceMissing', `${path} is neither a device nor a file`, { path });
  return stats.isBlockDevice() ? blockFacts(path, stats) : fileFacts(path, stats);
}

function fileFacts(path: string, { size, dev, ino }: BigIntStats): DeviceFacts {
  return { path, kind: 'file', sizeBytes: Number(size), identity: `file:${dev}:${ino}`, offloadsZeroes: true };
}

async function blockFacts(path: string, { rdev }: BigIntStats): Promise<DeviceFacts> {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  const folder = await realpath(`/sys/dev/block/${major}:${minor}`);
  const sectors = Number(await readFile(`${folder}/size`, 'utf8'));
  return {
    path,
    kind: 'block',
    sizeBytes: sectors * 512,
    identity: `block:${major}:${minor}`,
    offloadsZeroes: (await writeZeroesLimit(folder)) > 0,
  };
}

/** A partition has no queue of its own, but that of its disk. */
async function writeZeroesLimit(folder: string): Promise<number> {
  for (const queue of [`${folder}/queue`, `${folder}/../queue`]) {
    const text = await readFile(`${queue}/write_zeroes_max_bytes`, 'utf8').catch(() => null);
    if (text !== null) return Number(text);
  }
  return 0;
}
