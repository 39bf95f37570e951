import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { freeWorkerName, holdWorkerName, type NamedWorker } from '../../registry/worker-names.ts';
import { testRegistry } from './database.ts';
import { ferryError } from './world.ts';

const first: NamedWorker = { kind: 'storage', name: 'server1', machine: 'a', hostname: 'rack1' };
const second: NamedWorker = { ...first, machine: 'b', hostname: 'rack2' };

describe("a node's name", () => {
  let registry: Registry;
  beforeEach(async () => {
    registry = await testRegistry();
    await holdWorkerName(registry, first);
  });
  const refused = (worker: NamedWorker) => assert.rejects(holdWorkerName(registry, worker), ferryError('InvalidInput'));
  const silence = () =>
    registry.rows(
      noColumns,
      "UPDATE worker_names SET heartbeat_at = now() - interval '1 minute' WHERE name = 'server1'",
    );

  test('is one machine’s, which may start again at once', async () => {
    await refused(second);
    await holdWorkerName(registry, first);
    await assert.rejects(holdWorkerName(registry, second), /taken: a storage worker on rack1, heard of \d+ s ago/);
    await holdWorkerName(registry, { ...second, kind: 'compute' });
    await holdWorkerName(registry, { ...second, name: 'server2' });
  });

  test('is another’s when its machine is not heard of any more, and then not its own', async () => {
    await silence();
    await holdWorkerName(registry, second);
    await refused(first);
  });

  test('is free at once when its worker gives it up; nobody else can do that', async () => {
    await freeWorkerName(registry, second);
    await refused(second);
    for (let times = 0; times < 2; times += 1) await freeWorkerName(registry, first);
    await holdWorkerName(registry, second);
  });

  test('is one machine’s when two ask for it at once', async () => {
    const names = Array.from({ length: 8 }, (_, i) => ({ ...first, name: 'new', machine: `m${i}` }));
    const answers = await Promise.allSettled(names.map((worker) => holdWorkerName(registry, worker)));
    assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
  });
});
