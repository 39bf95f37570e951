import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cacheFolder } from '../setup/cache-folder.mjs';

/** Path of the shared library made of a file of C; compiles it only when that has changed since. */
export async function sharedLibrary(source: string): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 12);
  const folder = cacheFolder();
  const library = join(folder, `${basename(source, '.c')}-${hash}.so`);
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
