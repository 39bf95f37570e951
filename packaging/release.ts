// npm run release [-- --only npm|debian] [--version X.Y.Z] [--output FOLDER] [--fast]: makes what a machine is given: the npm tarball, the Debian
// packages of all roles, a bill of materials, and the checksums of all of them. Equal commits give equal bytes. Not on --fast packages:
// those are not compressed, for tests.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { billOfMaterials } from './bill-of-materials.ts';
import { makeDebianPackages } from './debian-packages.ts';
import { checkout, packNpm, releaseManifest, stageRelease } from './npm-package.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    version: { type: 'string' },
    output: { type: 'string', default: join(checkout, 'build/release') },
    fast: { type: 'boolean', default: false },
  },
});
if (values.only !== undefined && values.only !== 'npm' && values.only !== 'debian')
  throw new Error('--only is npm or debian');
if (values.version !== undefined && !/^\d+\.\d+\.\d+([-~+][\w.]+)?$/.test(values.version))
  throw new Error('--version is a version: 1.2.3');

const output = resolve(values.output);
await mkdir(output, { recursive: true });
const work = await mkdtemp(join(tmpdir(), 'ferry-release-'));
try {
  const stage = join(work, 'stage');
  const manifest = await releaseManifest(values.version);
  const time = await timeOfSources();
  await stageRelease(stage, manifest);
  if (values.only !== 'debian') await packNpm(stage, output);
  if (values.only !== 'npm') {
    const compression = values.fast ? 'none' : 'xz';
    await makeDebianPackages({ stage, manifest, work: join(work, 'debian'), output, time, compression });
  }
  await writeFile(join(output, 'ferry.cyclonedx.json'), await billOfMaterials(stage, time));
  const made = (await readdir(output)).filter((name) => name !== 'SHA256SUMS').toSorted();
  const lines = made.map(async (name) => {
    const digest = createHash('sha256').update(await readFile(join(output, name)));
    return `${digest.digest('hex')}  ${name}\n`;
  });
  await writeFile(join(output, 'SHA256SUMS'), (await Promise.all(lines)).join(''));
  for (const name of [...made, 'SHA256SUMS']) console.log(join(output, name));
} finally {
  await rm(work, { recursive: true, force: true });
}

/** Of the commit, as reproducible builds have it; SOURCE_DATE_EPOCH where there is no git. */
async function timeOfSources(): Promise<number> {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined) return Number(given);
  const { stdout } = await execa('git', ['log', '-1', '--format=%ct'], { cwd: checkout });
  return Number(stdout);
}
