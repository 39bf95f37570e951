import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { FerryError, refusal } from '../model/errors.ts';
import { flow, type ClaimedMigration, type MigrationRequest } from '../model/migration.ts';
import { deviceName } from '../model/names.ts';
import { reasonsNotToMigrate } from '../model/preconditions.ts';
import { gatherFacts } from './migration-facts.ts';
import { fenced } from './fenced.ts';
import type { Queries, Registry } from './open-registry.ts';

const claimRow = z.object({
  epoch: z.number(),
  flow,
  totalBytes: z.number(),
  source: z.string(),
  sourceNameId: z.string().nullable(),
  tenantId: z.string(),
});

export interface ClaimArguments {
  request: MigrationRequest;
  /** Unique for ever: a claim whose record is over is never taken again. */
  migrationId: string;
  /** `<workflow id>/<run id>` */
  owner: string;
  /** What a new device's name is based on. `assisted` keeps the name that the volume has. */
  destinationNameId: string;
}

/** How often a refusal for which no reason is found (any more) is asked again. */
const attempts = 5;

/**
 * Takes the volume for a migration: checks every precondition and takes the lock in one statement. By the same owner again: the same
 * answer, no change. Refused: throws every reason (`refusal`), and nothing was changed. `Fenced`: this very claim was over already.
 */
export async function claimVolume(registry: Registry, args: ClaimArguments): Promise<ClaimedMigration> {
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const claimed = await takeClaim(registry, args);
    if (claimed) return claimed;
    const [first, ...others] = reasonsNotToMigrate(await gatherFacts(registry, args.request));
    if (first) throw refusal([first, ...others]);
    // What stood in the way a moment ago is gone.
  }
  throw new FerryError('VolumeBusy', `Volume ${args.request.volumeId} changes too often to be claimed now. Try again.`);
}

async function takeClaim(registry: Queries, args: ClaimArguments): Promise<ClaimedMigration | null> {
  const { request, migrationId, owner } = args;
  const [row] = await registry
    .rows(claimRow, `SELECT * FROM claim_volume($1, $2, $3, $4, $5, $6, $7, $8 * interval '1 ms', $9)`, [
      request.volumeId,
      request.destination,
      owner,
      migrationId,
      args.destinationNameId,
      request.forceHostCopy,
      request.requestedBy,
      downAfterMs,
      request.newType ?? null,
    ])
    .catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'FE001') throw fenced(`Migration ${migrationId}`);
      throw error;
    });
  if (!row) return null;
  return {
    claim: { volumeId: request.volumeId, migrationId, owner, epoch: row.epoch },
    flow: row.flow,
    sizeBytes: row.totalBytes,
    source: { backEnd: row.source, deviceName: deviceName({ id: request.volumeId, nameId: row.sourceNameId }) },
    destination: { backEnd: request.destination },
    tenantId: row.tenantId,
  };
}
