import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { DecommissionReport, MovesReport, MovesState } from '../../model/evacuation.ts';
import { messages } from '../../model/messages.ts';
import { evacuationWorkflowId } from '../../model/names.ts';
import { lvmVolumeMib, poll, server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli, type Refusal } from './stage-cli.ts';

/** One after the other: each suite sets its own. */
let stage: Stage;

const { ferry, refused, create } = stageCli(() => stage);

/** Runs `ferry ... --json` that ends badly, but with an answer: what came last on standard output. */
async function incomplete<T>(...args: string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await stage.ferry(...args, '--json');
  assert.equal(exitCode, 1, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

/** The report, which is the last line of those that a follower gets. */
async function followed(...args: string[]): Promise<MovesReport> {
  const { exitCode, stdout, stderr } = await stage.ferry(...args, '--json');
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as MovesReport;
}

const tally = async (source: string): Promise<MovesState['tally']['volumes']> =>
  (await ferry<{ tally: MovesState['tally'] }>('evacuation', 'show', source)).tally.volumes;

// What is moved, and how, is the same as of single volumes, which are moved on real LVM elsewhere.
describe('a node with volumes', () => {
  before(async () => {
    stage = await setStage({ backing: 'directory', volumeBytes: lvmVolumeMib * 1024 ** 2 });
  });
  after(() => stage?.strike());

  test('is emptied although its control worker and the other storage worker die; every byte arrives', async () => {
    const volumes = [await stage.volume(), await stage.volume()];
    const { planId } = await ferry<{ planId: string }>(
      ...['host', 'evacuate', 'server1', '--detach', '--reason', 'new disks'],
      ...['--bandwidth', '4MiB/s', '--max-concurrent', '2'],
    );
    assert.ok(planId);
    const handle = stage.client.workflow.getHandle(evacuationWorkflowId('server1'));
    await poll(async () => (await handle.query<MovesState>(messages.movesState)).running.length === 2);
    await stage.control.signal('SIGKILL');
    await stage.storage['server2']!.signal('SIGKILL');
    await stage.control.start();
    await stage.storage['server2']!.start();
    // Temporal gives a dead worker's task to another one after ten seconds.
    await poll(async () => (await stage.ferry('evacuation', 'set-bandwidth', 'server1', 'unlimited')).exitCode === 0);
    const report = await followed('evacuation', 'watch', 'server1');
    assert.deepEqual([report.outcome, report.tally.volumes.moved], ['emptied', 2]);
    for (const { id, contents } of volumes)
      await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
    const [disabled] = await ferry<{ name: string; disabledReason: string; volumes: number }[]>(
      ...['host', 'list', '--long'],
    ).then((all) => all.filter(({ name }) => name === server1));
    assert.deepEqual([disabled?.disabledReason, disabled?.volumes], ['new disks', 0]);
  });

  test('is decommissioned when nothing is left on it, in the registry and on its devices', async () => {
    await ferry('host', 'enable', 'server1');
    const id = await create();
    const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
    const left = await incomplete<DecommissionReport>('host', 'decommission', 'server1');
    assert.deepEqual([left.decommissioned, left.evacuation.tally.volumes.stays], [false, 1]);
    await ferry('snapshot', 'delete', snapshot);
    const plan = await stage.ferry('host', 'evacuate', 'server1', '--dry-run');
    assert.match(plan.stdout, /1 volumes \(64.0 MiB\) would leave server1; nothing was done/);
    const done = await ferry<DecommissionReport>('host', 'decommission', 'server1');
    assert.equal(done.decommissioned, true);
    assert.deepEqual(
      (await stage.sight.devices()).filter(({ place: [node] }) => node === 'server1'),
      [],
    );
    assert.match((await stage.ferry('host', 'list', '--long')).stdout, /server1@lvmstorage-1 .* decommissioned/);
    await ferry('host', 'enable', 'server1');
    assert.doesNotMatch((await stage.ferry('host', 'list', '--long')).stdout, /decommissioned/);
    await ferry('delete', id);
  });
});

describe('a node', () => {
  before(async () => {
    stage = await setStage({ backing: 'directory' });
  });
  after(() => stage?.strike());

  test('takes nothing while it is disabled, in any way', async () => {
    await ferry('host', 'disable', 'server1');
    const id = (await ferry<{ id: string }>('create', '--size', '1', '--host', server2)).id;
    for (const args of [
      ['create', '--size', '1', '--host', server1],
      ['migrate', id, server1],
      ['host', 'evacuate', 'server2', '--to', server1],
    ])
      assert.match((await refused(...args)).message, /is disabled/);
    const homeless = await refused('host', 'evacuate', 'server2');
    assert.equal(homeless.type, 'EvacuationRefused');
    assert.match(homeless.message, /fit nowhere/);
    await ferry('delete', id);
    await ferry('host', 'enable', 'server1');
  });

  test('an evacuation that does not run is not steered', async () => {
    const type = async (...args: string[]): Promise<Refusal['type']> => (await refused(...args)).type;
    assert.equal(await type('evacuation', 'pause', 'server1'), 'NotEvacuating');
    assert.equal(await type('evacuation', 'watch', 'server9'), 'NotEvacuating');
    assert.equal(await type('evacuation', 'unschedule', 'server1'), 'NotEvacuating');
    assert.equal(await type('host', 'evacuate', 'server9'), 'BackEndNotFound');
  });

  test('is evacuated in its maintenance window, and then no more', async () => {
    const id = await create();
    await ferry('host', 'evacuate', 'server1', '--schedule', '0 3 * * 6', '--window', '4h');
    const schedule = stage.client.schedule.getHandle(evacuationWorkflowId('server1'));
    await schedule.trigger();
    await poll(async () => (await tally('server1').catch(() => null))?.moved === 1);
    assert.equal((await ferry('show', id))['os-vol-host-attr:host'], server2);
    await poll(async () =>
      schedule.describe().then(
        () => false,
        () => true,
      ),
    );
    await ferry('host', 'enable', 'server1');
  });

  test('gets volumes back when its zone is balanced', async () => {
    for (let made = 0; made < 2; made += 1) await ferry('create', '--size', '2', '--host', server2);
    const threshold = ['--threshold', '5'];
    const plan = () => ferry<{ volumeId: string; destination: string }[]>('balance', '--dry-run', ...threshold);
    // What the nodes told last may be from before the volumes were made, or from when server1 had more.
    await poll(async () => {
      const moves = await plan();
      return moves.length > 0 && moves.every(({ destination }) => destination === server1);
    });
    const onServer1 = async () => (await ferry<unknown[]>('list', '--host', server1)).length;
    const wereThere = await onServer1();
    const report = await followed('balance', ...threshold);
    // Not the very moves of the dry run: the nodes may have told of other free capacities since.
    const { moved, ...others } = report.tally.volumes;
    assert.equal(report.outcome, 'emptied');
    assert.ok(moved > 0);
    assert.deepEqual(new Set(Object.values(others)), new Set([0]));
    assert.equal(await onServer1(), wereThere + moved);
    assert.match((await stage.ferry('evacuation', 'list')).stdout, /balance/);
  });
});
