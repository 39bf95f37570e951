import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { controlQueue } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { noColumns } from '../../registry/rows.ts';
import { destination, putBackEnd, putVolume, source } from '../registry/world.ts';
import { PlayedNodes } from './played-nodes.ts';

let nodes: PlayedNodes;
before(async () => void (nodes = await PlayedNodes.start()));
after(() => nodes?.stop());

const volumeId = randomUUID();
const tenantId = 'tenant-1';
const text = 'a\0b';

/** What any service may start, with a text that Postgres cannot hold. */
const starts: [workflow: string, input: object][] = [
  ['createVolume', { volumeId, tenantId, sizeBytes: gib, backEnd: source, name: text }],
  ['createVolume', { volumeId, tenantId, sizeBytes: gib, backEnd: source, description: text }],
  ['createVolume', { volumeId, tenantId, sizeBytes: gib, backEnd: source, metadata: { [text]: 'x' } }],
  ['createVolume', { volumeId, tenantId, sizeBytes: gib, backEnd: source, metadata: { x: '\ud800' } }],
  ['migrateVolume', { volumeId, destination, requestedBy: text }],
  ['evacuateHost', { source: 'server1', requestedBy: text }],
  ['evacuateHost', { source: 'server1', reason: text }],
  ['balanceBackEnds', { zone: text }],
  ['manageVolume', { volumeId, tenantId, backEnd: source, deviceName: text }],
  ['manageVolume', { volumeId, tenantId, backEnd: source, deviceName: 'x', name: text }],
];

for (const [workflow, input] of starts)
  test(`${workflow} ends with InvalidInput for ${JSON.stringify(input).slice(-60)}`, async () => {
    const start = { taskQueue: controlQueue, workflowId: randomUUID(), args: [input] };
    await assert.rejects(nodes.client.workflow.execute(workflow, start), (error) => {
      assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure, String(error));
      assert.equal(error.cause.type, 'InvalidInput', error.cause.message);
      return true;
    });
  });

test('a text that only the registry finds wrong ends the migration: it is not tried for ever', async () => {
  for (const name of [source, destination]) await putBackEnd(nodes.registry, name);
  const id = await putVolume(nodes.registry);
  // As if a schema had forgotten a field.
  for (const statement of [
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '22021'; END $$`,
    'CREATE TRIGGER refuse BEFORE INSERT ON migrations FOR EACH ROW EXECUTE FUNCTION refuse()',
  ])
    await nodes.registry.rows(noColumns, statement);
  const migration = await nodes.migrate(id);
  await assert.rejects(migration.result(), (error) => {
    assert.ok(error instanceof WorkflowFailedError && error.cause instanceof ApplicationFailure);
    assert.equal(error.cause.type, 'Unexpected');
    return true;
  });
});
