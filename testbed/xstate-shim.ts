import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { cacheFolder } from '../setup/cache-folder.mjs';

const source = join(import.meta.dirname, 'xstate-shim.c');

/** Path of the compiled shim for user-mode Linux; compiles it only when its source has changed since. */
export async function xstateShim(): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 12);
  const folder = cacheFolder();
  const library = join(folder, `xstate-shim-${hash}.so`);
  if (
    await access(library).then(
      () => true,
      () => false,
    )
  )
    return library;
  await mkdir(folder, { recursive: true });
  const mine = `${library}.${process.pid}`;
  await execa('gcc', ['-O2', '-shared', '-fPIC', '-o', mine, source]);
  // Renamed when complete: another process may be looking for it right now.
  await rename(mine, library);
  return library;
}
