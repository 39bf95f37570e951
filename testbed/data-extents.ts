import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Where the first `size` bytes of a regular file have data, in order, from and to multiples of `unit`; the rest are holes, which read as
 * zeros and need not be read. Node cannot ask the kernel for them.
 */
export async function dataExtents(path: string, size: number, unit: number): Promise<[from: number, to: number][]> {
  // Without locks: whoever uses the file goes on.
  const image = { driver: 'raw', file: { driver: 'file', filename: path, locking: 'off' } };
  const { stdout } = await run('qemu-img', ['map', '--output=json', `json:${JSON.stringify(image)}`], {
    maxBuffer: 256 * 1024 ** 2,
  });
  const extents: [from: number, to: number][] = [];
  for (const { start, length, zero } of JSON.parse(stdout) as { start: number; length: number; zero: boolean }[]) {
    if (zero || start >= size) continue;
    const from = start - (start % unit);
    const to = Math.min(Math.ceil((start + length) / unit) * unit, size);
    const last = extents.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else extents.push([from, to]);
  }
  return extents;
}
