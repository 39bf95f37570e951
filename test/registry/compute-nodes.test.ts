import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { forgetComputeNode, hasComputeWorker, reportComputeNode } from '../../registry/compute-nodes.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import { ferryError } from './world.ts';

describe('a hypervisor that is declared gone', () => {
  let registry: Registry;
  beforeEach(async () => {
    registry = await testRegistry();
    for (const name of ['hv1', 'hv2']) await reportComputeNode(registry, name);
  });
  const silence = (name: string) =>
    registry.rows(noColumns, `UPDATE compute_nodes SET heartbeat_at = now() - interval '1 minute' WHERE name = $1`, [
      name,
    ]);

  test('is not while its worker is heard of', async () => {
    await assert.rejects(forgetComputeNode(registry, 'hv1'), ferryError('VolumeInUse'));
    assert.equal(await hasComputeWorker(registry, 'hv1'), true);
  });

  test('is forgotten, again and again, and no other one', async () => {
    await silence('hv1');
    for (let times = 0; times < 2; times += 1) await forgetComputeNode(registry, 'hv1');
    assert.deepEqual(await Promise.all(['hv1', 'hv2'].map((name) => hasComputeWorker(registry, name))), [false, true]);
  });

  test('is a new one when it reports again', async () => {
    await silence('hv1');
    await forgetComputeNode(registry, 'hv1');
    await reportComputeNode(registry, 'hv1');
    await assert.rejects(forgetComputeNode(registry, 'hv1'), ferryError('VolumeInUse'));
  });
});
