// node test/replay/record.ts [migrations | operations | evacuations | kept | attached | within-one-group | unmapped | steered | told]
// Records the histories that `replay.test.ts` replays, anew: of the workflows as they are now, on a real Temporal with real volumes
// and a real guest. For when a change was meant to change what running workflows do (see docs/operations.md, Upgrading). With the name of a
// part it records that one only and adds it to what is there: for workflows and paths that are new.
import { test } from 'node:test';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { messages } from '../../model/messages.ts';
import {
  evacuationWorkflowId,
  keptSourceWorkflowId,
  migrationWorkflowId,
  reconcileSchedule,
} from '../../model/names.ts';
import { AttachedStage } from '../end-to-end/attached-stage.ts';
import { holdSwitch } from '../end-to-end/hold-switch.ts';
import { poll, server1, server2, setStage, slowly, type Stage } from '../end-to-end/stage.ts';
import { startReceiver } from '../end-to-end/event-receiver.ts';
import { stageCli } from '../end-to-end/stage-cli.ts';
import { PlayedNodes, untilCancelled } from '../workflows/played-nodes.ts';
import { readHistories, writeHistories, type RecordedHistory } from './histories.ts';

const sizeMib = 64 * 1024;

/** The first node has two back ends, between which it moves volumes itself. */
const withSecondBackEnd = [
  {
    name: 'server1',
    volumeGroups: [
      { name: 'lvmstorage-1', sizeMib },
      { name: 'second', sizeMib },
    ],
  },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib }] },
];

const recorded = new Map<string, RecordedHistory>();
const [part] = process.argv.slice(2);
const parts: Readonly<Record<string, () => Promise<void>>> = {
  migrations: () => onDirectories(migrations),
  operations: () => onDirectories(operations),
  evacuations: () => onDirectories(evacuations),
  kept: recordKept,
  attached: recordAttached,
  'within-one-group': recordWithinOneGroup,
  unmapped: recordUnmapped,
  steered: recordSteered,
  told: recordTold,
};
// A test, so that what it started for it ends with it.
test('histories are recorded', async () => {
  if (part !== undefined) for (const each of await readHistories()) recorded.set(kindOf(each), each);
  // Written after each: what was recorded is not lost with what comes after it.
  for (const each of part === undefined ? Object.values(parts) : [parts[part]!]) {
    await each();
    await writeHistories([...recorded.values()]);
  }
  console.log(`${recorded.size} histories`);
});

async function onDirectories(play: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 60, nodes: withSecondBackEnd });
  try {
    const reconcile = stage.client.schedule.getHandle(reconcileSchedule);
    await reconcile.pause();
    await play(stage);
    await reconcile.unpause();
    await reconcile.trigger();
    await poll(async () => (await running(stage.client)).length === 0);
    await record(stage.client);
  } finally {
    await stage.strike();
  }
}

async function migrations(stage: Stage): Promise<void> {
  const steered = await stage.midCopy();
  await steered.handle.executeUpdate(messages.pauseMigration);
  await stage.untilIdle(steered.handle);
  await steered.handle.executeUpdate(messages.resumeMigration);
  await stage.untilCopied(steered.handle);
  await steered.handle
    .executeUpdate(messages.requestOperation, {
      args: [{ requestId: 'attach-1', operation: 'attach', volumeId: steered.id, requestedBy: 'replay' }],
    })
    .catch(() => undefined); // Refused: that is what is to be recorded.
  await stage.hurry(steered.handle);
  await stage.outcome(steered.handle);
  await stage.attempt(steered.id, { destination: server2 });

  for (const verify of ['none', 'inline'] as const) await stage.attempt((await stage.volume()).id, { verify });

  const cancelled = await stage.midCopy();
  await cancelled.handle.executeUpdate(messages.cancelMigration);
  await stage.outcome(cancelled.handle);
  const byTheWebUi = await stage.midCopy();
  await byTheWebUi.handle.cancel();
  await stage.outcome(byTheWebUi.handle);

  const early = await stage.volume();
  await stage.storage['server2']!.signal('SIGSTOP');
  const preparing = await stage.migrate(early.id);
  await preparing.executeUpdate(messages.cancelMigration);
  await stage.storage['server2']!.signal('SIGCONT');
  await stage.outcome(preparing);

  const abandoned = await stage.midCopy();
  await stage.storage['server2']!.signal('SIGKILL');
  await stage.outcome(abandoned.handle);
  await stage.storage['server2']!.start();

  const back = await stage.midCopy();
  await back.handle.terminate();
  await stage.ferry('repair');
  const forward = await stage.midCopy({ bandwidth: 4 * slowly });
  const release = await holdSwitch(stage, forward.id, forward.handle);
  await stage.storage['server1']!.signal('SIGSTOP');
  await release();
  await stage.untilPhase(forward.handle, 'cleaning-up');
  await forward.handle.terminate();
  await stage.storage['server1']!.signal('SIGCONT');
  await stage.ferry('repair');
}

async function operations(stage: Stage): Promise<void> {
  const { ferry, create, refused } = stageCli(() => stage);
  const id = await create();
  await ferry('migrate', id, server2, '--dry-run');
  await ferry('extend', id, '2');
  await ferry('attach', id, 'vm-1', 'hv1');
  await refused('delete', id);
  await ferry('detach', id);
  await ferry('attach', id, 'vm-1', 'hv1');
  await ferry('reset-state', id, '--detached');
  const { id: snapshot } = await ferry<{ id: string }>('snapshot', 'create', id);
  const { id: made } = await ferry<{ id: string }>('create', '--from-snapshot', snapshot, '--size', '3');
  const { id: away } = await ferry<{ id: string }>('create', '--from-volume', made, '--host', server2);
  for (const copy of [made, away]) await ferry('delete', copy);
  await ferry('snapshot', 'revert', snapshot);
  const { deviceName: left } = await ferry<{ deviceName: string }>('snapshot', 'unmanage', snapshot);
  const { id: found } = await ferry<{ id: string }>('snapshot', 'manage', id, left);
  await ferry('snapshot', 'delete', found);
  const { deviceName } = await ferry<{ deviceName: string }>('unmanage', id);
  await ferry('discover', server1);
  const { id: again } = await ferry<{ id: string }>('manage', server1, deviceName);
  await ferry('delete', again);
}

async function evacuations(stage: Stage): Promise<void> {
  const { ferry, create } = stageCli(() => stage);
  for (let made = 0; made < 2; made += 1) await create();
  await ferry('host', 'evacuate', 'server1', '--detach');
  await poll(async () => (await running(stage.client)).length === 0);
  await ferry('host', 'enable', 'server1');
  await ferry('balance', '--threshold', '1', '--detach');
  await poll(async () => (await running(stage.client)).length === 0);
  const { id } = await stage.volume();
  await ferry('host', 'evacuate', 'server1', '--detach', '--bandwidth', '16MiB/s');
  const migration = stage.client.workflow.getHandle(migrationWorkflowId(id));
  await poll(async () =>
    migration.describe().then(
      () => true,
      () => false,
    ),
  );
  await stage.untilCopied(migration);
  await ferry('evacuation', 'pause', 'server1');
  await ferry('evacuation', 'resume', 'server1');
  await ferry('evacuation', 'cancel', 'server1', '--running');
  await poll(async () => (await running(stage.client)).length === 0);
  await ferry('host', 'enable', 'server1');
  await ferry('host', 'evacuate', 'server1', '--schedule', '0 3 1 1 *');
  await stage.client.schedule.getHandle(evacuationWorkflowId('server1')).trigger();
  await poll(async () => (await running(stage.client)).length > 0);
  await poll(async () => (await running(stage.client)).length === 0);
  await ferry('host', 'decommission', 'server1');
  await ferry('host', 'enable', 'server1');
  const assisted = await stage.volume();
  await ferry('migrate', assisted.id, 'server1@second');
  await ferry('delete', assisted.id);
}

/** Sources that are kept: gone back to, or not; removed, by all that removes them. */
async function recordKept(): Promise<void> {
  const stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 60, nodes: withSecondBackEnd });
  const { ferry, refused } = stageCli(() => stage);
  const kept = ['--keep-source', '1d'];
  const moved = async (...options: string[]) => {
    const { id } = await stage.volume();
    await ferry('migrate', id, server2, ...(options.length > 0 ? options : kept));
    const { id: migrationId } = await ferry<{ id: string }>('migration', 'show', id);
    return { id, migrationId, timer: stage.client.workflow.getHandle(keptSourceWorkflowId(migrationId)) };
  };
  const undo = async ({ id, migrationId }: Awaited<ReturnType<typeof moved>>) => {
    const handle = await stage.migrate(id, { destination: server1, undoes: migrationId, bandwidth: 16 * 1024 ** 2 });
    await stage.untilCopied(handle, 8 * 1024 ** 2);
    return handle;
  };
  try {
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
    const back = await moved();
    await ferry('migration', 'undo', back.id);
    await back.timer.result();

    const written = await moved();
    await stage.checker.fill(written.id, 1);
    await refused('migration', 'undo', written.id);
    await ferry('migration', 'discard', written.id);

    const expired = await moved('--keep-source', '5s');
    await expired.timer.result();

    const cancelled = await moved();
    const undoing = await undo(cancelled);
    await undoing.executeUpdate(messages.cancelMigration);
    await stage.outcome(undoing);
    await (await undo(cancelled)).terminate();
    await stage.ferry('repair');
    await cancelled.timer.terminate();
    await stage.ferry('repair');
    await ferry('delete', cancelled.id);
    await cancelled.timer.result();
    await ferry('unmanage', (await moved()).id);

    const forward = await stage.midCopy({ bandwidth: 4 * slowly, keepSourceSeconds: 86_400 });
    const release = await holdSwitch(stage, forward.id, forward.handle);
    await stage.storage['server1']!.signal('SIGSTOP');
    await release();
    await stage.untilPhase(forward.handle, 'cleaning-up');
    await forward.handle.terminate();
    await stage.storage['server1']!.signal('SIGCONT');
    await stage.ferry('repair');
    await ferry('migration', 'discard', forward.id);
    const assisted = await stage.volume();
    await ferry('migrate', assisted.id, 'server1@second', ...kept);
    await ferry('migration', 'discard', assisted.id);
    await record(stage.client);
  } finally {
    await stage.strike();
  }
}

async function recordAttached(): Promise<void> {
  const stage = await AttachedStage.set();
  try {
    const moved = await stage.attached();
    await stage.outcome(await stage.migrate(moved.id));
    await stage.drop(moved);
    const { volume: steered, handle } = await stage.midMirror();
    await handle.executeUpdate(messages.pauseMigration);
    await poll(async () => ((await handle.describe()).raw.pendingActivities ?? []).length === 0);
    await handle.executeUpdate(messages.resumeMigration);
    await stage.untilMirrored(handle);
    await handle.executeUpdate(messages.cancelMigration);
    await stage.outcome(handle);
    await stage.drop(steered);
    await record(stage.client);
  } finally {
    await stage.strike();
  }
}

/** There the device gets a new name; it takes nodes with a real LVM. */
async function recordWithinOneGroup(): Promise<void> {
  const thinPools = [{ name: 'pool', sizeMib: 2048 }];
  const stage = await setStage({
    nodes: [{ name: 'server1', volumeGroups: [{ name: 'lvmstorage-1', sizeMib: 4096, thinPools }] }],
  });
  try {
    const { id } = await stage.volume();
    await stage.attempt(id, { destination: 'server1@pool' });
    await record(stage.client);
  } finally {
    await stage.strike();
  }
}

/** What a mirror onto a thin pool goes through: the nodes are played. */
async function recordUnmapped(): Promise<void> {
  const nodes = await PlayedNodes.start();
  const [here, elsewhere] = [7, 8].map((bytesDone) => ({ job: 'copy-vdb-1', bytesDone }));
  nodes.zerosTakeRoom = true;
  try {
    for (const rests of [[here, here], [null], [here, elsewhere, here, here]]) {
      const id = await nodes.attached();
      nodes.rests = rests as typeof nodes.rests;
      await (await nodes.migrate(id)).result();
    }
    await nodes.attached().then(async (id) => {
      const unmapped = untilCancelled();
      nodes.rests = [here!, here!];
      nodes.next('unmapZeros', unmapped.turn);
      const handle = await nodes.migrate(id);
      await unmapped.begun;
      await handle.executeUpdate(messages.cancelMigration);
      await handle.result().catch(() => {});
    });
    await record(nodes.client);
  } finally {
    await nodes.stop();
  }
}

/** A resume and a cap that change nothing, while the mirror is under way. */
async function recordSteered(): Promise<void> {
  const nodes = await PlayedNodes.start();
  try {
    const id = await nodes.attached();
    const mirroring = untilCancelled();
    nodes.next('mirrorDisk', mirroring.turn);
    const handle = await nodes.migrate(id, { bandwidth: sizeMib });
    await mirroring.begun;
    await handle.executeUpdate(messages.resumeMigration);
    await handle.executeUpdate(messages.setBandwidth, { args: [sizeMib] });
    mirroring.goOn();
    await handle.result();
    await record(nodes.client);
  } finally {
    await nodes.stop();
  }
}

async function running(client: Client): Promise<string[]> {
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query: "ExecutionStatus = 'Running'" }))
    found.push(workflowId);
  return found.filter((id) => !id.startsWith('temporal-sys'));
}

/** One of each kind: workflows of one type whose histories have the same events in the same order are the same. */
/** A webhook that is told of two events, while its receiver takes only the second try of the first. */
async function recordTold(): Promise<void> {
  await using receiver = await startReceiver();
  receiver.answers = [503];
  const stage = await setStage({
    backing: 'directory',
    nodeTimeoutSeconds: 60,
    webhooks: [await receiver.webhook('told')],
  });
  const { ferry, create } = stageCli(() => stage);
  try {
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
    const id = await create();
    await poll(async () => receiver.received.length >= 1);
    await ferry('delete', id);
    await poll(async () => receiver.received.length >= 2);
    await poll(async () => (await ferry<unknown[]>('event', 'list')).length === 0);
    await record(stage.client);
  } finally {
    await stage.strike();
  }
}

async function record(client: Client): Promise<void> {
  for await (const { workflowId, runId, type } of client.workflow.list()) {
    if (workflowId.startsWith('temporal-sys')) continue;
    const handle: WorkflowHandle = client.workflow.getHandle(workflowId, runId);
    const history = await handle.fetchHistory();
    const found = { workflowId, type, history: JSON.parse(historyToJSON(history)) as unknown };
    const kind = kindOf(found);
    // Those of an earlier release stay: it is their like that is under way somewhere.
    if (!recorded.has(kind)) recorded.set(kind, found);
  }
}

function kindOf({ type, history }: RecordedHistory): string {
  const { events = [] } = history as { events?: { eventType: string }[] };
  return `${type} ${events.map(({ eventType }) => eventType).join(' ')}`;
}
