import type { AskExtents } from './zero-map.ts';

interface Extent {
  readonly length: number;
  readonly zero: boolean;
}

/** An answer may be this long; a file in more pieces is simply read. */
const longestAnswer = 4 * 1024 * 1024;

/**
 * Tells the holes of a regular file, which Node cannot ask the kernel for. One short-lived process a window: a server kept
 * for that would have to be ended by somebody.
 */
export function fileHoles(path: string): AskExtents {
  return async (offset, length, onExtent) => {
    // Copies need no tool: their processes start faster without this.
    const { execa } = await import('execa');
    const where = ['--start-offset', String(offset), '--max-length', String(length)];
    const { stdout, failed } = await execa(
      'qemu-img',
      ['map', '--output=json', '--force-share', ...where, '-f', 'raw', '--', path],
      {
        env: { LC_ALL: 'C' },
        stdin: 'ignore',
        reject: false,
        maxBuffer: longestAnswer,
      },
    );
    if (failed) return onExtent(length, false);
    for (const extent of JSON.parse(stdout) as Extent[]) onExtent(extent.length, extent.zero);
  };
}
