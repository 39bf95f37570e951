import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NativeConnection, Worker } from '@temporalio/worker';
import { makeCertificates } from '../../testbed/certificates.ts';
import { startTemporal, type EmbeddedTemporal } from '../../workers/embedded/temporal.ts';
import { installRuntime } from '../../workers/runtime.ts';
import { watchReach } from '../../workers/temporal-reach.ts';
import { ferryIn, stopped } from '../client/cli/ferry-process.ts';
import { emptyDatabase } from '../registry/database.ts';
import { guardTemporal, type GuardedTemporal } from './guarded-temporal.ts';

let directory: string;
let temporal: EmbeddedTemporal;
let guard: GuardedTemporal;
/** Folders with an authority and certificates of its own each. */
let first: string;
let second: string;
before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'ferry-credentials-'));
  installRuntime({ logLevel: 'error' });
  temporal = await startTemporal({ directory: path.join(directory, 'temporal') });
  [first, second] = (await Promise.all(
    ['first', 'second'].map(async (name) => (await makeCertificates(path.join(directory, name))).directory),
  )) as [string, string];
  guard = await guardTemporal(temporal.address, first);
});
after(async () => {
  guard?.close();
  await temporal?.stop();
  await rm(directory, { recursive: true, force: true });
});

const pem = (folder: string, name: string) => readFile(path.join(folder, `${name}.pem`));

describe('a worker that Temporal does not let in any more', () => {
  test('knows it, also after what it is told by others; and that it is let in again', async () => {
    await guard.trust(first);
    const tls = {
      serverRootCACertificate: await pem(first, 'ca-cert'),
      clientCertPair: { crt: await pem(first, 'client-cert'), key: await pem(first, 'client-key') },
    };
    const connection = await NativeConnection.connect({ address: guard.address, tls });
    const worker = await Worker.create({
      connection,
      taskQueue: 'storage:server1',
      activities: { nothing: async () => {} },
    });
    const run = worker.run();
    const heard: (string | null)[] = [];
    const reach = await watchReach({
      connection,
      namespace: 'default',
      taskQueue: 'storage:server1',
      worker,
      slots: 5,
      onChange: (why) => heard.push(why),
      times: { lookEveryMs: 100, patienceMs: 1_000 },
    });
    try {
      await sleep(1_500);
      assert.deepEqual([reach.why(), reach.refusedForMs()], [null, 0]);
      await guard.trust(second);
      while (heard.length < 1) await sleep(50);
      assert.match(heard[0]!, /Temporal does not answer it/);
      assert.match(reach.why()!, /Temporal does not answer it/);
      await guard.trust(first);
      while (heard.length < 2) await sleep(50);
      assert.deepEqual([heard[1], reach.why(), reach.refusedForMs()], [null, null, 0]);
    } finally {
      reach.stop();
      await guard.trust(first);
      worker.shutdown();
      await run;
      await connection.close();
    }
  });

  /** Temporal, as far as one question goes, with what real pollers cannot be brought to do. */
  const answering = (pollers: () => { identity: string; lastAccessTime: { seconds: number; nanos: number } }[]) =>
    ({
      withDeadline: (_deadline: number, work: () => unknown) => work(),
      workflowService: { describeTaskQueue: async () => ({ pollers: pollers() }) },
    }) as unknown as NativeConnection;
  const watched = (connection: NativeConnection, inFlight = 0) =>
    watchReach({
      connection,
      namespace: 'default',
      taskQueue: 'storage:server1',
      worker: { options: { identity: 'me' }, getStatus: () => ({ numInFlightActivities: inFlight }) } as never,
      slots: 5,
      times: { lookEveryMs: 10, patienceMs: 100, pollsAtLeastEveryMs: 100 },
    });

  test('knows that it asks for no work, whatever others of its queue do and whatever its clock says', async () => {
    let asked = 0;
    const access = (identity: string, seconds: number) => ({ identity, lastAccessTime: { seconds, nanos: 0 } });
    const polls = await watched(answering(() => [access('me', (asked += 1)), access('other', 1)]));
    const restsNow = await watched(answering(() => [access('me', 7), access('other', (asked += 1))]));
    const isFull = await watched(
      answering(() => []),
      5,
    );
    try {
      while (restsNow.why() === null) await sleep(10);
      assert.match(restsNow.why()!, /not seen it ask for work on storage:server1/);
      assert.equal(polls.why(), null);
      assert.equal(isFull.why(), null, 'it has all the work that it can do');
    } finally {
      for (const reach of [polls, restsNow, isFull]) reach.stop();
    }
  });
});

describe('a worker whose certificate is replaced', () => {
  test('ends for its unit to start it again, when both files are there and are taken, and not before', async () => {
    await guard.trust(first);
    const folder = path.join(directory, 'client');
    await mkdir(folder);
    const use = (from: string, ...names: string[]) =>
      Promise.all(names.map((name) => copyFile(path.join(from, `${name}.pem`), path.join(folder, `${name}.pem`))));
    await use(first, 'client-cert', 'client-key');
    const backEnd = path.join(directory, 'volumes');
    await mkdir(backEnd);
    const node = {
      name: 'server1',
      stateDirectory: path.join(directory, 'state'),
      backEnds: [{ name: 'a', driver: 'directory', path: backEnd }],
    };
    const configuration = path.join(directory, 'ferry.json');
    await writeFile(configuration, JSON.stringify({ node }));
    const ferry = ferryIn({
      FERRY_CONFIG: configuration,
      FERRY_DATABASE_URL: await emptyDatabase(),
      TEMPORAL_ADDRESS: guard.address,
      TEMPORAL_TLS: 'true',
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: path.join(first, 'ca-cert.pem'),
      TEMPORAL_TLS_CLIENT_CERT_PATH: path.join(folder, 'client-cert.pem'),
      TEMPORAL_TLS_CLIENT_KEY_PATH: path.join(folder, 'client-key.pem'),
    });
    const log = path.join(directory, 'worker.log');
    const said = async (text: string) => {
      while (!(await readFile(log, 'utf8').catch(() => '')).includes(text)) await sleep(100);
    };
    const worker = ferry.worker(['worker', 'storage'], log);
    try {
      await said('"msg":"ready"');
      await use(second, 'client-cert');
      await said('are not taken yet');
      assert.equal(worker.exitCode, null);
      await use(second, 'client-key');
      const ended = once(worker, 'exit');
      await guard.trust(second);
      assert.deepEqual(await ended, [75, null]);
      await said('the worker ends, to be started again');
      await rm(log);
      const next = ferry.worker(['worker', 'storage'], log);
      await said('"msg":"ready"');
      await stopped(next);
    } finally {
      await stopped(worker);
    }
  });
});
