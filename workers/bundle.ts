import { createHash } from 'node:crypto';
import { glob, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';
import * as z from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What a release says of its bundle, made when it was packed: it has no sources to make another of. */
const release = z.strictObject({ buildId: z.string().min(1) });

async function readRelease(): Promise<z.infer<typeof release> | null> {
  try {
    return release.parse(JSON.parse(await readFile(path.join(root, 'build/release.json'), 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * The workflows as one bundle, made once per state of the sources and kept in `build/`: every control worker of a checkout runs
 * the same code, and the second start takes no seconds. A release brings its own.
 */
export async function workflowBundle(): Promise<{ codePath: string }> {
  if (await readRelease()) return { codePath: path.join(root, 'build/workflows.js') };
  const codePath = path.join(root, 'build', `workflows-${await sourcesHash()}.js`);
  const made = await readFile(codePath).then(
    () => true,
    () => false,
  );
  if (made) return { codePath };
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(root, 'workflows/index.ts'),
    workflowInterceptorModules: [path.join(root, 'workflows/bounded-messages.ts')],
    payloadConverterPath: path.join(root, 'workflows/payload-converter.ts'),
    logger: new DefaultLogger('WARN'),
  });
  await mkdir(path.dirname(codePath), { recursive: true });
  const unfinished = `${codePath}.${process.pid}`;
  await writeFile(unfinished, code);
  await rename(unfinished, codePath);
  return { codePath };
}

/** Names the code that runs: the worker's build id. A release and the checkout that it was made of have the same. */
export async function sourcesHash(): Promise<string> {
  const packed = await readRelease();
  if (packed) return packed.buildId;
  const hash = createHash('sha256');
  const files = await Array.fromAsync(glob(['workflows/**/*.ts', 'model/**/*.ts', 'package-lock.json'], { cwd: root }));
  for (const file of files.toSorted()) hash.update(file).update(await readFile(path.join(root, file)));
  return hash.digest('hex').slice(0, 16);
}
