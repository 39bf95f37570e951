import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { nodeWorker } from '../../testbed/node-worker.ts';
import type { StorageNodes } from '../../testbed/nodes.ts';

let share: string;
before(async () => {
  share = await mkdtemp(join(tmpdir(), 'ferry-test-'));
});
after(() => rm(share, { recursive: true, force: true }));

const spec = { name: 'server1', volumeGroups: [{ name: 'lvm-1', sizeMib: 64 }] };

/** This machine in the place of a node: what a worker does at its start is the same in both. */
function thisMachine(argvOf: (argv: readonly string[]) => readonly string[]): StorageNodes {
  const parts: Pick<StorageNodes, 'share' | 'address' | 'exec' | 'spawn' | 'kill'> = {
    share,
    address: () => '127.0.0.1',
    async exec(_node, [program = '', ...args]) {
      const { exitCode = -1, stdout, stderr } = await execa(program, args, { reject: false });
      return { code: exitCode, signal: null, stdout, stderr };
    },
    async spawn(_node, argv, { log = '/dev/null', env = {} } = {}) {
      const [program = '', ...args] = argvOf(argv);
      const output = openSync(log, 'a');
      return spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', output, output] }).pid!;
    },
    async kill(_node, pid, signal = 'SIGKILL') {
      return process.kill(pid, signal);
    },
  };
  return parts as StorageNodes;
}

test('a worker that ends before it is ready is told of at once, with its own last words', async () => {
  const worker = await nodeWorker(
    thisMachine((argv) => argv),
    spec,
    {},
    { FERRY_DATABASE_URL: 'no-url' },
    null,
  );
  await assert.rejects(worker.start(), /ferry worker storage ended on server1 before it was ready; see .*\n.*\S/s);
});

test('one that is ready is ready, also when an earlier one was', async () => {
  const says = ['sh', '-c', `sleep 0.3; echo '{"msg":"ready"}'; sleep 60`];
  const worker = await nodeWorker(
    thisMachine(() => says),
    spec,
    {},
    {},
    null,
  );
  await worker.start();
  assert.ok(worker.isRunning());
  await worker.signal('SIGKILL');
  await appendFile(join(share, 'server1.log'), '{"msg":"ready"}\n');
  const dies = await nodeWorker(
    thisMachine(() => ['sh', '-c', 'echo no luck; exit 1']),
    spec,
    {},
    {},
    null,
  );
  await assert.rejects(dies.start(), /ended on server1 .*no luck/s);
});
