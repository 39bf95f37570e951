// What stands for the official images where there is no registry: Debian's programs, Temporal's and its UI's built from their Go modules, and a
// stand-in that is not Grafana.
import { createReadStream } from 'node:fs';
import { access, cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { makeDebian } from '../bare/bare-system.ts';
import { inRoot, installPackages } from '../bare/in-root.ts';
import { cacheFolder } from '../cache-folder.mjs';
import { findProgram } from '../find-program.mjs';
import { findTemporal } from '../find-temporal.mjs';
import { pinnedNode } from '../npm-packages.mjs';
import type { Engine } from './engine.ts';
import { temporalVersion, uiVersion } from './stand-ins.ts';

const images = join(import.meta.dirname, 'images');

/** For the engine, and for what a storage node has. */
const enginePackages = [
  ...['docker.io', 'docker-cli', 'docker-compose', 'docker-buildx', 'iptables', 'iproute2', 'ca-certificates'],
  ...['qemu-utils', 'util-linux-extra', 'procps'],
];
const partPackages = ['postgresql-17', 'prometheus', 'prometheus-alertmanager', 'wget'];

export interface Roots {
  readonly debian: string;
  readonly engine: string;
  readonly parts: string;
}

/** Three Debian 13 systems: bare, with a Docker engine, with what images are made of. */
export async function makeRoots(folder: string): Promise<Roots> {
  const [debian, engine, parts] = ['debian', 'engine', 'parts'].map((each) => join(folder, each)) as [
    string,
    string,
    string,
  ];
  await makeDebian('trixie', debian);
  await inRoot(debian, ['apt-get', 'update', '-q']);
  for (const each of [engine, parts]) await execa('cp', ['-a', debian, each]);
  // The number that the official image's user has: secrets are made for it.
  await inRoot(parts, ['env', 'groupadd', '--gid', '999', 'postgres']);
  await inRoot(parts, [
    'env',
    'useradd',
    '--uid',
    '999',
    '--gid',
    '999',
    '--home-dir',
    '/var/lib/postgresql',
    'postgres',
  ]);
  await install(engine, enginePackages);
  await install(parts, partPackages);
  return { debian, engine, parts };
}

/**
 * Temporal's server and schema tool, and its Web UI; kept for the next time. Ten minutes on a small machine. Answers with a folder.
 */
export async function makePrograms(): Promise<string> {
  const folder = join(cacheFolder(), 'compose', `${temporalVersion}-${uiVersion}`);
  const go = findProgram('go') ?? '/usr/local/go/bin/go';
  const wanted = {
    'temporal-server': `go.temporal.io/server/cmd/server@${temporalVersion}`,
    'temporal-sql-tool': `go.temporal.io/server/cmd/tools/sql@${temporalVersion}`,
    'ui-server': `github.com/temporalio/ui-server/v2/cmd/server@${uiVersion}`,
  };
  for (const [name, source] of Object.entries(wanted)) {
    const made = join(folder, name);
    if (await isThere(made)) continue;
    const work = join(folder, `new-${process.pid}`);
    await mkdir(work, { recursive: true });
    await execa(go, ['install', source], { env: { GOBIN: work } });
    await execa('mv', [join(work, source.replace(/@.*/, '').split('/').at(-1)!), made]);
    await rm(work, { recursive: true });
  }
  const { stdout } = await execa(go, ['mod', 'download', '-json', `github.com/temporalio/ui-server/v2@${uiVersion}`]);
  const { Dir } = JSON.parse(stdout) as { Dir: string };
  await cp(join(Dir, 'config/docker.yaml'), join(folder, 'docker.yaml'), { force: true });
  return folder;
}

/** Makes the images in the engine. `cache`: npm's, with all that the release's tarball depends on. */
export async function makeImages(
  engine: Engine,
  roots: Roots,
  work: string,
  from: { programs: string; cache: string },
): Promise<void> {
  await importRoot(engine, roots.debian, 'ferry-lane/debian');
  await importRoot(engine, roots.parts, 'ferry-lane/parts');
  const npm = dirname(
    dirname(process.env['npm_execpath'] ?? (await execa('realpath', [findProgram('npm') ?? 'npm'])).stdout),
  );
  const temporal = findTemporal();
  if (temporal === undefined) throw new Error('There is no Temporal CLI here: setup should have fetched it.');
  const files: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    node: { node: pinnedNode, npm, cache: from.cache },
    postgres: {},
    temporal: {
      temporal,
      'temporal-server': join(from.programs, 'temporal-server'),
      'temporal-sql-tool': join(from.programs, 'temporal-sql-tool'),
    },
    'temporal-ui': { 'ui-server': join(from.programs, 'ui-server'), 'docker.yaml': join(from.programs, 'docker.yaml') },
    prometheus: {},
    alertmanager: {},
    grafana: { node: pinnedNode },
  };
  for (const [image, others] of Object.entries(files)) {
    const context = join(work, image);
    await cp(join(images, image), context, { recursive: true });
    for (const [name, file] of Object.entries(others)) {
      await cp(file, join(context, name), { recursive: true, dereference: true });
    }
    const packed = join(work, `${image}.tar`);
    await execa('tar', ['--create', '--file', packed, '--directory', context, '.']);
    await engine.feed(['docker', 'build', '--quiet', '--tag', `ferry-lane/${image}`, '-'], createReadStream(packed));
    await rm(packed);
    await rm(context, { recursive: true });
  }
}

async function importRoot(engine: Engine, root: string, name: string): Promise<void> {
  const tar = execa('tar', ['--create', '--directory', root, '.'], { buffer: false });
  await Promise.all([engine.feed(['docker', 'import', '-', name], tar.stdout), tar]);
}

async function install(root: string, packages: readonly string[]): Promise<void> {
  await installPackages(root, packages);
  await inRoot(root, ['apt-get', 'clean']);
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
