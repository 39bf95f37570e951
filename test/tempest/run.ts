// npm run tempest [-- --only REGEX] [--workers N]: OpenStack's own tests of the Block Storage API against `ferry api` with a real Keystone,
// two directory back ends, and all of Ferry behind. The tests are in ids.tsv, what is left out and why in left-out.tsv.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { startKeystone, type Keystone } from '../../testbed/keystone.ts';
import { startKeystoneApi } from '../client/api/keystone-api.ts';
import { execa } from 'execa';
import { setStage } from '../end-to-end/stage.ts';
import { tempestProgram } from './program.ts';
import { scored, wantedOf, type Ended, type Wanted } from './score.ts';
import { tempestConfiguration } from './tempest-configuration.ts';

const { values } = parseArgs({
  options: { only: { type: 'string' }, workers: { type: 'string', default: '2' }, results: { type: 'string' } },
});
const here = import.meta.dirname;
const only = new RegExp(values.only ?? '');
const all = wantedOf(await readFile(join(here, 'ids.tsv'), 'utf8'));
const wanted = all.filter(({ id }) => only.test(id));
/** The one class that wants accounts of its own making. */
const ownAccounts = (each: Wanted) => each.id.includes('test_volume_absolute_limits');

const program = tempestProgram();
const began = Date.now();
const say = (text: string) =>
  console.error(`${String(Math.round((Date.now() - began) / 1000)).padStart(4)} s  ${text}`);
const ended: Ended[] = [];

const keystone = await startKeystone();
try {
  const stage = await setStage({ backing: 'directory', nodes: roomy() });
  const api = await startKeystoneApi(keystone, stage);
  say(`ferry api at ${api.endpoint}, its log ${api.log}`);
  try {
    const folder = await mkdtemp(join(tmpdir(), 'ferry-tempest-'));
    const accounts = join(folder, 'accounts.yaml');
    await writeFile(accounts, await makeAccounts(keystone));
    say(`tempest: ${wanted.length} tests, ${values.workers} at a time`);
    await runTests(join(folder, 'prepared'), { tests: wanted.filter((each) => !ownAccounts(each)), accounts });
    await runTests(join(folder, 'own'), { tests: wanted.filter(ownAccounts), accounts: null });
  } finally {
    await api.stop();
    await stage.strike();
  }
} finally {
  await keystone.stop();
}
if (values.results !== undefined)
  await writeFile(values.results, ended.map((each) => `${JSON.stringify(each)}\n`).join(''));
const { text, missing } = scored(wanted, ended);
console.log(text);
process.exitCode = missing > 0 ? 1 : 0;

/** The seed's two back ends, with room for what all tests leave behind at a time. */
function roomy() {
  const group = (name: string) => [{ name, sizeMib: 200 * 1024 }];
  return [
    { name: 'server1', volumeGroups: group('lvmstorage-1') },
    { name: 'server2', volumeGroups: group('lvmstorage-2') },
  ];
}

/** Accounts that tempest takes turns with, so that it writes nothing to Keystone: members, readers, administrators. */
async function makeAccounts(keystone: Keystone): Promise<string> {
  const made: string[] = [];
  const add = async (name: string, project: string, role: string) => {
    await keystone.user(name, { [project]: [role] });
    const domains = ['user', 'project'].map((each) => `  ${each}_domain_name: Default\n`).join('');
    made.push(
      `- username: ${name}\n  password: password-${name}\n  project_name: ${project}\n${domains}  roles: [${role}]\n`,
    );
  };
  for (let n = 1; n <= 6; n++)
    for (const role of ['member', 'reader']) await add(`tempest-${role}-${n}`, `tempest-${n}`, role);
  for (let n = 1; n <= 4; n++) await add(`tempest-admin-${n}`, 'admin', 'admin');
  return made.join('');
}

async function runTests(workspace: string, { tests, accounts }: { tests: readonly Wanted[]; accounts: string | null }) {
  if (tests.length === 0) return;
  const workspaces = join(dirname(workspace), 'workspaces.yaml');
  await execa(program, ['init', workspace, '--workspace-path', workspaces]);
  await mkdir(join(workspace, 'lock'));
  const configuration = tempestConfiguration({ workspace, keystoneUrl: keystone.url, accounts });
  await writeFile(join(workspace, 'etc', 'tempest.conf'), configuration);
  const chosen = join(workspace, 'tests');
  // By the start of their names: tempest adds attributes in brackets.
  await writeFile(chosen, tests.map(({ id }) => `^${id.replaceAll('.', '\\.')}\\[\n`).join(''));
  const env = { ...process.env, PATH: `${dirname(program)}:${process.env['PATH']}`, PYTHONWARNINGS: 'ignore' };
  const args = ['run', '--include-list', chosen, '--concurrency', values.workers, '--subunit'];
  const tempest = spawn(program, args, { cwd: workspace, env, stdio: ['ignore', 'pipe', 'pipe'] });
  tempest.stderr.pipe(createWriteStream(join(workspace, 'errors')));
  const reader = spawn(join(dirname(program), 'python3'), [join(here, 'results.py')], {
    stdio: [tempest.stdout, 'pipe', 'inherit'],
  });
  const exited = once(reader, 'exit');
  for await (const line of createInterface(reader.stdout)) {
    const each = JSON.parse(line) as Ended;
    ended.push(each);
    say(`${each.outcome} ${each.id.replace(/\[.*/, '')} (${each.seconds.toFixed(1)} s) ${each.reason.slice(0, 160)}`);
  }
  await exited;
  say(`tempest's own log: ${join(workspace, 'tempest.log')}`);
}
