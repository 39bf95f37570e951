import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

const module = join(import.meta.dirname, '../../setup/own-folder.mjs');
let temporary: string;
before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'ferry-test-'));
});
after(() => rm(temporary, { recursive: true, force: true }));

/**
 * A run that starts programs of every kind that outlives its starter: in a session of its own, one that forgot its environment, and one
 * that lets no signal but KILL end it. Prints the folder and their pids.
 */
const begin = `
  import { spawn, spawnSync } from 'node:child_process';
  import { writeFileSync } from 'node:fs';
  import { ownFolder } from ${JSON.stringify(module)};
  const own = ownFolder(process.env);
  const folder = own.env['TMPDIR'];
  writeFileSync(folder + '/file', 'x');
  // As the source of a migration is while it is copied, where the file system and the user can have that.
  writeFileSync(folder + '/source', 'x');
  spawnSync('chattr', ['+i', folder + '/source']);
  const start = (argv, env) => spawn(argv[0], argv.slice(1), { env, detached: true, stdio: 'ignore' }).pid;
  const pids = [
    start(['sleep', '1000'], own.env),
    start(['tail', '-f', folder + '/file'], {}),
    start(['sh', '-c', "trap '' TERM INT HUP; while :; do sleep 1; done"], own.env),
  ];
  console.log(JSON.stringify({ folder, pids }));`;

async function run(end: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', begin + end], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: temporary },
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const { folder, pids } = JSON.parse(said.toString()) as { folder: string; pids: number[] };
  return { child, folder, pids };
}

const isRunning = (pid: number) => existsSync(`/proc/${pid}`);
async function assertNothingLeft({ folder, pids }: { folder: string; pids: number[] }) {
  for (let tries = 0; tries < 1000 && (existsSync(folder) || pids.some(isRunning)); tries += 1) await sleep(20);
  assert.deepEqual({ folder: existsSync(folder), pids: pids.filter(isRunning) }, { folder: false, pids: [] });
}

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
  test(`a run that is ended by ${signal} leaves nothing`, async () => {
    const begun = await run('setInterval(() => {}, 1000);');
    assert.ok(existsSync(begun.folder) && begun.pids.every(isRunning));
    begun.child.kill(signal);
    await assertNothingLeft(begun);
  });
}

test('one that ends by itself waits until nothing is left', async () => {
  const begun = await run('await own.sweepUp(); process.exit(7);');
  if (begun.child.exitCode === null) await once(begun.child, 'exit');
  assert.equal(begun.child.exitCode, 7);
  assert.equal(existsSync(begun.folder), false);
  await assertNothingLeft(begun);
});

test('a start removes the folders of those that are gone, locked files too, and of nobody else', async () => {
  // No process has a pid above this one.
  const gone = join(temporary, 'ferry-4194305-AbCdEf');
  const running = join(temporary, `ferry-${process.pid}-AbCdEf`);
  const foreign = join(temporary, 'ferry-notes-1');
  for (const folder of [gone, running, foreign]) {
    await mkdir(folder);
    await writeFile(join(folder, 'file'), 'x');
  }
  await execa('chattr', ['+i', join(gone, 'file')], { reject: false });
  const begun = await run('await own.sweepUp();');
  await assertNothingLeft(begun);
  assert.deepEqual([gone, running, foreign].map(existsSync), [false, true, true]);
});
