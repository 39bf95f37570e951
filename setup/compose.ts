// npm run compose: runs docker-compose.yml for real, in a Docker engine in namespaces of its own (it reaches no network), with images made from
// Debian in the place of the official ones. Storage workers run beside the containers, as on hosts. Needs root; 15 to 30 minutes the first time,
// for Temporal's server is built. Fails when something does not end as it must, or is left.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';
import { startEngine } from './compose/engine.ts';
import { furnish } from './compose/furnish.ts';
import { makeImages, makePrograms, makeRoots } from './compose/parts.ts';
import { story } from './compose/story.ts';
import { pinnedNode } from './npm-packages.mjs';
import { root } from './report.mjs';
import { said, sumUp } from './story-checks.ts';

console.log(`NOT shown here, as their images cannot be had without a registry:
  Grafana itself: a stand-in looks whether its files, secret and volume are where Grafana looks for them;
  the official images of Postgres, Prometheus, Alertmanager (Debian's programs instead), Temporal and its UI (the same programs, built from their
  Go modules), and Node (this project's own).`);

const folder = await mkdtemp(join(tmpdir(), 'compose-'));
try {
  said("Temporal's programs (built once), the release, three Debian systems");
  const programs = await makePrograms();
  const release = join(folder, 'release');
  await execa(pinnedNode, ['packaging/release.ts', '--only', 'npm', '--output', release], { cwd: root });
  const { version } = z
    .looseObject({ version: z.string() })
    .parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));
  const [installed, cache] = [join(folder, 'installed'), join(folder, 'npm-cache')];
  const npm = [
    'install',
    '--global',
    '--prefix',
    installed,
    '--cache',
    cache,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
  ];
  await execa('npm', [...npm, join(release, `ferry-${version}.tgz`)]);
  const roots = await makeRoots(folder);
  await furnish(roots.engine, release, installed);
  said('the engine, and images in the place of the official ones');
  const engine = await startEngine(roots.engine);
  try {
    await makeImages(engine, roots, folder, { programs, cache });
    await story(engine, roots.engine);
  } finally {
    await engine.stop();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
sumUp();
