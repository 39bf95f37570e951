import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as z from 'zod';
import { claimVolume } from '../../registry/claim.ts';
import { openRegistry, type Queries } from '../../registry/open-registry.ts';
import { emptyDatabase } from './database.ts';
import { startPooler } from './pooler.ts';
import { claimArguments, destination, ferryError, putBackEnd, putVolume, source } from './world.ts';

const limit = z.object({ statement: z.string(), idle: z.string() });

async function limitsOf(queries: Queries): Promise<z.infer<typeof limit> | undefined> {
  const [found] = await queries.rows(
    limit,
    `SELECT current_setting('statement_timeout') AS statement, current_setting('idle_in_transaction_session_timeout') AS idle`,
  );
  return found;
}

describe('the registry behind PgBouncer in transaction mode', () => {
  for (const [how, settings] of [
    ['refuses what a session is to be told', []],
    [
      'ignores what a session is to be told',
      ['ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout'],
    ],
  ] as const) {
    test(`that ${how}: works, and no statement waits for ever`, async () => {
      const pooler = await startPooler(await emptyDatabase(), settings);
      const registry = await openRegistry(pooler.url);
      try {
        const bounded = { statement: '15s', idle: '15s' };
        assert.deepEqual(await limitsOf(registry), bounded);
        assert.deepEqual(await registry.transaction(limitsOf), bounded);
        assert.deepEqual(await registry.transaction(limitsOf, 'snapshot'), bounded);

        await putBackEnd(registry, source);
        await putBackEnd(registry, destination);
        const volume = await putVolume(registry);
        const claims = await Promise.allSettled(
          Array.from({ length: 8 }, () => claimVolume(registry, claimArguments(volume))),
        );
        assert.equal(claims.filter(({ status }) => status === 'fulfilled').length, 1);
        for (const claim of claims) if (claim.status === 'rejected') ferryError('VolumeMigrating')(claim.reason);
      } finally {
        await registry.close();
        await pooler.stop();
      }
    });
  }
});
