import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { AskExtents } from './zero-map.ts';

interface Extent {
  readonly length: number;
  readonly zero: boolean;
}

const run = promisify(execFile);

/** An answer may be this long; a file in more pieces is simply read. */
const longestAnswer = 4 * 1024 * 1024;

/**
 * Tells the holes of a regular file, which Node cannot ask the kernel for. One short-lived process a window: a server kept
 * for that would have to be ended by somebody.
 */
export function fileHoles(path: string): AskExtents {
  return async (offset, length, onExtent) => {
    const where = ['--start-offset', String(offset), '--max-length', String(length)];
    const map = ['map', '--output=json', '--force-share', ...where, '-f', 'raw', '--', path];
    // Node's own: loading execa would take longer than all the rest of an empty volume's digest.
    const answer = await run('qemu-img', map, { env: { ...process.env, LC_ALL: 'C' }, maxBuffer: longestAnswer }).catch(
      () => null,
    );
    if (!answer) return onExtent(length, false);
    for (const extent of JSON.parse(answer.stdout) as Extent[]) onExtent(extent.length, extent.zero);
  };
}
