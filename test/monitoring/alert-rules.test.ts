import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { parse, stringify } from 'yaml';
import * as z from 'zod';

const file = join(import.meta.dirname, '../../docs/monitoring/alert-rules.yaml');

const alertRules = z.object({
  groups: z.tuple([
    z.object({ name: z.string(), rules: z.array(z.looseObject({ alert: z.string(), annotations: z.unknown() })) }),
  ]),
});

/** What Prometheus has scraped, a sample a minute in promtool's notation, and how long that goes on. */
interface Scraped {
  why: string;
  series: Readonly<Record<string, string>>;
  /** Minutes. */
  at: number;
}

interface Rule {
  /** What must raise the alert; `labels`: with these, beside those of the rule. */
  fires: (Scraped & { labels?: Readonly<Record<string, string>> })[];
  /** What looks like it, and must not. */
  still: Scraped[];
}

const up = { 'ferry_registry_up{worker="a"}': '1x60' };
/** A counter that has stood still since a rise in the sixth minute; and one that only came back after its worker was away. */
const [rises, comesBack] = ['0x5 1x30', '3x5 _x5 3x30'];

const rules: Readonly<Record<string, Rule>> = {
  FerryControlWorkerMissing: {
    fires: [{ why: 'none is scraped', series: {}, at: 3 }],
    still: [
      { why: 'one is', series: up, at: 10 },
      { why: 'it is away for a minute', series: { ferry_registry_up: '1x3 _x1 1x10' }, at: 12 },
    ],
  },
  FerryRegistryUnreachable: {
    fires: [{ why: 'one of two does not reach it', series: { ...up, 'ferry_registry_up{worker="b"}': '0x60' }, at: 5 }],
    still: [{ why: 'a restart of Postgres', series: { ferry_registry_up: '1x3 0x0 1x10' }, at: 10 }],
  },
  FerryRegistryNotDurable: {
    fires: [{ why: 'commits can be lost', series: { ferry_registry_durable: '0x20' }, at: 10 }],
    still: [{ why: 'a standby is started anew', series: { ferry_registry_durable: '1x3 0x3 1x10' }, at: 15 }],
  },
  FerryBackEndDown: {
    fires: [
      {
        why: 'its worker is away',
        series: { 'ferry_back_end_up{back_end="n@a"}': '1x2 0x20', 'ferry_back_end_expected{back_end="n@a"}': '1x30' },
        at: 10,
        labels: { back_end: 'n@a' },
      },
    ],
    still: [
      {
        why: 'it is decommissioned',
        series: { 'ferry_back_end_up{back_end="n@a"}': '0x20', 'ferry_back_end_expected{back_end="n@a"}': '0x20' },
        at: 10,
      },
      {
        why: 'its worker is started anew',
        series: {
          'ferry_back_end_up{back_end="n@a"}': '1x2 0x0 1x9',
          'ferry_back_end_expected{back_end="n@a"}': '1x20',
        },
        at: 5,
      },
    ],
  },
  FerryHypervisorDown: {
    fires: [
      {
        why: 'its worker is away',
        series: { 'ferry_hypervisor_up{hypervisor="h"}': '0x20', 'ferry_hypervisor_expected{hypervisor="h"}': '1x20' },
        at: 10,
        labels: { hypervisor: 'h' },
      },
    ],
    still: [
      {
        why: 'it is gone for good',
        series: { 'ferry_hypervisor_up{hypervisor="h"}': '0x20', 'ferry_hypervisor_expected{hypervisor="h"}': '0x20' },
        at: 10,
      },
    ],
  },
  FerryReconcilerStopped: {
    fires: [{ why: 'no look ends', series: { ...up, ferry_reconciles_finished_total: '7x60' }, at: 25 }],
    still: [
      { why: 'one a minute ends', series: { ...up, ferry_reconciles_finished_total: '0+1x60' }, at: 30 },
      { why: 'nobody reaches the registry: that is told already', series: { ferry_registry_up: '0x60' }, at: 30 },
    ],
  },
  FerryEvacuationStalled: {
    fires: [{ why: 'one moves nothing', series: { ferry_evacuations_idle: '1x60' }, at: 40 }],
    still: [{ why: 'one waits between two moves', series: { ferry_evacuations_idle: '1x20 0x1 1x20' }, at: 40 }],
  },
  FerryEventsWait: {
    fires: [
      {
        why: 'the oldest waits and waits',
        series: { 'ferry_events_oldest_seconds{webhook="w"}': '0+60x40' },
        at: 20,
        labels: { webhook: 'w' },
      },
    ],
    still: [
      { why: 'the receiver is away for ten minutes', series: { ferry_events_oldest_seconds: '0+60x10 0x20' }, at: 25 },
    ],
  },
  FerryEventsDead: {
    fires: [
      { why: 'one is', series: { 'ferry_events_dead{webhook="w"}': '0x2 1x20' }, at: 10, labels: { webhook: 'w' } },
    ],
    still: [{ why: 'none is any more', series: { ferry_events_dead: '1x2 0x20' }, at: 10 }],
  },
  FerryNeedsRepair: {
    fires: [
      {
        why: 'a device does not fit',
        series: { 'ferry_discrepancies{back_end="n@a"}': '1x20' },
        at: 10,
        labels: { back_end: 'n@a' },
      },
    ],
    still: [{ why: 'one look saw what the next one did not', series: { ferry_discrepancies: '0x3 1x1 0x9' }, at: 10 }],
  },
  FerryBackEndNearlyFull: {
    fires: [
      {
        why: 'four of a hundred are left',
        series: {
          'ferry_back_end_free_bytes{back_end="n@a"}': '4x60',
          'ferry_back_end_total_bytes{back_end="n@a"}': '100x60',
        },
        at: 30,
        labels: { back_end: 'n@a' },
      },
    ],
    still: [
      { why: 'six are', series: { ferry_back_end_free_bytes: '6x60', ferry_back_end_total_bytes: '100x60' }, at: 30 },
      {
        why: 'it is down and says nothing',
        series: { ferry_back_end_free_bytes: '0x60', ferry_back_end_total_bytes: '0x60' },
        at: 30,
      },
    ],
  },
  FerryDataMismatch: {
    fires: [{ why: 'one', series: { 'ferry_migration_errors_total{type="ChecksumMismatch"}': rises }, at: 20 }],
    still: [
      {
        why: 'those of before a restart',
        series: { 'ferry_migration_errors_total{type="ChecksumMismatch"}': comesBack },
        at: 30,
      },
      { why: 'another error', series: { 'ferry_migration_errors_total{type="NoProgress"}': rises }, at: 20 },
    ],
  },
  FerryMigrationNeedsOperator: {
    fires: [
      {
        why: 'one is parked',
        series: { 'ferry_migration_errors_total{type="ParkedForOperator"}': rises },
        at: 20,
        labels: { type: 'ParkedForOperator' },
      },
    ],
    still: [{ why: 'one failed', series: { 'ferry_migration_errors_total{type="NoProgress"}': rises }, at: 20 }],
  },
  FerryMigrationFailed: {
    fires: [
      { why: 'one', series: { 'ferry_migrations_ended_total{outcome="error"}': rises }, at: 20 },
      {
        why: 'one while its worker was away',
        series: { 'ferry_migrations_ended_total{outcome="error"}': '3x5 _x2 4x30' },
        at: 20,
      },
    ],
    still: [
      {
        why: 'those of before a restart',
        series: { 'ferry_migrations_ended_total{outcome="error"}': comesBack },
        at: 30,
      },
      { why: 'one was cancelled', series: { 'ferry_migrations_ended_total{outcome="cancelled"}': rises }, at: 20 },
      { why: 'it was long ago', series: { 'ferry_migrations_ended_total{outcome="error"}': '0x5 1x90' }, at: 60 },
    ],
  },
  FerryNoBytesMove: {
    fires: [
      {
        why: 'one copies, and nothing moves',
        series: { 'ferry_migrations_running{phase="copying"}': '1x60', ferry_bytes_done_total: '100x60' },
        at: 30,
      },
    ],
    still: [
      {
        why: 'bytes move',
        series: { 'ferry_migrations_running{phase="copying"}': '1x60', ferry_bytes_done_total: '0+1000x60' },
        at: 30,
      },
      {
        why: 'no migration copies',
        series: { 'ferry_migrations_running{phase="claiming"}': '1x60', ferry_bytes_done_total: '9x60' },
        at: 20,
      },
    ],
  },
  FerryMigrationDoesNotEnd: {
    fires: [
      {
        why: 'one is in the clean-up for ever',
        series: { 'ferry_migrations_running{phase="cleaning-up"}': '1x60' },
        at: 40,
        labels: { phase: 'cleaning-up' },
      },
    ],
    still: [{ why: 'one copies for hours', series: { 'ferry_migrations_running{phase="copying"}': '1x300' }, at: 240 }],
  },
  FerryOrphans: {
    fires: [{ why: 'one stays', series: { ferry_orphans_seen_total: '0+1x300' }, at: 200 }],
    still: [{ why: 'one goes after the grace time', series: { ferry_orphans_seen_total: '0+1x70 71x230' }, at: 200 }],
  },
  FerryUnexpected: {
    fires: [{ why: 'one', series: { 'ferry_step_errors_total{type="Unexpected"}': rises }, at: 20 }],
    still: [{ why: 'a refusal', series: { 'ferry_step_errors_total{type="VolumeBusy"}': rises }, at: 20 }],
  },
  FerryStepsKeepFailing: {
    fires: [
      {
        why: 'again and again',
        series: { 'ferry_step_errors_total{type="ToolFailed"}': '0+1x90' },
        at: 60,
        labels: { type: 'ToolFailed' },
      },
    ],
    still: [{ why: 'once', series: { 'ferry_step_errors_total{type="ToolFailed"}': rises }, at: 30 }],
  },
  FerryStepsWaitForWorkers: {
    fires: [
      {
        why: 'for two minutes each',
        series: {
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="60000"}': '0x60',
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="300000"}': '0+1x60',
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="+Inf"}': '0+1x60',
        },
        at: 40,
        labels: { task_queue: 'storage:n' },
      },
    ],
    still: [
      {
        why: 'for less than a second each',
        series: {
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="1000"}': '0+1x60',
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="60000"}': '0+1x60',
          'temporal_activity_schedule_to_start_latency_bucket{task_queue="storage:n",le="+Inf"}': '0+1x60',
        },
        at: 40,
      },
    ],
  },
};

describe('the alerts, by Prometheus’ own tool', () => {
  let folder: string;
  let severities: Map<string, unknown>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-alerts-'));
    const read = alertRules.parse(parse(await readFile(file, 'utf8')));
    severities = new Map(
      read.groups[0].rules.map((rule) => [rule.alert, (rule['labels'] as { severity: unknown }).severity]),
    );
    // Their words are checked with the rules as they are; here only whether they are raised.
    const bare = {
      groups: read.groups.map((g) => ({ ...g, rules: g.rules.map((rule) => ({ ...rule, annotations: undefined })) })),
    };
    await writeFile(join(folder, 'rules.yaml'), stringify(bare));
  });
  after(() => rm(folder, { recursive: true }));

  test('are well-formed', async () => {
    const { stdout } = await execa('promtool', ['check', 'rules', file]);
    assert.match(stdout, new RegExp(`SUCCESS: ${severities.size} rules found`));
  });

  test('have a case each', () => {
    assert.deepEqual(Object.keys(rules).toSorted(), [...severities.keys()].toSorted());
  });

  /** One run of promtool for an alert: it tells of each case that is not so. */
  async function check(alert: string, cases: readonly { scraped: Scraped; raised: object | null }[]): Promise<void> {
    const tests = cases.map(({ scraped, raised }) => ({
      name: scraped.why,
      interval: '1m',
      input_series: Object.entries(scraped.series).map(([series, values]) => ({ series, values })),
      alert_rule_test: [
        {
          eval_time: `${scraped.at}m`,
          alertname: alert,
          exp_alerts: raised === null ? [] : [{ exp_labels: { severity: severities.get(alert), ...raised } }],
        },
      ],
    }));
    const path = join(folder, `${alert}.yaml`);
    await writeFile(path, stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }));
    const { exitCode, all } = await execa('promtool', ['test', 'rules', path], { all: true, reject: false });
    assert.equal(exitCode, 0, all);
  }

  for (const [alert, { fires, still }] of Object.entries(rules)) {
    test(`${alert} is raised: ${fires.map(({ why }) => why).join('; ')}`, () =>
      check(
        alert,
        fires.map((scraped) => ({ scraped, raised: scraped.labels ?? {} })),
      ));
    test(`${alert} is not raised: ${still.map(({ why }) => why).join('; ')}`, () =>
      check(
        alert,
        still.map((scraped) => ({ scraped, raised: null })),
      ));
  }
});
