import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import type { StorageMark } from '../../model/storage-identity.ts';
import { listBackEnds } from '../../registry/back-ends.ts';
import { claimVolume } from '../../registry/claim.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { renameNode } from '../../registry/rename-node.ts';
import { noColumns } from '../../registry/rows.ts';
import { readStorage, recordStorage } from '../../registry/storages.ts';
import { volumeOrNull } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { claimArguments, destination, ferryError, put, putAttachment, putBackEnd, putVolume, source } from './world.ts';

const renamed = 'server9@lvmstorage-1';
const seen = { mark: null, uuid: null, mountPoint: '/', sequence: null };

describe('a node that is renamed', () => {
  let registry: Registry;
  let mark: StorageMark;
  beforeEach(async () => {
    registry = await testRegistry();
    for (const name of [source, destination]) await putBackEnd(registry, name);
    mark = { id: randomUUID(), registry: randomUUID(), backEnd: source };
    await recordStorage(registry, source, mark, seen);
  });
  const silence = (node: string) =>
    registry.rows(noColumns, `UPDATE back_ends SET heartbeat_at = now() - interval '1 minute' WHERE node = $1`, [node]);

  test('takes its volumes, kept sources, storage and records along', async () => {
    const id = await putVolume(registry);
    const connection = { protocol: 'local', backEnd: source, device: `volume-${id}`, kind: 'block', path: '/dev/x' };
    const attachment = await putAttachment(registry, id, { compute_host: 'server1', connection });
    await put(registry, 'compute_nodes', { name: 'server1', heartbeat_at: new Date(0) });
    const other = await putVolume(registry, { host: destination });
    await silence('server1');
    assert.deepEqual(await renameNode(registry, 'server1', 'server9'), [renamed]);
    assert.equal((await volumeOrNull(registry, id))?.host, renamed);
    assert.equal((await volumeOrNull(registry, other))?.host, destination);
    assert.equal((await readStorage(registry, renamed)).identity, mark.id);
    assert.equal((await readStorage(registry, source)).identity, null);
    assert.deepEqual(
      (await listBackEnds(registry)).map(({ name, node }) => [name, node]),
      [
        [destination, 'server2'],
        [renamed, 'server9'],
      ],
    );
    const [row] = await registry.rows(
      noColumns.loose(),
      'SELECT compute_host, connection FROM attachments WHERE id = $1',
      [attachment],
    );
    assert.deepEqual(row, { computeHost: 'server9', connection: { ...connection, backEnd: renamed } });
    await assert.rejects(renameNode(registry, 'server1', 'server9'), ferryError('BackEndNotFound'));
  });

  test('forgets what its worker reported under the new name too early', async () => {
    await putBackEnd(registry, renamed, { fault: 'not its storage' });
    await silence('server1');
    await renameNode(registry, 'server1', 'server9');
    const [found] = (await listBackEnds(registry)).filter(({ name }) => name === renamed);
    assert.equal(found?.fault, null);
  });

  test('is refused while its worker is heard of, something moves, or the new name is another’s', async () => {
    const id = await putVolume(registry);
    await assert.rejects(renameNode(registry, 'server1', 'server9'), ferryError('BackEndDown'));
    await claimVolume(registry, claimArguments(id));
    await silence('server1');
    for (const node of ['server1', 'server2']) {
      await silence(node);
      await assert.rejects(renameNode(registry, node, 'server9'), ferryError('VolumeBusy'));
    }
    await registry.rows(
      noColumns,
      `UPDATE volumes SET migration_owner = NULL, migration_status = NULL, migration_since = NULL`,
    );
    await registry.rows(
      noColumns,
      `UPDATE migrations SET outcome = 'cancelled', phase = 'finished', finished_at = now()`,
    );
    await recordStorage(registry, destination, { ...mark, id: randomUUID() }, seen);
    await assert.rejects(renameNode(registry, 'server1', 'server2'), ferryError('InvalidInput'));
    assert.equal((await volumeOrNull(registry, id))?.host, source);
  });

  test('of which an evacuation is under way is not renamed', async () => {
    await put(registry, 'move_plans', { id: randomUUID(), kind: 'evacuation', source: 'server1', requested_by: 'a' });
    await silence('server1');
    await assert.rejects(renameNode(registry, 'server1', 'server9'), ferryError('VolumeBusy'));
  });
});
