import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { poll, server2, setStage, type NodeStage } from './stage.ts';

let stage: NodeStage;
before(async () => {
  // On a busy machine a node that is well has been seen to rest for half a minute.
  stage = await setStage({ nodeTimeoutSeconds: 120, noProgressSeconds: 60 });
});
after(() => stage?.strike());

/** What the node reported last may be from when it was full. */
async function untilItSaysThatThereIsRoom(): Promise<void> {
  await poll(async () => (await told()).freeBytes > 1024 ** 3);
}

/** What the destination's node reported last of its back end. */
async function told(): Promise<{ freeBytes: number; state: string }> {
  const { stdout } = await stage.ferry('host', 'list', '--json');
  const all = JSON.parse(stdout) as { name: string; freeBytes: number; state: string }[];
  return all.find(({ name }) => name === server2)!;
}

// Each has a device of its own, and two copy at once. One that hangs is by itself: it holds up others of its node.
describe('the device of the destination fails', { concurrency: 3 }, () => {
  test('a bad block in mid-copy: the volume stays where it is', async () => {
    const { id, handle, old } = await stage.midCopy();
    await stage.nodes.fault(...(await stage.destinationOf(handle)), { kind: 'error-at', byte: 40 * 1024 ** 2 });
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'DestinationWriteFailed');
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('writes that vanish without an error are found when the destination is read back', async () => {
    const { id, handle, old } = await stage.midCopy();
    await stage.nodes.fault(...(await stage.destinationOf(handle)), { kind: 'drop-writes' });
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'ChecksumMismatch');
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });
});

describe('the destination fails', () => {
  test('it hangs in mid-copy: the volume is free at once, the unfinished device goes when it answers', async () => {
    const { id, handle, old } = await stage.midCopy();
    const destination = await stage.destinationOf(handle);
    await stage.nodes.fault(...destination, { kind: 'hang' });
    assert.equal(await stage.outcome(handle), 'NoProgress');
    await stage.nodes.fault(...destination, { kind: 'heal' });
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('its node loses power in mid-copy and comes back: the copy goes on', async () => {
    const { id, handle, moved } = await stage.midCopy();
    await stage.nodes.powerOff('server2');
    await stage.nodes.powerOn('server2');
    await stage.storage['server2']!.start();
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
  });

  test('its node stays away: the volume is free again, the device goes when the node is back', async () => {
    // Longer than any step before takes on a busy machine: each has this time.
    const { id, handle, old } = await stage.midCopy({ nodeTimeoutSeconds: 45 });
    await stage.nodes.powerOff('server2');
    assert.equal(await stage.outcome(handle), 'NodeUnavailable');
    await stage.nodes.powerOn('server2');
    await stage.storage['server2']!.start();
    await stage.checker.assertAt(id, { ...old, outcome: 'error' });
  });

  test('it is full, though it said that there was room: nothing is left', async () => {
    const { id, contents } = await stage.volume();
    await stage.nodes.exec('server2', [
      'lvcreate',
      '-qq',
      '-y',
      '-Wn',
      '-Zn',
      '-l',
      '100%FREE',
      '-n',
      'foreign',
      'lvmstorage-2',
    ]);
    try {
      assert.equal(await stage.attempt(id), 'InsufficientSpace');
      await stage.checker.assertAt(id, { host: 'server1@lvmstorage-1', contents });
    } finally {
      await stage.nodes.exec('server2', ['lvremove', '-qq', '-f', 'lvmstorage-2/foreign']);
      await untilItSaysThatThereIsRoom();
    }
  });

  test('its volume group is gone: the volume stays where it is', async () => {
    const { id, contents } = await stage.volume();
    await stage.nodes.exec('server2', ['vgrename', '-qq', 'lvmstorage-2', 'elsewhere']);
    try {
      // Before its node has told of it a migration would be begun, and how that ends depends on how often it can be tried.
      await poll(async () => (await told()).state === 'down');
      // Nothing is free on what is not there: a second reason beside the first.
      assert.match(await stage.attempt(id), /^(MigrationRefused: )?BackEndDown\b/);
      await stage.checker.assertAt(id, { host: 'server1@lvmstorage-1', contents });
    } finally {
      await stage.nodes.exec('server2', ['vgrename', '-qq', 'elsewhere', 'lvmstorage-2']);
    }
  });
});
