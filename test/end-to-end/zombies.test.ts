import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processWorker, type ManagedWorker } from '../../testbed/process-worker.ts';
import { holdSwitch } from './hold-switch.ts';
import { server1, server2, setStage, slowly, type Stage } from './stage.ts';

/** Long enough for a worker that wakes up to finish, or to fail at, whatever it was at. Milliseconds. */
const wakingMs = 5_000;

let stage: Stage;
before(async () => {
  stage = await setStage({ backing: 'directory' });
});
after(() => stage?.strike());

const twins: ManagedWorker[] = [];
afterEach(async () => {
  for (const twin of twins.splice(0)) await twin.signal('SIGKILL');
});

/** A second worker with the configuration of one that is suspended. */
async function twinOf(kind: 'control' | 'storage', file: string): Promise<void> {
  const { metricsAddress: _, ...configuration } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const own = join(stage.directory, `twin-${kind}.json`);
  await writeFile(own, JSON.stringify(configuration));
  const twin = processWorker(['worker', kind], { ...stage.env, FERRY_CONFIG: own }, own.replace('.json', '.log'));
  twins.push(twin);
  await twin.start();
}

const twinOfNode = (name: string) => twinOf('storage', join(stage.directory, 'nodes', name, 'ferry.json'));

/** Suspended past its heartbeats, its work done by another, it wakes up: by then a tenant has written to the volume. */
async function wake(worker: ManagedWorker, id: string, host: string): Promise<void> {
  const written = await stage.checker.fill(id);
  await worker.signal('SIGCONT');
  await sleep(wakingMs);
  await stage.checker.assertAt(id, { host, contents: written, outcome: 'success' });
}

describe('a worker that was suspended while another one did its work harms nothing when it wakes up', () => {
  test("the destination's, in mid-copy", async () => {
    const { id, handle, moved } = await stage.midCopy();
    const zombie = stage.storage['server2']!;
    await zombie.signal('SIGSTOP');
    await twinOfNode('server2');
    await stage.hurry(handle);
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
    await wake(zombie, id, server2);
  });

  test("the source's, when its device is to be deleted; the volume has come back by then", async () => {
    const { id, handle, moved } = await stage.midCopy({ bandwidth: 4 * slowly });
    const zombie = stage.storage['server1']!;
    // The source is asked until the switch.
    const release = await holdSwitch(stage, id, handle);
    await zombie.signal('SIGSTOP');
    await release();
    await stage.untilPhase(handle, 'cleaning-up');
    await twinOfNode('server1');
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
    assert.equal(await stage.outcome(await stage.migrate(id, { destination: server1 })), 'success');
    await wake(zombie, id, server1);
  });

  test('the control worker, before the switch', async () => {
    const { id, handle, moved } = await stage.midCopy();
    const zombie = stage.control;
    await zombie.signal('SIGSTOP');
    await twinOf('control', join(stage.directory, 'control.json'));
    // Temporal gives a suspended worker's task to another one after ten seconds.
    for (let tries = 0; ; tries += 1) {
      try {
        await stage.hurry(handle);
        break;
      } catch (error) {
        if (tries === 5) throw error;
      }
    }
    assert.equal(await stage.outcome(handle), 'success');
    await stage.checker.assertAt(id, moved);
    await wake(zombie, id, server2);
  });
});
