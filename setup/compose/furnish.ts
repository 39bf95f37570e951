import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { pinnedNode } from '../npm-packages.mjs';
import { root } from '../report.mjs';
import { standIns } from './stand-ins.ts';

/** The project's folder in the engine's system. */
export const project = '/srv/ferry';
export const nodes = ['server1', 'server2'] as const;
export const ferryProgram = ['node', '/opt/ferry/lib/node_modules/ferry/bin/start.js'];

/** Puts the release, this checkout's files and the nodes' configuration where the story finds them. */
export async function furnish(system: string, release: string, installed: string): Promise<void> {
  const { stdout } = await execa(
    'git',
    ['ls-files', '-z', 'docker-compose.yml', 'Dockerfile', '.dockerignore', 'compose', 'docs'],
    {
      cwd: root,
    },
  );
  for (const file of stdout.split('\0').filter(Boolean)) await cp(join(root, file), join(system, project, file));
  await cp(release, join(system, project, 'build/release'), { recursive: true });
  const settings = Object.entries(standIns).map(([name, image]) => `${name}=${image}\n`);
  await writeFile(join(system, project, '.env'), settings.join(''));
  await cp(installed, join(system, 'opt/ferry'), { recursive: true, verbatimSymlinks: true });
  await cp(pinnedNode, join(system, 'usr/local/bin/node'), { dereference: true });
  await mkdir(join(system, 'etc/ferry'), { recursive: true });
  for (const [index, name] of nodes.entries()) {
    const node = {
      name,
      stateDirectory: `/var/lib/ferry/${name}`,
      exportPorts: { from: 10_809 + index * 100, to: 10_808 + (index + 1) * 100 },
      backEnds: [{ name: 'files', driver: 'directory', path: `/srv/volumes-${name}` }],
    };
    await writeFile(join(system, `etc/ferry/${name}.json`), JSON.stringify({ node }));
    await mkdir(join(system, `srv/volumes-${name}`), { recursive: true });
    await mkdir(join(system, `var/lib/ferry/${name}`), { recursive: true });
  }
}
