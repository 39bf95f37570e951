import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, Connection } from '@temporalio/client';
import { boundedMessages } from '../../client/bounded-messages.ts';
import { isTooLong, longestMessage } from '../../model/message-size.ts';
import { ferryError } from '../registry/world.ts';

test('a message is too long by what it holds, and too deep; what Ferry sends is neither', () => {
  const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)]);
  for (const fine of [[], [null], ['x'.repeat(longestMessage - 2)], [{ paused: true, bandwidth: 1e6 }], nested(20)])
    assert.equal(isTooLong(fine), false);
  const long: unknown[] = [
    ['x'.repeat(longestMessage)],
    [{ ['x'.repeat(longestMessage)]: 1 }],
    [Array.from({ length: longestMessage }, () => 0)],
    [new Uint8Array(longestMessage)],
    nested(5_000),
  ];
  for (const each of long) assert.equal(isTooLong(each), true);
});

test('what is too long is refused before anything is sent', async () => {
  // Nobody is there: what would be sent fails otherwise.
  const connection = Connection.lazy({ address: '127.0.0.1:1' });
  const client = new Client({ connection, interceptors: { workflow: [boundedMessages] } });
  const args: [string] = ['x'.repeat(longestMessage + 1)];
  const handle = client.workflow.getHandle('migrate-1');
  await assert.rejects(handle.signal('steerMigration', ...args), ferryError('InvalidInput'));
  await assert.rejects(handle.executeUpdate('setBandwidth', { args }), ferryError('InvalidInput'));
  const start = { workflowId: 'migrate-1', taskQueue: 'control', signal: 'steerMigration', signalArgs: args };
  await assert.rejects(client.workflow.signalWithStart('migrateVolume', start), ferryError('InvalidInput'));
  await connection.close();
});
