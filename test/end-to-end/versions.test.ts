import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { execa } from 'execa';
import { ferryMain, type ManagedWorker, node, processWorker } from '../../testbed/process-worker.ts';
import { keptSourceWorkflowId } from '../../model/names.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';

const name = 'ferry';
let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory', deployment: { name, buildId: 'old' } });
});
after(() => stage?.strike());

const others: ManagedWorker[] = [];
afterEach(async () => {
  for (const other of others.splice(0)) await other.signal('SIGKILL');
});

/** The configuration of an installation with other code. */
async function configurationOf(buildId: string): Promise<string> {
  const { metricsAddress: _, ...configuration } = JSON.parse(
    await readFile(join(stage.directory, 'control.json'), 'utf8'),
  ) as Record<string, unknown>;
  const file = join(stage.directory, `control-${buildId}.json`);
  await writeFile(file, JSON.stringify({ ...configuration, deployment: { name, buildId } }));
  return file;
}

async function startControl(file: string): Promise<void> {
  const worker = processWorker(['worker', 'control'], { ...stage.env, FERRY_CONFIG: file }, `${file}.log`);
  others.push(worker);
  await worker.start();
}

async function versions(): Promise<Record<string, string>> {
  const { stdout } = await stage.ferry('--json', 'worker', 'versions');
  const all = JSON.parse(stdout) as { buildId: string; state: string }[];
  return Object.fromEntries(all.map(({ buildId, state }) => [buildId, state]));
}

function ferryWith(file: string, ...args: string[]) {
  const env = { ...stage.env, FERRY_CONFIG: file };
  return execa(node, [ferryMain, ...args], { env, reject: false, stdin: 'ignore' });
}

async function buildOf(handle: { describe(): Promise<{ raw: unknown }> }): Promise<string | undefined> {
  const { raw } = await handle.describe();
  const info = (raw as { workflowExecutionInfo: { versioningInfo?: { deploymentVersion?: { buildId?: string } } } })
    .workflowExecutionInfo.versioningInfo;
  return info?.deploymentVersion?.buildId;
}

test('a migration ends on the code that it began with; what begins after an upgrade runs on the new code', async () => {
  await poll(async () => (await versions())['old'] === 'current');
  const first = await stage.midCopy({ bandwidth: 512 * 1024, keepSourceSeconds: 86_400 });
  assert.equal(await buildOf(first.handle), 'old');

  const upgraded = await configurationOf('new');
  const early = await ferryWith(upgraded, 'worker', 'promote');
  assert.equal(early.exitCode, 3, 'promoted before a worker runs that code');
  await startControl(upgraded);
  // A new worker alone changes nothing. Temporal tells of its version seconds later, and may tell of none in between.
  await poll(async () => {
    const { old, new: later } = await versions();
    return old === 'current' && later === 'inactive';
  });
  const promoted = await ferryWith(upgraded, '--json', 'worker', 'promote');
  assert.deepEqual(JSON.parse(promoted.stdout), { deployment: name, buildId: 'new', before: 'old' });

  const { id, contents } = await stage.volume();
  const second = await stage.migrate(id);
  assert.equal(await stage.outcome(second), 'success');
  assert.equal(await buildOf(second), 'new');
  await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });

  // The old worker dies in the middle: the new one leaves its migration alone, and it goes on when the old code is back.
  await stage.control.signal('SIGKILL');
  await stage.control.start();
  await stage.hurry(first.handle);
  assert.equal(await stage.outcome(first.handle), 'success');
  assert.equal(await buildOf(first.handle), 'old');
  await stage.checker.assertAt(first.id, { ...first.moved, kept: [server1] });
  // Its source is kept for a day: no version has to stay for that.
  const migrationId = (await first.handle.describe()).runId;
  const discarded = await stage.ferry('migration', 'discard', first.id);
  assert.equal(discarded.exitCode, 0, discarded.stderr);
  const expiry = stage.client.workflow.getHandle(keptSourceWorkflowId(migrationId));
  await expiry.result();
  assert.equal(await buildOf(expiry), 'new');
  await stage.checker.assertAt(first.id, first.moved);
  const { old, new: current } = await versions();
  assert.equal(current, 'current');
  // Temporal notices only minutes later that nothing is left.
  assert.match(old!, /^drain(ing|ed)$/);
});
