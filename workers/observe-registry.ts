import type { MetricMeter } from '@temporalio/common';
import { backEndState } from '../model/back-end.ts';
import { metrics } from '../model/metrics.ts';
import { phase } from '../model/migration.ts';
import { listBackEnds } from '../registry/back-ends.ts';
import { durabilityRisks } from '../registry/durability.ts';
import { countDiscrepancies } from '../registry/discrepancies.ts';
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

  const wrong = gauge(metrics.discrepancies, 'Devices of the back end that do not fit the registry');

  const look = async () => {
    const [phases, backEnds, discrepancies, risks] = await Promise.all([
      countRunningMigrations(registry),
      listBackEnds(registry),
      countDiscrepancies(registry),
      durabilityRisks(registry),
    ]);
    durable.set(risks.length === 0 ? 1 : 0);
    for (const each of phase.options.filter((p) => p !== 'finished')) {
      running.set(phases.find((p) => p.phase === each)?.migrations ?? 0, { phase: each });
    }
    oldest.set(Math.max(0, ...phases.map((p) => p.oldestSeconds)));
    for (const backEnd of backEnds) {
      const tags = { back_end: backEnd.name };
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
