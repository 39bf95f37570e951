import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';
import { sourcesHash, workflowBundle } from '../workers/bundle.ts';
import { closure, lockfile, type Lockfile } from './lockfile.ts';

export const checkout = join(import.meta.dirname, '..');

/** What is run by its file's name, besides what these import. */
const entries = [
  'bin/start.ts',
  'activities/storage/copier/copier-process.ts',
  'activities/storage/exports/server/reader-process.ts',
  'workflows/index.ts',
  'workflows/payload-converter.ts',
];

/** Of a checkout only: Temporal's and Postgres's servers for `ferry dev`. */
const embeddedServers = ['workers/run-dev.js', 'workers/embedded'];

const manifest = z.looseObject({
  name: z.string(),
  version: z.string(),
  description: z.string(),
  license: z.string(),
  type: z.literal('module'),
  dependencies: z.record(z.string(), z.string()),
});
export type Manifest = z.infer<typeof manifest>;

/** package.json of a release. */
export async function releaseManifest(version?: string): Promise<Manifest> {
  const own = manifest.parse(JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')));
  const { name, description, license, type, dependencies } = own;
  return {
    name,
    version: version ?? own.version,
    description,
    license,
    type,
    bin: { ferry: 'bin/start.js' },
    engines: { node: '>=24' },
    dependencies,
  };
}

export async function readLockfile(): Promise<Lockfile> {
  return lockfile.parse(JSON.parse(await readFile(join(checkout, 'package-lock.json'), 'utf8')));
}

/**
 * Puts into an empty folder what a release consists of, without the packages that it depends on: JavaScript, the registry's SQL, the bundled
 * workflows, package.json and the lock file of all dependencies. Equal sources, equal bytes, wherever the checkout lies.
 */
export async function stageRelease(folder: string, ownManifest: Manifest): Promise<void> {
  await compile(folder);
  await rm(join(folder, 'package.json'), { force: true });
  for (const each of embeddedServers) await rm(join(folder, each), { recursive: true });
  await cp(join(checkout, 'registry/sql'), join(folder, 'registry/sql'), { recursive: true });
  await chmod(join(folder, 'bin/start.js'), 0o755);
  await bundleWorkflows(join(folder, 'build'));
  await copyFile(join(checkout, 'README.md'), join(folder, 'README.md'));
  await writeJson(join(folder, 'package.json'), ownManifest);
  await writeJson(join(folder, 'npm-shrinkwrap.json'), shrinkwrap(await readLockfile(), ownManifest));
}

/** The tarball of a staged release, in `output`; answers with its path. */
export async function packNpm(stage: string, output: string): Promise<string> {
  const { stdout } = await execa('npm', ['pack', '--json', '--loglevel=error', `--pack-destination=${output}`], {
    cwd: stage,
  });
  const [packed] = z.array(z.looseObject({ filename: z.string() })).parse(JSON.parse(stdout));
  if (!packed) throw new Error('npm packed nothing');
  return join(output, packed.filename);
}

/** Types are checked by `npm run check`; here they only go. */
async function compile(folder: string): Promise<void> {
  const options = [
    '--ignoreConfig',
    '--noCheck',
    ...['--target', 'es2024', '--lib', 'esnext', '--module', 'nodenext', '--types', 'node'],
    ...['--verbatimModuleSyntax', '--rewriteRelativeImportExtensions', '--resolveJsonModule', '--skipLibCheck'],
    ...['--rootDir', checkout, '--outDir', folder],
  ];
  const tsc = join(checkout, 'node_modules/typescript/bin/tsc');
  await execa(process.execPath, [tsc, ...entries, ...options], { cwd: checkout });
}

/** The bundle's source map names files of this checkout, and has their contents: from now on it names those of any. */
async function bundleWorkflows(folder: string): Promise<void> {
  const buildId = await sourcesHash();
  const { codePath } = await workflowBundle();
  const code = await readFile(codePath, 'utf8');
  const [start, map] = code.split(
    /(?<=\/\/# sourceMappingURL=data:application\/json;charset=utf-8;base64,)(?=[\w+/=]+\s*$)/,
  );
  if (start === undefined || map === undefined) throw new Error(`${codePath} has no source map at its end`);
  const { sourcesContent: _content, ...places } = z
    .looseObject({})
    .parse(JSON.parse(Buffer.from(map, 'base64').toString()));
  const anywhere = JSON.stringify(places).replaceAll(`${checkout}/`, 'ferry/');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'workflows.js'), start + Buffer.from(anywhere).toString('base64'));
  await writeJson(join(folder, 'release.json'), { buildId });
}

/** The part of the lock file that a release needs, so that npm installs those very versions. */
function shrinkwrap(lock: Lockfile, own: Manifest) {
  const { dependencies, name, version, license } = own;
  const packages = closure(lock, Object.keys(dependencies)).map((folder) => [folder, lock.packages[folder]!] as const);
  return {
    name,
    version,
    lockfileVersion: lock.lockfileVersion,
    requires: true,
    packages: { '': { name, version, license, dependencies }, ...Object.fromEntries(packages) },
  };
}

export async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** Every file below a folder, relative to it, sorted. */
export async function filesBelow(folder: string): Promise<string[]> {
  const all = await readdir(folder, { recursive: true, withFileTypes: true });
  return all
    .filter((each) => !each.isDirectory())
    .map((each) => join(each.parentPath, each.name).slice(folder.length + 1))
    .toSorted();
}
