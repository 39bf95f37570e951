/** Names of Ferry's own metrics, as Prometheus shows them; docs/monitoring.md says what they mean. */
export const metrics = {
  /**
   * Counter {outcome}: of control workers. What is on record is counted from the registry, so that a worker that comes back goes on where it
   * was; what was refused is on no record, and counted by the worker that refused it.
   */
  migrationsEnded: 'ferry_migrations_ended_total',
  /** Counter {type}: why migrations failed; of control workers, from the registry. `ParkedForOperator` and `Fenced` as they happen. */
  migrationErrors: 'ferry_migration_errors_total',
  /** Histogram {phase}, seconds: of control workers. */
  phaseSeconds: 'ferry_phase_seconds',
  /** Counter {operation, via}: operations that a running migration refused, asked by update or by signal; of control workers. */
  operationsRefused: 'ferry_operations_refused_total',
  /** Counter: signals that could not be understood; of control workers. */
  malformedSignals: 'ferry_malformed_signals_total',
  /** Counter: orphans found, each counted at every look; of control workers. */
  orphansSeen: 'ferry_orphans_seen_total',
  /** Counter: looks of the reconciler that came to their end; of control workers. */
  reconcilesFinished: 'ferry_reconciles_finished_total',
  /** Gauge {phase}: what the registry holds now; every control worker tells the same. */
  migrationsRunning: 'ferry_migrations_running',
  /** Gauge, seconds: the age of the oldest migration under way; 0 without one. */
  oldestMigrationSeconds: 'ferry_oldest_migration_seconds',
  /** Gauge, 1 or 0: whether a control worker reaches Postgres. */
  registryUp: 'ferry_registry_up',
  /** Gauge, 1 or 0: whether what Postgres has committed outlives a crash and a failover. */
  registryDurable: 'ferry_registry_durable',
  /** Gauges {back_end}, from the registry: whether the back end is up, and its capacity. */
  backEndUp: 'ferry_back_end_up',
  backEndTotalBytes: 'ferry_back_end_total_bytes',
  backEndFreeBytes: 'ferry_back_end_free_bytes',
  /** Gauge {back_end}, 1 or 0: whether it should be up: it is neither decommissioned nor forgotten. */
  backEndExpected: 'ferry_back_end_expected',
  /** Gauges {hypervisor}: whether its compute worker is heard of, and whether it should be. */
  hypervisorUp: 'ferry_hypervisor_up',
  hypervisorExpected: 'ferry_hypervisor_expected',
  /** Gauges: evacuations and balancings under way, and those of them that move nothing now. */
  evacuationsRunning: 'ferry_evacuations_running',
  evacuationsIdle: 'ferry_evacuations_idle',
  /** Gauge {back_end}: devices that do not fit the registry; above 0 the back end needs repair. */
  discrepancies: 'ferry_discrepancies',
  /**
   * Gauges {webhook}: events that it waits for, seconds that the oldest of them has waited, and events that it will not get. Of control
   * workers, from the registry.
   */
  eventsWaiting: 'ferry_events_waiting',
  eventsOldestSeconds: 'ferry_events_oldest_seconds',
  eventsDead: 'ferry_events_dead',
  /** Counter, bytes: what transfers went over, holes included; of storage workers, and of compute workers for mirrors. */
  bytesDone: 'ferry_bytes_done_total',
  /** Counter {type}: refusals and failures of steps, by error type; of every worker. */
  stepErrors: 'ferry_step_errors_total',
} as const;

/** Buckets of `phaseSeconds`: from a claim's milliseconds to a copy's day. */
export const phaseBuckets = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600];

/** Names of what a process of the API shows. */
export const apiMetrics = {
  /** Counter {method, route, status}: requests that it answered. */
  requests: 'ferry_api_requests_total',
  /** Histogram {method, route}, seconds: how long its answers took. */
  requestSeconds: 'ferry_api_request_seconds',
} as const;

/** Buckets of `apiMetrics.requestSeconds`: a row of the registry takes milliseconds, a service that hangs ten seconds. */
export const apiRequestBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
