import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';

const mib = 1024 ** 2;
const gib = 1024 ** 3;

/** A source volume: its size, and which of each 16 MiB is what. */
export interface Scenario {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of each 16 MiB, so many hold data. */
  readonly data: number;
  /** What the rest is. */
  readonly rest: 'hole' | 'zeros';
}

export function scenarios(scale: number): Scenario[] {
  // Whole ranges, so that a scaled volume is copied like a full one.
  const size = (full: number) => Math.max(64 * mib, Math.round((full * scale) / (64 * mib)) * 64 * mib);
  return [
    { name: 'random', sizeBytes: size(2 * gib), data: 16, rest: 'hole' },
    { name: '25 % data, holes', sizeBytes: size(8 * gib), data: 4, rest: 'hole' },
    { name: '25 % data, thick', sizeBytes: size(8 * gib), data: 4, rest: 'zeros' },
    { name: 'empty', sizeBytes: size(4 * gib), data: 0, rest: 'hole' },
  ];
}

export async function writeSource(file: string, { sizeBytes, data, rest }: Scenario): Promise<void> {
  const handle = await open(file, 'w');
  try {
    const random = Buffer.alloc(mib);
    const zeros = Buffer.alloc(mib);
    for (let offset = 0; offset < sizeBytes; offset += mib) {
      const isData = (offset / mib) % 16 < data;
      if (isData) await handle.write(randomFillSync(random), 0, mib, offset);
      else if (rest === 'zeros') await handle.write(zeros, 0, mib, offset);
    }
    await handle.truncate(sizeBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
