import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { messages } from '../../model/messages.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { migrationWorkflowId } from '../../model/names.ts';
import { server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const sizeMib = 24 * 1024;
const nodes = [
  { name: 'server1', volumeGroups: [{ name: 'lvmstorage-1', sizeMib, capabilities: { media: 'hdd' } }] },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib, capabilities: { media: 'ssd' } }] },
];

describe('a retype that has to move the volume', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage({ backing: 'directory', nodes });
    await ferry('type', 'create', 'fast', '--spec', 'media=ssd');
    await ferry('type', 'create', 'slow', '--spec', 'media=hdd');
  });
  after(() => stage?.strike());
  const { ferry, refused } = stageCli(() => stage);

  const retype = (id: string, ...more: string[]) =>
    ferry('retype', id, 'fast', '--migration-policy', 'on-demand', ...more);
  const typeOf = async (id: string) => (await ferry('show', id))['volume_type'];
  const change = async (id: string) => {
    const { oldType, newType } = await ferry<MigrationRecord>('migration', 'show', id);
    return [oldType, newType];
  };

  /** A volume of type slow in the middle of its way to become fast. */
  async function midRetype() {
    const { id, contents } = await stage.volume();
    await ferry('retype', id, 'slow');
    await retype(id, '--bandwidth', '1MiB/s', '--detach');
    const handle = stage.client.workflow.getHandle(migrationWorkflowId(id));
    await stage.untilCopied(handle);
    return { id, contents, handle };
  }

  test('moves the bytes and changes the type with the switch; cancelled, it leaves both', async () => {
    const { id, contents, handle } = await midRetype();
    assert.equal(await typeOf(id), 'slow');
    for (const [type, command] of [
      ['VolumeTypeInUse', ['type', 'delete', 'fast']],
      ['VolumeTypeInUse', ['type', 'unset', 'fast', 'media']],
      ['VolumeMigrating', ['retype', id, 'slow', '--migration-policy', 'on-demand']],
    ] as const)
      assert.equal((await refused(...command)).type, type);
    const asTenant = await refused('retype', id, 'slow', '--as', 'tenant-1');
    assert.equal(asTenant.type, 'VolumeMigrating');
    assert.doesNotMatch(JSON.stringify(asTenant), /server[12]|migrate|phase/);
    await handle.executeUpdate(messages.cancelMigration);
    assert.equal(await stage.outcome(handle), 'CancelledFailure');
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'cancelled' });
    assert.deepEqual([await typeOf(id), await change(id)], ['slow', ['slow', 'fast']]);

    await retype(id);
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
    assert.equal(await typeOf(id), 'fast');
    assert.equal((await refused('migrate', id, server1)).type, 'CapabilityMissing');
  });

  test('goes on when the control worker is killed in mid-copy', async () => {
    const { id, contents, handle } = await midRetype();
    await stage.control.signal('SIGKILL');
    await stage.control.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
    assert.deepEqual([await typeOf(id), await change(id)], ['fast', ['slow', 'fast']]);
  });

  test('without a destination a volume goes to where it may be, or is refused with why it can go nowhere', async () => {
    const { id, contents } = await stage.volume();
    const plan = await ferry<{ facts: { destinationName: string } }>('migrate', id, '--auto', '--dry-run');
    assert.equal(plan.facts.destinationName, server2);
    await ferry('migrate', id, '--auto');
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
    await ferry('retype', id, 'fast');
    const { type, message } = await refused('migrate', id, '--auto');
    assert.equal(type, 'CapabilityMissing');
    assert.match(message, /can go nowhere: no other enabled, running back end/);
  });
});
