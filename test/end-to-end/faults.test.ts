import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deviceName } from '../../model/names.ts';
import { server1, server2, setStage, slowly, type Stage } from './stage.ts';

let stage: Stage & { strike(): Promise<void> };
before(async () => {
  stage = await setStage({ nodeTimeoutSeconds: 60 });
});
after(() => stage?.strike());

/** A slow migration that is in the middle of its copy. */
async function midCopy() {
  const { id, contents } = await stage.volume();
  const handle = await stage.migrate(id, { bandwidth: slowly });
  await stage.untilCopied(handle, 8 * 1024 ** 2);
  return { id, contents, handle, old: { host: server1, contents, outcome: 'error' }, moved: { host: server2, contents, outcome: 'success' } };
}

describe('a worker dies in mid-copy', () => {
  test('the destination worker, killed: its next start goes on with the copy', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.storage['server2']!.signal('SIGKILL');
    await stage.storage['server2']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('the source worker, killed: the copy goes on, the rest waits for it', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.storage['server1']!.signal('SIGKILL');
    await stage.storage['server1']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});

describe('a service dies in mid-copy', () => {
  test('Temporal, restarted', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.temporal.crash();
    await stage.temporal.restart();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('Postgres, restarted', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.postgres.crash();
    await stage.postgres.restart();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});

describe('the source fails in mid-copy', () => {
  const source = ({ id }: { id: string }) => ['server1', 'lvmstorage-1', deviceName({ id, nameId: null })] as const;

  test('its export dies: it is exported again and the copy goes on', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.nodes.exec('server1', ['pkill', '-KILL', '-x', 'qemu-nbd']);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('a bad block: back to the source', async () => {
    const m = await midCopy();
    await stage.nodes.fault(...source(m), { kind: 'error-at', byte: 995 * 1024 ** 2 });
    assert.equal(await stage.outcome(m.handle), 'SourceReadFailed');
    await stage.nodes.fault(...source(m), { kind: 'heal' });
    await stage.checker.assertAt(m.id, m.old);
  });

  test('every read an I/O error: back to the source', async () => {
    const m = await midCopy();
    await stage.nodes.fault(...source(m), { kind: 'error' });
    assert.equal(await stage.outcome(m.handle), 'SourceReadFailed');
    await stage.nodes.fault(...source(m), { kind: 'heal' });
    await stage.checker.assertAt(m.id, m.old);
  });

  test('the node loses power and comes back: the copy goes on', async () => {
    const { id, handle, moved } = await midCopy();
    await stage.nodes.powerOff('server1');
    await stage.nodes.powerOn('server1');
    await stage.storage['server1']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});
