import { randomUUID } from 'node:crypto';
import { migrationRequest, type MigrationRequestInput } from '../../model/migration.ts';
import { gib } from '../../model/sizes.ts';
import { FerryError, type FerryErrorType } from '../../model/errors.ts';
import { reportBackEnds, type BackEndReport } from '../../registry/back-ends.ts';
import type { ClaimArguments } from '../../registry/claim.ts';
import type { Queries } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';

/** Writes rows as no function of the registry would: the states that the tests begin with. */
export async function put(registry: Queries, table: string, row: Record<string, unknown>): Promise<void> {
  const columns = Object.keys(row);
  await registry.rows(
    noColumns,
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map((_, i) => `$${i + 1}`).join(', ')})`,
    Object.values(row),
  );
}

export const source = 'server1@lvmstorage-1';
export const destination = 'server2@lvmstorage-2';

/** A back end that is up, has 100 GiB free and says so now. */
export async function putBackEnd(registry: Queries, name: string, report: Partial<BackEndReport> = {}): Promise<void> {
  await reportBackEnds(registry, name.split('@')[0]!, [
    {
      name,
      availabilityZone: 'zone1',
      driver: 'lvm',
      totalBytes: 200 * gib,
      freeBytes: 100 * gib,
      fault: null,
      capabilities: {},
      ...report,
    },
  ]);
}

/** An available volume of 1 GiB on the source. `row` changes columns. */
export async function putVolume(registry: Queries, row: Record<string, unknown> = {}): Promise<string> {
  const id = randomUUID();
  await put(registry, 'volumes', {
    id,
    tenant_id: 'tenant-1',
    name: 'test',
    size_bytes: gib,
    status: 'available',
    host: source,
    availability_zone: 'zone1',
    ...row,
  });
  return id;
}

export async function putAttachment(
  registry: Queries,
  volumeId: string,
  row: Record<string, unknown> = {},
): Promise<string> {
  const id = randomUUID();
  await put(registry, 'attachments', {
    id,
    volume_id: volumeId,
    instance_id: randomUUID(),
    compute_host: 'hv1',
    mode: 'rw',
    status: 'attached',
    attached_at: new Date(),
    ...row,
  });
  return id;
}

export async function putSnapshot(
  registry: Queries,
  volumeId: string,
  row: Record<string, unknown> = {},
): Promise<string> {
  const id = randomUUID();
  await put(registry, 'snapshots', {
    id,
    volume_id: volumeId,
    tenant_id: 'tenant-1',
    size_bytes: gib,
    status: 'available',
    ...row,
  });
  return id;
}

/** What a migration's workflow would claim with: a new owner each time. */
export function claimArguments(volumeId: string, request: Partial<MigrationRequestInput> = {}): ClaimArguments {
  return {
    request: migrationRequest.parse({ volumeId, destination, ...request }),
    migrationId: randomUUID(),
    owner: anOwner(`migrate/${volumeId}`),
    destinationNameId: randomUUID(),
  };
}

export function anOwner(workflow: string): string {
  return `${workflow}/${randomUUID()}`;
}

/** For `assert.rejects`: a FerryError of this type. */
export function ferryError(type: FerryErrorType): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof FerryError && error.type === type) return true;
    throw error instanceof Error ? new Error(`expected ${type}, got: ${error.message}`, { cause: error }) : error;
  };
}
