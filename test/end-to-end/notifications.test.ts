import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Delivery } from '../../model/event.ts';
import { deliveryWorkflowId } from '../../model/names.ts';
import { startReceiver, type EventReceiver } from './event-receiver.ts';
import { poll, server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

describe('what happens is told', () => {
  let stage: Stage;
  let billing: EventReceiver;
  let cinderReader: EventReceiver;
  before(async () => {
    billing = await startReceiver();
    cinderReader = await startReceiver();
    const webhooks = [
      await billing.webhook('billing'),
      await cinderReader.webhook('cinder-reader', { data: 'oslo', kinds: ['migrate', 'delete'] }),
    ];
    stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 60, webhooks });
  });
  after(async () => {
    await stage?.strike();
    await billing?.[Symbol.asyncDispose]();
    await cinderReader?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    billing.isDown = false;
  });
  const { ferry, refused, create } = stageCli(() => stage);

  const typesOf = (id: string) => billing.received.filter(({ subject }) => subject === id).map(({ type }) => type);
  /** The types of what came of a volume, each once: a repeat is the same event. */
  const eachOf = (id: string) => {
    const its = billing.received.filter(({ subject }) => subject === id);
    return [...new Map(its.map((each) => [each.id, each.type])).values()];
  };
  const listed = async (id: string) => (await ferry<Delivery[]>('event', 'list')).filter((d) => d.subject === id);

  test('to each webhook what it wants, in its form, in order', async () => {
    const id = await create();
    await ferry('migrate', id, server2);
    await ferry('delete', id);
    await poll(async () => typesOf(id).length >= 3);
    assert.deepEqual(typesOf(id), [
      'ferry.volume.create.success',
      'ferry.volume.migrate.success',
      'ferry.volume.delete.success',
    ]);
    const [, moved, gone] = billing.received.filter(({ subject }) => subject === id);
    const { source, destination, proof } = moved!.data.migration;
    assert.deepEqual([source, destination, proof, moved!.data.volume.host], [server1, server2, 'both', server2]);
    assert.equal(gone!.data.volume.host, server2);

    await poll(async () => cinderReader.received.length >= 2);
    const read = cinderReader.received.map(({ data }) => [data.event_type, data.payload['volume_id']]);
    assert.deepEqual(read, [
      ['volume.migrate.end', id],
      ['volume.delete.end', id],
    ]);
    await poll(async () => (await listed(id)).length === 0);
    const all = await ferry<Delivery[]>('event', 'list', '--all', '--webhook', 'billing');
    assert.deepEqual(
      all.filter(({ subject }) => subject === id).map(({ state }) => state),
      Array(3).fill('delivered'),
    );
  });

  test('when the receiver is back, all of it and in order, though a control worker died meanwhile', async () => {
    billing.isDown = true;
    const id = await create();
    await poll(async () => billing.refused.some(({ subject }) => subject === id));
    await stage.control.signal('SIGKILL');
    await stage.control.start();
    await ferry('extend', id, '128MiB');
    await ferry('migrate', id, server2);
    await poll(async () => (await listed(id)).length === 3);
    const [, , first] = await listed(id);
    assert.deepEqual([first!.kind, first!.state], ['create', 'waiting']);
    assert.match(first!.problem!, /it answered 503/);
    assert.deepEqual(typesOf(id), []);
    billing.isDown = false;
    await ferry('event', 'retry', '--webhook', 'billing');
    await poll(async () => (await listed(id)).length === 0);
    assert.deepEqual(eachOf(id), [
      'ferry.volume.create.success',
      'ferry.volume.extend.success',
      'ferry.volume.migrate.success',
    ]);
  });

  test('what it refuses for good is a dead letter, holds nothing back, and can be told again', async () => {
    billing.answers = [422];
    const id = await create();
    await poll(async () => (await listed(id)).some(({ state }) => state === 'dead'));
    await ferry('delete', id);
    // It is received a moment before that is on record.
    await poll(async () => (await listed(id)).every(({ state }) => state === 'dead'));
    assert.deepEqual(typesOf(id), ['ferry.volume.delete.success']);
    const [dead] = await listed(id);
    assert.deepEqual([dead!.kind, dead!.problem], ['create', 'it answered 422']);
    const shown = await stage.ferry('event', 'list');
    assert.match(shown.stdout, new RegExp(`${dead!.id} .* create .* ${id} .* billing .* dead .* it answered 422`));
    await ferry('event', 'retry', dead!.id);
    await poll(async () => typesOf(id).length > 1);
    assert.deepEqual(typesOf(id), ['ferry.volume.delete.success', 'ferry.volume.create.success']);
    await poll(async () => (await listed(id)).length === 0);
    assert.match((await refused('event', 'retry', dead!.id)).message, /No event .* waits or is dead/);
    assert.match((await refused('event', 'discard')).message, /name an event, a webhook, or both/);
  });

  test('a test event, to the webhook that is tried out and to nobody else', async () => {
    // What came of the tests before.
    await poll(async () => (await ferry<Delivery[]>('event', 'list')).every(({ state }) => state === 'dead'));
    const heard = cinderReader.received.length;
    const told = await ferry<Delivery>('event', 'test', 'billing');
    assert.deepEqual([told.kind, told.state, told.subject], ['test', 'delivered', 'billing']);
    const received = billing.received.find(({ id }) => id === told.id);
    assert.deepEqual(
      [received?.type, received?.data],
      ['ferry.webhook.test.success', { outcome: 'success', webhook: 'billing' }],
    );
    assert.equal(cinderReader.received.length, heard);
    // In Cinder's form, though it wants to hear of other kinds only.
    const inCinders = await ferry<Delivery>('event', 'test', 'cinder-reader');
    const read = cinderReader.received.find(({ id }) => id === inCinders.id);
    assert.deepEqual([read?.data.event_type, read?.data.payload], ['webhook.test.end', { webhook: 'cinder-reader' }]);

    billing.isDown = true;
    const down = await refused('event', 'test', 'billing');
    assert.equal(down.type, 'ToolFailed');
    assert.match(down.message, /billing did not take it: .*503/);
    assert.deepEqual(await listed('billing'), [], 'it is not tried again');
    const none = await refused('event', 'test', 'biling');
    assert.equal(none.type, 'InvalidInput');
    assert.match(none.message, /No control worker has a webhook biling\. There are: billing, cinder-reader/);
  });

  test('again after its workflow was ended from outside', async () => {
    const handle = stage.client.workflow.getHandle(deliveryWorkflowId('billing'));
    await handle.terminate('by a test');
    const id = await create();
    await poll(async () => typesOf(id).length > 0);
    assert.deepEqual(typesOf(id), ['ferry.volume.create.success']);
    assert.equal((await handle.describe()).status.name, 'RUNNING');
  });
});
