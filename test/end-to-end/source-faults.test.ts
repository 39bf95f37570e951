import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setStage, type NodeStage } from './stage.ts';

let stage: NodeStage;
before(async () => {
  // Over TLS, as between machines: nothing of a fault may look different then.
  stage = await setStage({ nodeTimeoutSeconds: 120, noProgressSeconds: 30, tls: true });
});
after(() => stage?.strike());

describe('the source fails in mid-copy', () => {
  test('a bad block: the volume stays where it is', async () => {
    const { id, handle, source, old } = await stage.midCopy();
    await stage.nodes.fault(...source, { kind: 'error-at', byte: 505 * 1024 ** 2 });
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'SourceReadFailed');
    await stage.nodes.fault(...source, { kind: 'heal' });
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('it hangs: the volume is free again, and its export goes when it answers', async () => {
    const { id, handle, source, old } = await stage.midCopy();
    await stage.nodes.fault(...source, { kind: 'hang' });
    assert.equal(await stage.outcome(handle), 'NoProgress');
    await stage.nodes.fault(...source, { kind: 'heal' });
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('its export dies: it is exported again and the copy goes on', async () => {
    const { id, handle, moved } = await stage.midCopy();
    const { stdout: server } = await stage.nodes.exec('server1', ['pgrep', '--list-full', '--exact', 'qemu-nbd']);
    assert.match(server, /--tls-creds/);
    await stage.nodes.exec('server1', ['pkill', '-KILL', '-x', 'qemu-nbd']);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('its node loses power and comes back: the copy goes on', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.nodes.powerOff('server1');
    await stage.nodes.powerOn('server1');
    await stage.storage['server1']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});
