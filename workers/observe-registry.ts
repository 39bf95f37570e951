import type { MetricMeter } from '@temporalio/common';
import { backEndState } from '../model/back-end.ts';
import { ferryErrorTypes, type FerryErrorType } from '../model/errors.ts';
import { metrics } from '../model/metrics.ts';
import { outcome, phase } from '../model/migration.ts';
import { listBackEnds } from '../registry/back-ends.ts';
import { durabilityRisks } from '../registry/durability.ts';
import { countDeliveries } from '../registry/events.ts';
import { countDiscrepancies } from '../registry/discrepancies.ts';
import { countEndedMigrations, countMovePlans } from '../registry/ended-migrations.ts';
import { listComputeNodes } from '../registry/compute-nodes.ts';
import type { Registry } from '../registry/open-registry.ts';
import { countRunningMigrations } from '../registry/running-migrations.ts';

/** A usual interval of scrapes: looking more often would show nothing more. Milliseconds. */
const lookEveryMs = 15_000;

/** Shows in gauges what the registry holds: now, and again and again until it is stopped. */
export function observeRegistry(registry: Registry, meter: MetricMeter): { stop: () => void } {
  const gauge = (name: string, description: string) => meter.createGauge(name, 'float', undefined, description);
  const registryUp = gauge(metrics.registryUp, 'Whether Postgres answers');
  const durable = gauge(metrics.registryDurable, 'Whether commits outlive a crash and a failover');
  const running = gauge(metrics.migrationsRunning, 'Migrations under way');
  const oldest = gauge(metrics.oldestMigrationSeconds, 'Age of the oldest migration under way');
  const up = gauge(metrics.backEndUp, 'Whether the back end is up');
  const total = gauge(metrics.backEndTotalBytes, 'Capacity of the back end');
  const free = gauge(metrics.backEndFreeBytes, 'Free capacity of the back end');

  const expected = gauge(metrics.backEndExpected, 'Whether the back end should be up');
  const hypervisorUp = gauge(metrics.hypervisorUp, 'Whether the hypervisor is heard of');
  const hypervisorExpected = gauge(metrics.hypervisorExpected, 'Whether the hypervisor should be heard of');
  const evacuations = gauge(metrics.evacuationsRunning, 'Evacuations and balancings under way');
  const idle = gauge(metrics.evacuationsIdle, 'Evacuations and balancings that move nothing now');
  const countEnded = endedCounters(meter);
  /** Those that were shown: what is forgotten since then is not expected any more. */
  const shown = { backEnds: new Set<string>(), hypervisors: new Set<string>(), webhooks: new Set<string>() };

  const wrong = gauge(metrics.discrepancies, 'Devices of the back end that do not fit the registry');

  const waiting = gauge(metrics.eventsWaiting, 'Events that the webhook waits for');
  const oldestEvent = gauge(metrics.eventsOldestSeconds, 'For how long the oldest of them waits');
  const dead = gauge(metrics.eventsDead, 'Events that the webhook will not get');

  const look = async () => {
    const [phases, backEnds, discrepancies, risks, ended, hypervisors, plans, deliveries] = await Promise.all([
      countRunningMigrations(registry),
      listBackEnds(registry),
      countDiscrepancies(registry),
      durabilityRisks(registry),
      countEndedMigrations(registry),
      listComputeNodes(registry),
      countMovePlans(registry),
      countDeliveries(registry),
    ]);
    countEnded(ended);
    evacuations.set(plans.running);
    idle.set(plans.idle);
    for (const name of shown.webhooks) for (const each of [waiting, oldestEvent, dead]) each.set(0, { webhook: name });
    for (const delivery of deliveries) {
      const tags = { webhook: delivery.webhook };
      shown.webhooks.add(delivery.webhook);
      waiting.set(delivery.waiting, tags);
      oldestEvent.set(delivery.oldestSeconds, tags);
      dead.set(delivery.dead, tags);
    }
    for (const name of shown.hypervisors) hypervisorExpected.set(0, { hypervisor: name });
    for (const { name, isUp } of hypervisors) {
      shown.hypervisors.add(name);
      hypervisorUp.set(isUp ? 1 : 0, { hypervisor: name });
      hypervisorExpected.set(1, { hypervisor: name });
    }
    for (const name of shown.backEnds) expected.set(0, { back_end: name });
    durable.set(risks.length === 0 ? 1 : 0);
    for (const each of phase.options.filter((p) => p !== 'finished')) {
      running.set(phases.find((p) => p.phase === each)?.migrations ?? 0, { phase: each });
    }
    oldest.set(Math.max(0, ...phases.map((p) => p.oldestSeconds)));
    for (const backEnd of backEnds) {
      const tags = { back_end: backEnd.name };
      shown.backEnds.add(backEnd.name);
      expected.set(backEnd.decommissionedAt === null ? 1 : 0, tags);
      up.set(backEndState(backEnd, backEnd.asOf) === 'up' ? 1 : 0, tags);
      total.set(backEnd.totalBytes, tags);
      free.set(backEnd.freeBytes, tags);
      wrong.set(discrepancies.get(backEnd.name) ?? 0, tags);
    }
  };
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const lookAgain = async () => {
    registryUp.set(
      await look().then(
        () => 1,
        () => 0,
      ),
    );
    if (!stopped) timer = setTimeout(() => void lookAgain(), lookEveryMs);
  };
  void lookAgain();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

/** Errors that alerts name: shown before there is one. */
const shownAlways: ReadonlySet<FerryErrorType> = new Set(['ChecksumMismatch', 'ParkedForOperator', 'Fenced']);

/**
 * Counters that show what is on record. A worker's first look counts all that there is: it comes back with the number that it had, and what
 * happened meanwhile is a rise. All of them are shown from the first look on, since a counter that appears with its first failure shows none.
 */
function endedCounters(meter: MetricMeter) {
  const ends = meter.createCounter(metrics.migrationsEnded, undefined, 'Migrations by how they ended');
  const errors = meter.createCounter(
    metrics.migrationErrors,
    undefined,
    'Failed migrations by the error that ended them',
  );
  const counted = new Map<string, number>();
  const rise = (key: string, now: number) => {
    const before = counted.get(key) ?? 0;
    counted.set(key, Math.max(before, now));
    return Math.max(0, now - before);
  };
  return (found: Awaited<ReturnType<typeof countEndedMigrations>>) => {
    const sum = (fits: (row: (typeof found)[number]) => boolean) =>
      found.filter(fits).reduce((total, { migrations }) => total + migrations, 0);
    for (const each of outcome.options)
      ends.add(
        rise(
          each,
          sum((row) => row.outcome === each),
        ),
        { outcome: each },
      );
    for (const type of ferryErrorTypes) {
      const now = sum(({ errorType }) => errorType === type);
      if (now > 0 || shownAlways.has(type)) errors.add(rise(`error ${type}`, now), { type });
    }
  };
}
