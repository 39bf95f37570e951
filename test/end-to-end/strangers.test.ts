import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { ActivityFailure, ApplicationFailure, WorkflowFailedError } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { generationTag, liveTags, snapshotTag } from '../../model/device.ts';
import { copyStart } from '../../model/migration.ts';
import { controlQueue, deviceName, reconcileSchedule, snapshotDeviceName } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';

// Whoever reaches Temporal can have any worker do any step, with any input. Here a stranger does, who has nothing else.

let stage: Stage;
let connection: NativeConnection;
let worker: Worker;
let running: Promise<void>;
before(async () => {
  stage = await setStage({ backing: 'directory', volumeBytes: 64 * 1024 ** 2 });
  // It would take back within a minute what was begun here without a workflow.
  await stage.client.schedule.getHandle(reconcileSchedule).pause();
  connection = await NativeConnection.connect({ address: stage.temporal.address });
  worker = await Worker.create({
    connection,
    taskQueue: 'strangers',
    workflowsPath: fileURLToPath(new URL('stranger-workflow.ts', import.meta.url)),
  });
  running = worker.run();
});
after(async () => {
  worker?.shutdown();
  await running;
  await connection?.close();
  await stage?.strike();
});

/** What a storage node answers: `done`, or the type of its refusal. */
async function answer(queue: string, activity: string, input: unknown): Promise<string> {
  try {
    await stage.client.workflow.execute('order', {
      taskQueue: 'strangers',
      workflowId: `order-${randomUUID()}`,
      args: [{ queue, activity, input }],
    });
    return 'done';
  } catch (error) {
    const failure = error instanceof WorkflowFailedError ? error.cause : error;
    const cause = failure instanceof ActivityFailure ? failure.cause : failure;
    if (cause instanceof ApplicationFailure) return cause.type ?? 'untyped';
    throw error;
  }
}

async function atServer1(activity: string, input: unknown): Promise<string> {
  return answer('storage:server1', activity, input);
}

const everything = async () => {
  const devices = (await stage.sight.devices()).map(
    ({ place, tags }) => `${place.join(' ')}: ${tags.toSorted().join(' ')}`,
  );
  return [...devices.toSorted(), ...(await stage.sight.exports()).toSorted()];
};

const sizeBytes = 64 * 1024 ** 2;

/** Every step that changes something, as somebody would order it who knows all of the volume. */
function harmful(id: string, of: { migrationId?: string; backEnd?: string } = {}): [string, unknown][] {
  const { migrationId = randomUUID(), backEnd = server1 } = of;
  const device = deviceName({ id, nameId: null });
  const at = { backEnd, deviceName: device };
  const live = { ...at, volumeId: id, generation: 0, identity: null };
  const other = { ...at, deviceName: deviceName({ id: randomUUID(), nameId: null }) };
  const snapshotId = randomUUID();
  const left = { ...at, volumeId: id, exportName: `attachment-${randomUUID()}`, migrationId };
  const whole = { ...live, sizeBytes };
  const made = { ...other, sizeBytes, volumeId: id, migrationId, generation: 7, labels: [] };
  const transfer = { ...at, sizeBytes, migrationId, from: copyStart, bandwidth: null, readsZero: false, digest: false };
  const address = { host: '127.0.0.1', port: 1, exportName: 'x', tls: false };
  return [
    ['deleteDevice', live],
    ['extendDevice', { ...live, sizeBytes: 2 * gib }],
    ['exportVolume', { ...whole, exportName: `attachment-${randomUUID()}`, writable: true }],
    ['exportVolume', { ...whole, exportName: device, writable: true }],
    ['locateVolume', { ...whole, nobodys: true }],
    ['snapshotDevice', { ...whole, snapshotName: snapshotDeviceName(snapshotId), tags: [snapshotTag(snapshotId)] }],
    ['deleteSnapshotDevice', { backEnd, deviceName: snapshotDeviceName(snapshotId), snapshotId }],
    ['createDevice', { ...other, sizeBytes, tags: liveTags(id) }],
    ['createDevice', { ...other, sizeBytes, tags: [generationTag(3)] }],
    ['adoptDevice', { ...at, newName: other.deviceName, volumeId: randomUUID(), sizeBytes, labels: [] }],
    ['disownDevice', { ...live, newName: 'mine' }],
    ['disownVolume', { backEnd, volumeId: id, name: 'mine' }],
    ['disownVolume', { backEnd, volumeId: randomUUID(), name: null }],
    ['prepareDestination', made],
    ['prepareLocalMove', { ...made, source: live }],
    ['holdSource', { ...whole, migrationId }],
    ['exportSource', { ...whole, migrationId, exportName: `migration-${migrationId}` }],
    ['exportDestination', { ...at, exportName: device, sizeBytes, volumeId: id, migrationId }],
    ['copyVolume', { ...transfer, volumeId: id, source: live }],
    ['pullVolume', { ...transfer, volumeId: id, source: address }],
    ['digestVolume', { ...transfer, volumeId: id }],
    ['compareVolume', { ...transfer, volumeId: id, source: address }],
    ['unmapZeros', { ...at, sizeBytes, migrationId, round: 1, from: copyStart }],
    ['endUnmapping', { ...at, sizeBytes, migrationId, round: 1 }],
    ['settleDestination', { ...whole, migrationId, generation: 9 }],
    ['reviveDevice', { ...whole, generation: 9 }],
    ['deleteDestination', { ...at, migrationId }],
    ['fenceSource', left],
    ['retireSource', { ...left, proof: null }],
    ['keepSource', left],
  ];
}

describe('who has nothing but Temporal', () => {
  test('can order nothing of a volume that is at rest', async () => {
    const { id, contents } = await stage.volume();
    const old = await everything();
    for (const [activity, input] of harmful(id))
      assert.equal(await atServer1(activity, input), 'Forbidden', `${activity} ${JSON.stringify(input)}`);
    assert.deepEqual(await everything(), old);
    assert.equal(await stage.checker.contents(id), contents);
  });

  test('cannot lead a step to a file of the node', async () => {
    const { id } = await stage.volume();
    const secret = join(stage.directory, 'secret');
    await writeFile(secret, 'of the node');
    const at = { backEnd: server1, deviceName: deviceName({ id, nameId: null }) };
    const up = `/../../../../../../../../../..${secret}`;
    const orders: [string, unknown][] = [
      ['endUnmapping', { ...at, sizeBytes, migrationId: randomUUID(), round: up }],
      ['endUnmapping', { ...at, deviceName: `..${up}`, sizeBytes, migrationId: randomUUID(), round: 1 }],
      ['deleteDevice', { ...at, deviceName: `..${up}`, volumeId: id, generation: 0 }],
      ['createDevice', { ...at, deviceName: `..${up}`, sizeBytes, tags: liveTags(id) }],
      ['adoptDevice', { ...at, newName: `..${up}`, volumeId: id, sizeBytes, labels: [] }],
      ['removeExport', { backEnd: server1, exportName: `..${up}` }],
    ];
    for (const [activity, input] of orders) assert.equal(await atServer1(activity, input), 'InvalidInput', activity);
    assert.equal(await readFile(secret, 'utf8'), 'of the node');
  });

  test('cannot take from a migration under way what it needs, and it ends well', async () => {
    const { id, handle, moved } = await stage.midCopy();
    const { migrationId } = await handle.query<{ migrationId: string }>('migrationState');
    const [, , made] = await stage.destinationOf(handle);
    const there = { backEnd: server2, deviceName: made, volumeId: id, migrationId };
    const steps: [string, string, unknown][] = [
      ['server2', 'deleteDestination', there],
      ['server2', 'settleDestination', { ...there, generation: 1, identity: null, sizeBytes }],
      ['server2', 'retireSource', { ...there, exportName: `migration-${migrationId}`, proof: null }],
      ['server2', 'reviveDevice', { ...there, generation: 2, identity: null, sizeBytes }],
      ['server1', 'removeExport', { backEnd: server1, exportName: `migration-${migrationId}`, cut: true }],
      ['server1', 'releaseSource', { backEnd: server1, deviceName: deviceName({ id, nameId: null }), migrationId }],
    ];
    for (const [node, activity, input] of steps)
      assert.equal(await answer(`storage:${node}`, activity, input), 'Forbidden', activity);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), moved.outcome);
    await stage.checker.assertAt(id, moved);
  });

  test('cannot have something else written down as the place of an attached volume', async () => {
    const { id } = await stage.volume();
    const ticket = { volumeId: id, attachmentId: randomUUID(), owner: `attach-${id}/${randomUUID()}` };
    const begun = { ...ticket, instanceId: 'mine', computeHost: 'hv1', mode: 'rw' };
    assert.equal(await answer(controlQueue, 'beginAttach', begun), 'done');
    const at = { backEnd: server1, deviceName: deviceName({ id, nameId: null }) };
    const exportName = `attachment-${ticket.attachmentId}`;
    const live = { ...at, volumeId: id, generation: 0, identity: null, sizeBytes };
    assert.equal(await atServer1('exportVolume', { ...live, exportName, writable: true }), 'done');
    const served = { backEnd: server1, device: at.deviceName };
    const nbd = { protocol: 'nbd', host: '127.0.0.1', port: 10_809, tls: false, ...served };
    const connections: Record<string, unknown>[] = [
      { protocol: 'local', kind: 'file', path: '/etc/shadow', ...served },
      // What a node brings up again it would name its files after.
      { ...nbd, exportName: '../../etc/cron.d/mine' },
      { ...nbd, exportName, host: '192.0.2.1' },
    ];
    for (const connection of connections)
      assert.equal(await answer(controlQueue, 'finishAttach', { ...ticket, connection }), 'Forbidden');
    const reason = { type: 'Unexpected', message: 'enough' };
    assert.equal(await answer(controlQueue, 'failAttach', { ...ticket, reason }), 'done');
    assert.equal(await atServer1('removeExport', { backEnd: server1, exportName }), 'done');
  });

  test('cannot put a volume in the place of another one when it is let go', async () => {
    const [mine, yours] = [await stage.volume(), await stage.volume()];
    const owner = `unmanage-${mine.id}/${randomUUID()}`;
    assert.equal(await answer(controlQueue, 'beginUnmanage', { volumeId: mine.id, owner }), 'done');
    const device = ({ id }: { id: string }) => deviceName({ id, nameId: null });
    const live = { backEnd: server1, deviceName: device(mine), volumeId: mine.id, generation: 0, identity: null };
    assert.equal(await atServer1('disownDevice', { ...live, newName: device(yours) }), 'Forbidden');
    assert.equal(await stage.checker.contents(yours.id), yours.contents);
    const reason = { type: 'Unexpected', message: 'enough' };
    assert.equal(await answer(controlQueue, 'failUnmanage', { volumeId: mine.id, owner, reason }), 'done');
  });

  test('cannot have it done by the clean-up, the repair or the end of a kept source either', async () => {
    const { id, contents } = await stage.volume();
    const old = await everything();
    const at = { backEnd: server1, deviceName: deviceName({ id, nameId: null }) };
    const migrationId = randomUUID();
    const left = { ...at, volumeId: id, exportName: `migration-${migrationId}`, migrationId, identity: null };
    const started = [
      await stage.client.workflow.start('cleanUp', {
        taskQueue: controlQueue,
        workflowId: `clean-up-${migrationId}`,
        args: [
          {
            volumeId: id,
            after: 'nothing',
            steps: [
              { kind: 'retireSource', ...left, deviceName: deviceName({ id: randomUUID(), nameId: null }) },
              { kind: 'deleteDestination', ...at, migrationId },
              { kind: 'disownVolume', backEnd: server1, volumeId: id, name: null },
            ],
          },
        ],
      }),
      await stage.client.workflow.start('expireKeptSource', {
        taskQueue: controlQueue,
        workflowId: `kept-source-${migrationId}`,
        args: [left],
      }),
      await stage.client.workflow.start('repairVolume', {
        taskQueue: controlQueue,
        workflowId: `repair-${id}`,
        args: [{ claim: { volumeId: id, migrationId, owner: `migrate-${id}/${randomUUID()}`, epoch: 1 } }],
      }),
    ];
    const [cleanUp, ...others] = started;
    for (const each of others) await each.result();
    await poll(async () => ((await cleanUp!.fetchHistory()).events ?? []).some((e) => e.timerStartedEventAttributes));
    await cleanUp!.terminate();
    assert.deepEqual(await everything(), old);
    assert.equal(await stage.checker.contents(id), contents);
  });
});
