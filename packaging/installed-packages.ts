import { cp, lstat, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { closure, type Lockfile } from './lockfile.ts';
import { checkout, filesBelow, writeJson } from './npm-package.ts';

/**
 * What bundles workflows: a release's are bundled. The SDK's worker loads these packages when it starts, and calls none of them; empty ones
 * stand in their places, and spare 60 MB and eighty packages.
 */
export const bundlers: readonly string[] = [
  'webpack',
  'memfs',
  'unionfs',
  'swc-loader',
  'source-map-loader',
  '@swc/core',
];

/** What is in packages for people and compilers. */
const notRun = /\.(map|d\.[cm]?ts|md|markdown|flow|tsbuildinfo|ts)$|^(test|tests|docs|example|examples)\//i;

/** Folders of packages that hold nothing that is loaded here. */
const unloaded: Readonly<Record<string, readonly string[]>> = {
  '@temporalio/core-bridge': ['sdk-core', 'src', 'ts', 'bridge-macros', 'scripts', 'Cargo.lock', 'Cargo.toml'],
  rxjs: ['src', 'dist/types', 'dist/bundles', 'dist/esm', 'dist/esm5'],
  zod: ['src', 'v3'],
  // Everything here imports it; `cjs` is for those that require.
  hono: ['dist/cjs', 'dist/types', 'dist/adapter', 'dist/jsx'],
  protobufjs: ['dist'],
};

/** What is for those who require a package that everything here imports. */
const forRequire: Readonly<Record<string, RegExp>> = { zod: /\.cjs$/ };

/** The Rust target whose part of the SDK this machine loads. */
const target: Readonly<Record<string, string>> = {
  x64: 'x86_64-unknown-linux-gnu',
  arm64: 'aarch64-unknown-linux-gnu',
};

/** Puts the packages of `names` below `folder`, as they are in this checkout, without what a worker or client never loads. */
export async function putPackages(folder: string, lock: Lockfile, names: readonly string[]): Promise<void> {
  const wanted = closure(lock, names, new Set(bundlers));
  for (const place of wanted) {
    const from = join(checkout, place);
    // Of packages for other platforms, only their entries are there.
    if (!(await isFolder(from))) continue;
    await putPackage(
      from,
      join(folder, place),
      place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length),
    );
  }
  for (const name of bundlers) await putEmptyPackage(join(folder, 'node_modules', name), name);
}

/** The same Node that the tests run on; without its symbols. */
export async function putNode(file: string): Promise<void> {
  await cp(join(checkout, 'node_modules/node/bin/node'), file);
  await strip(file);
}

async function putPackage(from: string, to: string, name: string): Promise<void> {
  await cp(from, to, {
    recursive: true,
    filter: (file) => {
      const inside = file.slice(from.length + 1);
      if (inside === 'node_modules' || forRequire[name]?.test(inside)) return false;
      return inside === '' || !notRun.test(inside);
    },
  });
  for (const each of unloaded[name] ?? []) await rm(join(to, each), { recursive: true, force: true });
  if (name === '@temporalio/core-bridge') await keepOwnTarget(join(to, 'releases'));
}

async function keepOwnTarget(releases: string): Promise<void> {
  const own = target[process.arch];
  if (own === undefined) throw new Error(`There is no release for ${process.arch}: only for x64 and arm64.`);
  for (const each of await readdir(releases)) if (each !== own) await rm(join(releases, each), { recursive: true });
  for (const file of await filesBelow(releases)) await strip(join(releases, file));
}

async function putEmptyPackage(folder: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeJson(join(folder, 'package.json'), { name, version: '0.0.0', main: 'index.js' });
  const message = `${name} is not part of a release: its workflows are bundled already`;
  await writeFile(
    join(folder, 'index.js'),
    `const absent = () => { throw new Error(${JSON.stringify(message)}); };
module.exports = { ${name.replace(/\W/g, '_')}: absent };
`,
  );
}

async function strip(file: string): Promise<void> {
  await execa('strip', ['--strip-unneeded', file]);
}

async function isFolder(file: string): Promise<boolean> {
  return lstat(file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
