import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { messages } from '../../model/messages.ts';
import { setStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory' });
});
after(() => stage?.strike());

describe('a cancel goes back', () => {
  test('while the destination is prepared', async () => {
    const { id, contents } = await stage.volume();
    await stage.storage['server2']!.signal('SIGSTOP');
    const handle = await stage.migrate(id);
    await handle.executeUpdate(messages.cancelMigration);
    await stage.storage['server2']!.signal('SIGCONT');
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { host: 'server1@lvmstorage-1', contents, outcome: 'cancelled' });
  });

  test('in mid-copy', async () => {
    const { id, handle, old } = await stage.midCopy();
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { ...old, outcome: 'cancelled' });
  });

  test("in mid-copy by the Web UI's own cancel", async () => {
    const { id, handle, old } = await stage.midCopy();
    await handle.cancel();
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { ...old, outcome: 'cancelled' });
  });

  test('while it is paused', async () => {
    const { id, handle, old } = await stage.midCopy();
    await handle.executeUpdate(messages.pauseMigration);
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { ...old, outcome: 'cancelled' });
  });
});

describe('a running copy is steered', () => {
  test('paused, it holds no copier; resumed, it goes on', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await handle.executeUpdate(messages.pauseMigration);
    await stage.untilIdle(handle);
    await handle.executeUpdate(messages.resumeMigration);
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('a malformed cap is refused and changes nothing', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await assert.rejects(
      handle.executeUpdate(messages.setBandwidth, { args: ['fast'] }),
      (error: Error & { cause?: { type?: string } }) => {
        assert.equal(error.cause?.type, 'InvalidInput');
        return true;
      },
    );
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('a volume on its way is not migrated a second time', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await assert.rejects(stage.migrate(id));
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});
