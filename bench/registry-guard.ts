import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { migrationRequest } from '../model/migration.ts';
import { reportBackEnds } from '../registry/back-ends.ts';
import { claimVolume } from '../registry/claim.ts';
import { releaseVolume } from '../registry/migration-steps.ts';
import { openRegistry, type Registry } from '../registry/open-registry.ts';
import { beginOperation, finishOperation } from '../registry/operations.ts';
import { noColumns } from '../registry/rows.ts';
import { startPostgres } from '../workers/embedded/postgres.ts';

const connections = 50;
const perMeasurement = 5_000;
const destinations = 10;

/** Operations a second against the guard, each beside what an empty statement costs on the same connections. Prints a table. */
export async function run(): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'ferry-bench-'));
  try {
    const postgres = await startPostgres({ directory });
    try {
      const registry = await openRegistry(postgres.url, { maxConnections: connections });
      try {
        await measureAll(registry);
      } finally {
        await registry.close();
      }
    } finally {
      await postgres.stop();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measureAll(registry: Registry): Promise<void> {
  const names = Array.from({ length: destinations + 1 }, (_, i) => `server${i}@bench`);
  for (const name of names) {
    const report = {
      name,
      availabilityZone: 'zone1',
      driver: 'lvm',
      totalBytes: 1e15,
      freeBytes: 1e15,
      fault: null,
      capabilities: {},
    } as const;
    await reportBackEnds(registry, name.split('@')[0]!, [report]);
  }
  const volumes = await makeVolumes(registry, names[0]!);
  const claimOf = (i: number) => ({
    request: migrationRequest.parse({ volumeId: volumes[i]!, destination: names[1 + (i % destinations)]! }),
    migrationId: randomUUID(),
    owner: `migrate/${volumes[i]!}/${randomUUID()}`,
    destinationNameId: randomUUID(),
  });
  const empty = await measure(() => registry.rows(noColumns, 'SELECT'));
  console.log(`registry guard, ${connections} connections, ${perMeasurement} each:`);
  const print = (name: string, rate: number) =>
    console.log(
      `  ${name.padEnd(44)} ${rate.toFixed(0).padStart(7)}/s  ${(rate / empty).toFixed(2)} of an empty statement`,
    );
  print('empty statement', empty);
  print(
    'claim and release of a migration',
    await measure(async (i) => {
      const { claim } = await claimVolume(registry, claimOf(i));
      await releaseVolume(registry, claim, { outcome: 'cancelled' });
    }),
  );
  print(
    'begin and finish of an operation',
    await measure(async (i) => {
      const ticket = { volumeId: volumes[i]!, owner: randomUUID() };
      await beginOperation(registry, 'retype', ticket);
      await finishOperation(registry, 'retype', ticket);
    }),
  );
  await measure((i) => claimVolume(registry, claimOf(i)));
  print(
    'operation refused, volume migrating',
    await measure((i) =>
      beginOperation(registry, 'delete', { volumeId: volumes[i]!, owner: randomUUID() }).then(
        () => Promise.reject(new Error('a claimed volume was taken')),
        () => {},
      ),
    ),
  );
}

async function makeVolumes(registry: Registry, host: string): Promise<string[]> {
  const ids = Array.from({ length: perMeasurement }, () => randomUUID());
  await registry.rows(
    noColumns,
    `INSERT INTO volumes (id, tenant_id, size_bytes, status, host, availability_zone)
     SELECT id, 'bench', 1073741824, 'available', $2, 'zone1' FROM unnest($1::uuid[]) AS ids (id)`,
    [ids, host],
  );
  return ids;
}

/** How many a second, with all connections busy. */
async function measure(work: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (next < perMeasurement) await work(next++);
    }),
  );
  return perMeasurement / ((performance.now() - began) / 1000);
}
