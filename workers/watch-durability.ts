import type { Logger } from 'pino';
import { durabilityRisks } from '../registry/durability.ts';
import type { Registry } from '../registry/open-registry.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/** Standbys come and go; settings change seldom. Milliseconds. */
const lookEveryMs = 60_000;

/**
 * Warns in the log, before it returns and whenever it changes, that commits of the registry can be lost: then a volume's place is
 * forgotten by a failover or a crash.
 */
export async function watchDurability(of: {
  registry: Registry;
  log: Pick<Logger, 'warn' | 'info' | 'debug'>;
  everyMs?: number;
}): Promise<{ stop: () => void }> {
  const { registry, log, everyMs = lookEveryMs } = of;
  let told = '';
  return everyFewSeconds(
    async () => {
      const risks = await durabilityRisks(registry);
      const now = risks.join('; ');
      if (now === told) return;
      if (now !== '') log.warn({ risks }, 'commits of the registry can be lost: see "Postgres" in docs/operations.md');
      else log.info('commits of the registry are durable now');
      told = now;
    },
    (error) => log.debug({ error: error.message }, 'Postgres could not be asked whether commits are durable'),
    everyMs,
  );
}
