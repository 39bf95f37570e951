import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory' });
});
after(() => stage?.strike());

describe('a service is killed in mid-copy', () => {
  test('Temporal: the migration goes on when it is back', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.temporal.crash();
    await stage.temporal.restart();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('Postgres: the migration goes on when it is back', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.postgres.crash();
    await stage.postgres.restart();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});

describe('the control worker is killed', () => {
  const restartControl = async () => {
    await stage.control.signal('SIGKILL');
    await stage.control.start();
  };

  test('while the destination is prepared', async () => {
    const { id, contents } = await stage.volume();
    await stage.storage['server2']!.signal('SIGSTOP');
    const handle = await stage.migrate(id);
    await stage.untilPhase(handle, 'preparing');
    await restartControl();
    await stage.storage['server2']!.signal('SIGCONT');
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, { host: 'server2@lvmstorage-2', contents, outcome: 'success' });
  });

  test('in mid-copy', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await restartControl();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('while the destination is verified', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.untilPhase(handle, 'verifying');
    await restartControl();
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('around the switch', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.hurry(handle);
    await stage.untilPhase(handle, 'switching');
    await restartControl();
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('after the switch, while the source is cleaned up; a cancel is refused then', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.storage['server1']!.signal('SIGSTOP');
    await stage.hurry(handle);
    await stage.untilPhase(handle, 'cleaning-up');
    await assert.rejects(handle.executeUpdate('cancelMigration'), (error: Error & { cause?: { type?: string } }) => {
      assert.equal(error.cause?.type, 'PastPointOfNoReturn');
      return true;
    });
    await restartControl();
    await stage.storage['server1']!.signal('SIGCONT');
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });
});
