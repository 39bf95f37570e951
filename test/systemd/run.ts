// npm run systemd [-- bookworm | trixie]: installs the Debian packages on four bare Debians, each under its own systemd as on a machine, as docs/installing.md says:
// Postgres, Temporal and a control worker, two storage nodes, a hypervisor. Volumes move, releases come and go, and in the end nothing is left.
// Needs root. Fails when something does not end as it must.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Suite } from '../../setup/bare/bare-system.ts';
import { pinnedNode } from '../../setup/npm-packages.mjs';
import { removeFolder } from '../../setup/remove-folder.mjs';
import { root } from '../../setup/report.mjs';
import { said, sumUp } from '../../setup/story-checks.ts';
import { makeBaseSystem } from './base-system.ts';
import { makeSite } from './site.ts';
import { story } from './story.ts';

const suites: readonly Suite[] = ['bookworm', 'trixie'];
const [named = 'bookworm'] = process.argv.slice(2);
const suite = suites.find((each) => each === named);
if (suite === undefined) throw new Error(`there is no ${named}: ${suites.join(', ')}`);

/** As docs/installing.md names them. */
const versions = ['0.1.0', '0.2.0'];

const folder = await mkdtemp(join(tmpdir(), 'systemd-'));
try {
  said('releases, and a bare Debian');
  const releases: Record<string, string> = {};
  for (const version of versions) {
    const output = join(folder, 'releases', version);
    const args = ['packaging/release.ts', '--only', 'debian', '--fast', '--version', version, '--output', output];
    await execa(pinnedNode, args, { cwd: root });
    releases[version] = output;
  }
  const base = join(folder, 'base');
  await makeBaseSystem(suite, base, releases);
  await rm(join(folder, 'releases'), { recursive: true });
  said('machines');
  const site = await makeSite(folder, base);
  // Whoever ends this ends the machines; what setup/run.mjs sweeps up does not know their control groups.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => void site.stop().finally(() => process.exit(1)));
  try {
    await story(site, folder);
  } finally {
    await site.stop();
  }
} finally {
  // Files among it may be locked against changes, where a copy was ended in the middle.
  removeFolder(folder);
}
sumUp();
