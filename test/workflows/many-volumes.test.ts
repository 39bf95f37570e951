import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import * as z from 'zod';
import type { MovesReport } from '../../model/evacuation.ts';
import { controlQueue, evacuationWorkflowId } from '../../model/names.ts';
import { gib } from '../../model/sizes.ts';
import { findPlan } from '../../registry/move-plans.ts';
import { noColumns } from '../../registry/rows.ts';
import { eventsOfRuns } from '../../testbed/events-of-runs.ts';
import { putBackEnd } from '../registry/world.ts';
import { PlayedNodes } from './played-nodes.ts';

/**
 * How many volumes one node is emptied of, one evacuation after another. `FERRY_MANY_VOLUMES=10,100,1000,10000` shows that the cost of a
 * volume does not rise with their number; by default just enough of them for several runs of the evacuation's workflow.
 */
const counts = (process.env['FERRY_MANY_VOLUMES'] ?? '140').split(',').map(Number);

/** Migrations at once. */
const atOnce = 20;
/** What a run of the evacuation's workflow may have in its history at most. Temporal's own limit is 51,200 events. */
const mostEvents = 1000;

const [from, ...others] = ['server1@a', 'server2@a', 'server3@a'] as const;

const placesRow = z.object({ host: z.string(), volumes: z.number() });

let nodes: PlayedNodes;
let beats: NodeJS.Timeout;
before(async () => {
  nodes = await PlayedNodes.start(['server1', 'server2', 'server3']);
  beats = setInterval(() => void beat().catch(() => undefined), 5_000);
});
after(async () => {
  clearInterval(beats);
  await nodes?.stop();
});
beforeEach(async () => {
  for (const table of ['volumes', 'back_ends']) await nodes.registry.rows(noColumns, `DELETE FROM ${table}`);
  await beat();
});

async function beat(): Promise<void> {
  for (const name of [from, ...others])
    await putBackEnd(nodes.registry, name, { totalBytes: 40_000 * gib, freeBytes: 20_000 * gib });
}

for (const count of counts) {
  test(`an evacuation of ${count} volumes moves each, in runs of a bounded history`, async () => {
    await nodes.registry.rows(
      noColumns,
      `INSERT INTO volumes (id, tenant_id, size_bytes, status, host, availability_zone)
       SELECT gen_random_uuid(), 'tenant-1', 1073741824, 'available', $1, 'zone1' FROM generate_series(1, $2)`,
      [from, count],
    );
    const workflowId = evacuationWorkflowId('server1');
    const startedAt = performance.now();
    const handle = await nodes.client.workflow.start('evacuateHost', {
      workflowId,
      taskQueue: controlQueue,
      args: [
        {
          source: 'server1',
          verify: 'none',
          limits: { total: atOnce, perSourceNode: atOnce, perDestinationNode: atOnce },
        },
      ],
    });
    const report = (await handle.result()) as MovesReport;
    const seconds = (performance.now() - startedAt) / 1000;
    assert.deepEqual([report.outcome, report.tally.volumes.moved], ['emptied', count]);

    const histories = await eventsOfRuns(nodes.client, workflowId, handle.firstExecutionRunId);
    const events = histories.reduce((sum, n) => sum + n, 0);
    console.log(
      `${count} volumes in ${seconds.toFixed(1)} s: ${((1000 * seconds) / count).toFixed(0)} ms and ${(events / count).toFixed(1)} events of the evacuation a volume; ${histories.length} runs, the longest of ${Math.max(...histories)} events; control worker ${(await residentMib()).toFixed(0)} MiB`,
    );
    assert.ok(Math.max(...histories) <= mostEvents, `a run has ${Math.max(...histories)} events`);
    if (count >= 140) assert.ok(histories.length > 1, 'it went on in no new run');
    const where = await nodes.registry.rows(
      placesRow,
      'SELECT host, count(*)::integer AS volumes FROM volumes GROUP BY host ORDER BY host',
    );
    assert.deepEqual(
      where.map(({ host }) => host),
      [...others],
    );
    assert.ok(Math.abs(where[0]!.volumes - where[1]!.volumes) <= 1, JSON.stringify(where));
    assert.equal((await findPlan(nodes.registry, report.planId))?.outcome, 'emptied');
  });
}

/** What this process, in which the control worker runs, has in memory now. MiB. */
async function residentMib(): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await readFile('/proc/self/status', 'utf8'))?.[1]) / 1024;
}
