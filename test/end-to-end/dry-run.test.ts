import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MigrationPlan } from '../../client/migrations.ts';
import { server1, server2, setStage, type Stage } from './stage.ts';

describe('a dry run of a migration', () => {
  let stage: Stage;
  let id: string;
  let contents: string;
  before(async () => {
    // A suspended node counts as up: that it does not answer is what the dry run itself finds out.
    stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 120 });
    ({ id, contents } = await stage.volume());
  });
  after(() => stage?.strike());

  const plan = async (): Promise<MigrationPlan> => {
    const { exitCode, stdout, stderr } = await stage.ferry('migrate', id, server2, '--dry-run', '--json');
    const told = JSON.parse(stdout || '{}') as MigrationPlan;
    assert.equal(exitCode === 0, told.allowed, stderr);
    return told;
  };
  const reasons = ({ allowed, reasons: told }: MigrationPlan) => {
    assert.equal(allowed, false);
    return told.map(({ type, message }) => `${type}: ${message}`);
  };

  test('would move what can move; nothing was done', async () => {
    const { allowed, unasked } = await plan();
    assert.deepEqual([allowed, unasked], [true, null]);
    await stage.checker.assertAt(id, { host: server1, contents, outcome: [null] });
  });

  test('tells of a node that does not answer that it is silent', async () => {
    await stage.storage['server2']!.signal('SIGSTOP');
    try {
      const told = reasons(await plan());
      assert.ok(
        told.some((each) => new RegExp(`^NodeUnavailable: the node of ${server2} does not answer`).test(each)),
        told.join('\n'),
      );
    } finally {
      await stage.storage['server2']!.signal('SIGCONT');
    }
    await stage.checker.assertAt(id, { host: server1, contents, outcome: [null] });
  });
});
