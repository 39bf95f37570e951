import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { controlQueue, reconcileSchedule } from '../../model/names.ts';
import { searchAttributes } from '../../model/search-attributes.ts';
import { createControlWorker } from '../../workers/control.ts';
import { controlVersions } from '../../workers/deployment.ts';
import { startTemporal, type EmbeddedTemporal } from '../../workers/embedded/temporal.ts';
import { keepNamespace } from '../../workers/keep-namespace.ts';
import { installRuntime } from '../../workers/runtime.ts';
import { testRegistry } from '../registry/database.ts';

const namespace = 'default';

describe('what Ferry needs in Temporal', () => {
  let directory: string;
  let temporal: EmbeddedTemporal;
  let connection: NativeConnection;
  let client: Client;
  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'ferry-namespace-'));
    installRuntime({ logLevel: 'error' });
    temporal = await startTemporal({ directory });
    connection = await NativeConnection.connect({ address: temporal.address });
    client = new Client({ connection, namespace });
  });
  after(async () => {
    await connection?.close();
    await temporal?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const hasSchedule = () =>
    client.schedule
      .getHandle(reconcileSchedule)
      .describe()
      .then(
        () => true,
        () => false,
      );
  async function until(what: () => Promise<boolean>): Promise<void> {
    while (!(await what())) await sleep(50);
  }

  test('is there again after somebody has removed it', async () => {
    const warnings: unknown[] = [];
    const log = { warn: (about: unknown) => void warnings.push(about) };
    const keeping = await keepNamespace({ connection, namespace, log, everyMs: 100 });
    try {
      assert.ok(await hasSchedule());
      await client.schedule.getHandle(reconcileSchedule).delete();
      await until(hasSchedule);
      const attributes = Object.values(searchAttributes);
      await connection.operatorService.removeSearchAttributes({ namespace, searchAttributes: [attributes[0]!] });
      await until(async () => {
        const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
        return attributes.every((name) => name in (customAttributes ?? {}));
      });
      assert.deepEqual(warnings, []);
    } finally {
      keeping.stop();
    }
  });

  test('stays as it is: a schedule that is paused is not made anew', async () => {
    const handle = client.schedule.getHandle(reconcileSchedule);
    await handle.pause('by hand');
    const keeping = await keepNamespace({ connection, namespace, everyMs: 20 });
    await sleep(200);
    keeping.stop();
    assert.equal((await handle.describe()).state.paused, true);
  });

  test('is there again, the current version too, when Temporal comes back with an empty database', async () => {
    const deployment = { name: 'ferry-test', buildId: 'one' };
    const registry = await testRegistry();
    const control = await createControlWorker({
      connection,
      namespace,
      registry,
      orphanGraceSeconds: 3600,
      deployment,
      lookEveryMs: 500,
    });
    const run = control.run();
    const isCurrent = async () =>
      (await controlVersions(client, namespace, deployment).catch(() => [])).some(({ state }) => state === 'current');
    try {
      await until(isCurrent);
      await temporal.stop();
      for (const name of await readdir(directory))
        if (name.startsWith('temporal.db')) await rm(path.join(directory, name));
      await temporal.restart();
      await until(hasSchedule);
      await until(isCurrent);
      // Whoever is asked now answers: the schedule's own workflow.
      const report = await client.workflow.execute('reconcile', {
        taskQueue: controlQueue,
        workflowId: 'reconcile-now',
        args: [{ dryRun: true }],
      });
      assert.equal((report as { dryRun: boolean }).dryRun, true);
    } finally {
      control.stop();
      await run;
    }
  });
});
