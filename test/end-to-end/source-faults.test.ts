import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exportServers } from './export-servers.ts';
import { setStage, type NodeStage, type Stage } from './stage.ts';

let stage: NodeStage;
before(async () => {
  stage = await setStage({ nodeTimeoutSeconds: 120, noProgressSeconds: 30 });
});
after(() => stage?.strike());

describe('the source fails in mid-copy', () => {
  test('a bad block: the volume stays where it is', async () => {
    const { id, handle, source, old } = await stage.midCopy();
    await stage.nodes.fault(...source, { kind: 'error-at', byte: 40 * 1024 ** 2 });
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

// Over TLS the end of a connection is another one. With directories: user-mode-linux needs half a minute for 1 GiB over TLS.
describe('over TLS', () => {
  let secured: Stage;
  before(async () => {
    secured = await setStage({ backing: 'directory', tls: true });
  });
  after(() => secured?.strike());

  test("the source's export dies in mid-copy: it is exported again and the copy goes on", async () => {
    const { id, handle, moved } = await secured.midCopy();
    const server = (await exportServers(secured.directory))[0]!;
    assert.ok(
      server.argv.some((argument) => argument.startsWith('--tls-directory=')),
      'it is exported over TLS',
    );
    assert.ok(server.argv.includes('--peers=server2'), 'to the node that copies, and to nobody else');
    process.kill(server.pid, 'SIGKILL');
    await secured.hurry(handle);
    assert.equal(await secured.outcome(handle), 'success');
    await secured.checker.assertAt(id, moved);
  });
});
