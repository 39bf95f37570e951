import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setStage, type NodeStage } from './stage.ts';

let stage: NodeStage;
before(async () => {
  stage = await setStage();
});
after(() => stage?.strike());

describe('a storage worker is killed in mid-copy', () => {
  test('the destination worker: its next start goes on with the copy', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.storage['server2']!.signal('SIGKILL');
    await stage.storage['server2']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('the source worker: the copy goes on, the rest waits for its next start', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.storage['server1']!.signal('SIGKILL');
    await stage.storage['server1']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});
