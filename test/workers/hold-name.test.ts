import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { openRegistry } from '../../registry/open-registry.ts';
import { holdWorkerName } from '../../registry/worker-names.ts';
import { noColumns } from '../../registry/rows.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { holdName } from '../../workers/hold-name.ts';
import { ferryIn } from '../client/cli/ferry-process.ts';

test('a worker whose name another machine goes by ends at start, and says which; one that loses it later is told', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ferry-name-'));
  const postgres = await startPostgres({ directory: join(directory, 'postgres') });
  const registry = await openRegistry(postgres.url);
  try {
    const other = { kind: 'storage', name: 'server1', machine: 'other', hostname: 'rack7' } as const;
    await holdWorkerName(registry, other);
    const file = join(directory, 'ferry.json');
    const backEnds = [{ name: 'files', driver: 'directory', path: directory }];
    await writeFile(file, JSON.stringify({ node: { name: 'server1', stateDirectory: directory, backEnds } }));
    const ferry = ferryIn({ FERRY_CONFIG: file, FERRY_DATABASE_URL: postgres.url });
    const { code, stderr } = await ferry.run('worker', 'storage');
    assert.match(stderr, /The name server1 is taken: a storage worker on rack7, heard of \d+ s ago, goes by it\./);
    assert.equal(code, 2);

    await registry.rows(noColumns, "UPDATE worker_names SET heartbeat_at = now() - interval '1 minute'");
    let lost: (why: string) => void;
    const told = new Promise<string>((resolve) => (lost = resolve));
    const log = pino({ level: 'silent' });
    const held = await holdName({
      registry,
      worker: { kind: 'storage', name: 'server1' },
      log,
      lost: (why) => lost(why),
    });
    await assert.rejects(holdWorkerName(registry, other), /is taken/);
    await registry.rows(
      noColumns,
      "UPDATE worker_names SET machine = 'other', hostname = 'rack7', heartbeat_at = now()",
    );
    assert.match(await told, /taken: a storage worker on rack7/);
    await held.stop();
    await holdWorkerName(registry, other);
  } finally {
    await registry.close();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
