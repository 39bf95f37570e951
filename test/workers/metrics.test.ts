import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { messages } from '../../model/messages.ts';
import { metrics } from '../../model/metrics.ts';
import { deviceName, migrationWorkflowId } from '../../model/names.ts';
import { reportComputeNode } from '../../registry/compute-nodes.ts';
import { noColumns } from '../../registry/rows.ts';
import { openRegistry } from '../../registry/open-registry.ts';
import { startPrometheus, type Prometheus } from '../../testbed/prometheus.ts';
import { startSystem, type PlainSystem } from '../../testbed/system.ts';
import { startReceiver, type EventReceiver } from '../end-to-end/event-receiver.ts';

const source = 'server1@lvmstorage-1';
const destination = 'server2@lvmstorage-2';
const gib = 1024 ** 3;
const dataMib = 16;

let directory: string;
let system: PlainSystem;
let volumeId: string;
/** Refuses the first event for good: that a volume was made. */
let receiver: EventReceiver;
let prometheus: Prometheus;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ferry-metrics-'));
  receiver = await startReceiver();
  receiver.answers = [410];
  system = await startSystem({ directory, backing: 'directory', webhooks: [await receiver.webhook('billing')] });
  const targets = Object.values(system.metricsUrls).map((url) => new URL(url).host);
  const rules = join(root, 'docs/monitoring/alert-rules.yaml');
  prometheus = await startPrometheus(join(directory, 'prometheus'), targets, rules);
  volumeId = await moveAVolume();
});
after(async () => {
  await prometheus?.stop();
  await system?.stop();
  await receiver?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** A migration that refuses an operation, hears a signal that it cannot understand, and succeeds; another that is refused; a repair. */
async function moveAVolume(): Promise<string> {
  const { stdout } = await system.ferry('--json', 'create', '--size', '1', '--host', source);
  const { id } = JSON.parse(stdout) as { id: string };
  const file = join(directory, 'nodes/server1/lvmstorage-1/volumes', deviceName({ id, nameId: null }));
  const device = await open(file, 'r+');
  await device.write(randomBytes(dataMib * 1024 ** 2));
  await device.close();
  await ferry('migrate', '--detach', '--bandwidth', '1MiB/s', id, destination);
  const connection = await Connection.connect({ address: system.temporal.address });
  try {
    const migration = new Client({ connection }).workflow.getHandle(migrationWorkflowId(id));
    const ticket = { requestId: 'one', operation: 'attach', volumeId: id, requestedBy: 'a service' };
    await migration.signal(messages.operationRequested, ticket);
    await migration.signal(messages.operationRequested, 'nonsense');
    await ferry('migration', 'set-bandwidth', id, 'unlimited');
    await migration.result();
  } finally {
    await connection.close();
  }
  assert.equal((await system.ferry('migrate', id, destination)).exitCode, 1);
  await ferry('repair');
  const registry = await openRegistry(system.postgres.url);
  await reportComputeNode(registry, 'hypervisor1').finally(() => registry.close());
  await until('the hypervisor', (found) => sum(found, metrics.hypervisorUp, { hypervisor: 'hypervisor1' }) === 1);
  return id;
}

async function ferry(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await system.ferry(...args);
  assert.equal(exitCode, 0, stderr);
}

/** What every worker shows, by series: `name{labels}`. */
async function scrape(): Promise<Map<string, number>> {
  const pages = await Promise.all(Object.values(system.metricsUrls).map(async (url) => (await fetch(url)).text()));
  const lines = pages.flatMap((page) => page.split('\n')).filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

const nameOf = (series: string) => series.split('{')[0]!;

/** The sum of the series with the name and all of the labels. */
function sum(found: Map<string, number>, name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return [...found]
    .filter(([series]) => nameOf(series) === name && wanted.every((label) => series.includes(label)))
    .reduce((total, [, value]) => total + value, 0);
}

/** Gauges are renewed every few seconds. Milliseconds. */
const patienceMs = 60_000;

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await holds()); await sleep(500))
    assert.ok(Date.now() < deadline, `not seen: ${what}`);
}

async function until(what: string, holds: (found: Map<string, number>) => boolean): Promise<Map<string, number>> {
  let found = new Map<string, number>();
  await eventually(what, async () => holds((found = await scrape())));
  return found;
}

const root = join(import.meta.dirname, '../..');
const monitoring = (file: string) => readFile(join(root, 'docs', file), 'utf8');

for (const file of ['monitoring/grafana-dashboard.json', 'monitoring/alert-rules.yaml']) {
  test(`the workers show every metric that ${file} uses`, async () => {
    const used = new Set((await monitoring(file)).match(/\b(ferry|temporal)_[a-z_]+/g));
    assert.ok(used.size >= 8, `only ${used.size} names found`);
    const shown = new Set([...(await scrape()).keys()].map(nameOf));
    assert.deepEqual([...used.difference(shown)], []);
  });
}

test('the dashboard has a query in every panel, and no panel twice', async () => {
  const { panels } = JSON.parse(await monitoring('monitoring/grafana-dashboard.json')) as {
    panels: { id: number; title: string; targets: { expr: string }[] }[];
  };
  assert.equal(new Set(panels.map((p) => p.id)).size, panels.length);
  for (const { title, targets } of panels) assert.ok(targets.length > 0 && targets.every((t) => t.expr !== ''), title);
});

test('a real Prometheus answers every query of the dashboard, with data once a migration was made', async () => {
  const { panels } = JSON.parse(await monitoring('monitoring/grafana-dashboard.json')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  await until('the records are counted', (now) => sum(now, metrics.migrationsEnded, { outcome: 'success' }) > 0);
  for (const { title, targets } of panels)
    for (const { expr } of targets) {
      // What Grafana puts in.
      const query = expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '5m');
      await eventually(`data for ${title}: ${query}`, async () => (await prometheus.query(query)).length > 0);
    }
});

test("every metric of Ferry's own is explained, and shown by a worker", async () => {
  const text = await monitoring('monitoring.md');
  const shown = [...(await scrape()).keys()].map(nameOf);
  for (const name of Object.values(metrics)) {
    assert.ok(text.includes(name), `docs/monitoring.md does not mention ${name}`);
    assert.ok(
      shown.some((each) => each.startsWith(name)),
      `no worker shows ${name}`,
    );
  }
});

test('migrations are counted by outcome, their refusals by operation, and their phases are timed', async () => {
  await until('the records are counted', (now) => sum(now, metrics.migrationsEnded, { outcome: 'success' }) > 0);
  const found = await scrape();
  assert.equal(sum(found, metrics.migrationsEnded, { outcome: 'success' }), 1);
  assert.equal(sum(found, metrics.migrationsEnded, { outcome: 'refused' }), 1);
  assert.equal(sum(found, metrics.migrationsEnded, { outcome: 'error' }), 0);
  assert.equal(sum(found, metrics.stepErrors, { type: 'SameBackEnd' }), 1);
  assert.equal(sum(found, metrics.operationsRefused, { operation: 'attach' }), 1);
  assert.equal(sum(found, metrics.malformedSignals), 1);
  assert.equal(sum(found, `${metrics.phaseSeconds}_count`, { phase: 'copying' }), 1);
  assert.equal(sum(found, `${metrics.phaseSeconds}_bucket`, { phase: 'claiming', le: '15' }), 2);
});

test('events that a webhook waits for, or will not get, are counted', async () => {
  const billing = { webhook: 'billing' };
  const found = await until('the dead letter', (now) => sum(now, metrics.eventsDead, billing) === 1);
  assert.equal(sum(found, metrics.eventsWaiting, billing), 0);
  receiver.isDown = true;
  await ferry('extend', volumeId, '2');
  const later = await until('one that waits', (now) => sum(now, metrics.eventsWaiting, billing) === 1);
  assert.ok(sum(later, metrics.eventsOldestSeconds, billing) > 0);
  receiver.isDown = false;
});

test('a control worker that comes back goes on with the numbers that are on record, and shows a failure of meanwhile as a rise', async () => {
  await system.control.signal('SIGKILL');
  const registry = await openRegistry(system.postgres.url);
  try {
    // As another control worker leaves it: the volume's last migration has failed.
    await registry.rows(
      noColumns,
      `INSERT INTO migrations (id, volume_id, tenant_id, requested_by, owner, epoch, source, destination, flow, phase, phases,
         total_bytes, outcome, error, finished_at)
       SELECT gen_random_uuid(), gen_random_uuid(), tenant_id, requested_by, owner, epoch, source, destination, flow, phase, phases,
         total_bytes, 'error', '{"type": "ChecksumMismatch", "message": "differs"}', now() FROM migrations LIMIT 1`,
    );
  } finally {
    await registry.close();
  }
  await system.control.start();
  const ended = (outcome: string) => (found: Map<string, number>) => sum(found, metrics.migrationsEnded, { outcome });
  const found = await until('the failure', (now) => ended('error')(now) === 1);
  assert.equal(ended('success')(found), 1);
  assert.equal(sum(found, metrics.migrationErrors, { type: 'ChecksumMismatch' }), 1);
  const wanted = ['FerryDataMismatch', 'FerryMigrationFailed'];
  await eventually('its alerts', async () => {
    const raised = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
    return wanted.every((name) => raised.some(({ labels }) => labels['alertname'] === name));
  });
  const alerts = await prometheus.alerts();
  for (const { annotations } of alerts) assert.doesNotMatch(Object.values(annotations).join(' '), /\{\{|error|NaN/);
  // The hypervisor is only a row: no worker tells that it lives.
  const known = new Set([
    ...wanted,
    'FerryHypervisorDown',
    'FerryEventsDead',
    'FerryEventsWait',
    'FerryRegistryNotDurable',
  ]);
  // One that would come up only if it stayed so is nothing yet: the reconciler's next look is up to a minute away.
  const firing = alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels['alertname']!);
  assert.deepEqual(
    firing.filter((name) => !known.has(name)),
    [],
    'nothing else is wrong here',
  );
});

test('the destination counts the bytes that it copied, holes included', async () => {
  const found = await scrape();
  assert.ok(sum(found, metrics.bytesDone, { activityType: 'pullVolume', taskQueue: 'storage:server2' }) >= gib);
});

test('the registry is seen to be up, then down, then up again with its back ends and migrations', async () => {
  await until('up', (found) => sum(found, metrics.registryUp) === 1);
  await system.postgres.crash();
  await until('down', (found) => sum(found, metrics.registryUp) === 0);
  await system.postgres.restart();
  await ferry('migrate', '--detach', '--bandwidth', '64KiB/s', volumeId, source);
  const found = await until('copying', (each) => sum(each, metrics.migrationsRunning, { phase: 'copying' }) === 1);
  assert.ok(sum(found, metrics.oldestMigrationSeconds) > 0);
  assert.equal(sum(found, metrics.registryUp), 1);
  assert.equal(sum(found, metrics.backEndTotalBytes, { back_end: destination }), 8 * gib);
  assert.equal(sum(found, metrics.backEndFreeBytes, { back_end: destination }), 6 * gib);
  assert.equal(sum(found, metrics.backEndUp, { back_end: source }), 1);
  await ferry('migration', 'cancel', volumeId);
});
