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
