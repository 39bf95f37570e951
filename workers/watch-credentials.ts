import { createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import { loadConfiguration, requireDatabaseUrl } from '../configuration/load.ts';
import { temporalSettings } from '../configuration/temporal.ts';
import { openRegistry } from '../registry/open-registry.ts';
import { everyFewSeconds } from './every-few-seconds.ts';

/** Milliseconds. */
const lookEveryMs = 10_000;
/** Refused for so long, a worker hopes for what its unit gives the next one. Milliseconds. */
const refusedMs = 60_000;

/** All by which a worker is let in by Temporal and Postgres, as it is on disk and in the environment now. */
interface Credentials {
  temporal: ReturnType<typeof temporalSettings>;
  databaseUrl: string;
}

async function readCredentials(): Promise<Credentials> {
  const temporal = temporalSettings();
  return { temporal, databaseUrl: requireDatabaseUrl(await loadConfiguration(process.env)) };
}

/** Equal digests, equal credentials; tells nothing of them. */
function digestOf({ temporal, databaseUrl }: Credentials): string {
  return createHash('sha256')
    .update(JSON.stringify([temporal.connectionOptions, temporal.namespace, databaseUrl]))
    .digest('hex');
}

/**
 * Looks at files and configuration again and again: certificates, API keys and passwords run out and are replaced. A connection cannot be
 * given new ones, so `end` is called, once, when others are there that are taken; the worker's unit then starts it anew with them. A pair of
 * which only one file is there yet, or one that is not taken, changes nothing. It is called as well when the worker has been refused for a
 * minute: its environment, which only a new start reads, may be right by now.
 */
export async function watchCredentials(of: {
  log: Pick<Logger, 'warn' | 'error'>;
  refusedForMs: () => number;
  end: (why: string) => void;
  everyMs?: number;
}): Promise<{ stop: () => void }> {
  const { log, refusedForMs, end, everyMs = lookEveryMs } = of;
  const began = digestOf(await readCredentials());
  let rejected = began;
  let isOver = false;
  const endOnce = (why: string) => {
    isOver = true;
    end(why);
  };
  return everyFewSeconds(
    async () => {
      if (isOver) return;
      const refusing = refusedForMs();
      if (refusing > refusedMs)
        return endOnce(`its credentials have been refused for ${Math.round(refusing / 1000)} s`);
      const now = await readCredentials();
      const digest = digestOf(now);
      if (digest === began) return;
      try {
        await check(now);
      } catch (error) {
        if (digest !== rejected)
          log.warn({ error: (error as Error).message }, 'new credentials are there, and are not taken yet');
        rejected = digest;
        return;
      }
      endOnce('there are new credentials, and they are taken');
    },
    (error) => log.warn({ error: error.message }, 'the credentials could not be looked at'),
    everyMs,
  );
}

/** Throws unless certificate and key belong together, and Temporal and Postgres let in who has them. */
async function check({ temporal: { connectionOptions }, databaseUrl }: Credentials): Promise<void> {
  const { tls } = connectionOptions;
  const pair = typeof tls === 'object' ? tls?.clientCertPair : undefined;
  if (pair) createSecureContext({ cert: Buffer.from(pair.crt), key: Buffer.from(pair.key) });
  await (await NativeConnection.connect(connectionOptions)).close();
  await (await openRegistry(databaseUrl, { maxConnections: 1, migrates: false })).close();
}
