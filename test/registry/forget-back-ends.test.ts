import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import { listBackEnds } from '../../registry/back-ends.ts';
import { claimVolume } from '../../registry/claim.ts';
import { forgetBackEnds } from '../../registry/forget-back-ends.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { readStorage, recordStorage } from '../../registry/storages.ts';
import { testRegistry } from './database.ts';
import { claimArguments, destination, ferryError, put, putBackEnd, putVolume, source } from './world.ts';

describe('a back end that is retired, or was a typo', () => {
  let registry: Registry;
  beforeEach(async () => {
    registry = await testRegistry();
    for (const name of [source, destination, 'server1@typo']) await putBackEnd(registry, name);
    await registry.rows(noColumns, "UPDATE back_ends SET heartbeat_at = now() - interval '1 minute'");
  });
  const known = async () => (await listBackEnds(registry)).map(({ name }) => name);

  test('is forgotten with its storage, alone or with all of its node, and no other one', async () => {
    const mark = { id: randomUUID(), registry: randomUUID(), backEnd: source };
    await recordStorage(registry, source, mark, { mark: null, uuid: null, mountPoint: '/', sequence: null });
    assert.deepEqual(await forgetBackEnds(registry, 'server1@typo'), ['server1@typo']);
    assert.equal((await readStorage(registry, source)).identity, mark.id);
    assert.deepEqual(await forgetBackEnds(registry, 'server1'), [source]);
    assert.equal((await readStorage(registry, source)).identity, null);
    assert.deepEqual(await known(), [destination]);
    await assert.rejects(forgetBackEnds(registry, 'server1'), ferryError('BackEndNotFound'));
  });

  test('stays while its worker is heard of', async () => {
    await registry.rows(noColumns, 'UPDATE back_ends SET heartbeat_at = now() WHERE name = $1', [source]);
    await assert.rejects(forgetBackEnds(registry, 'server1'), ferryError('VolumeBusy'));
    await forgetBackEnds(registry, 'server1@typo');
    assert.deepEqual(await known(), [source, destination]);
  });

  const uses: Record<string, (id: string) => Promise<unknown>> = {
    'a volume': async () => {},
    'a migration to it': async (id) => {
      await registry.rows(noColumns, 'UPDATE back_ends SET heartbeat_at = now()');
      await claimVolume(registry, claimArguments(id));
      await registry.rows(noColumns, "UPDATE back_ends SET heartbeat_at = now() - interval '1 minute'");
    },
    'a device that does not fit': async (id) => {
      await registry.rows(noColumns, 'UPDATE volumes SET host = $2 WHERE id = $1', [id, source]);
      await put(registry, 'discrepancies', {
        back_end: destination,
        device_name: `volume-${id}`,
        volume_id: id,
        why: 'it is newer',
      });
    },
  };
  for (const [what, use] of Object.entries(uses))
    test(`stays while it has ${what}`, async () => {
      const id = await putVolume(registry, { host: what === 'a migration to it' ? source : destination });
      await use(id);
      const type = what === 'a device that does not fit' ? 'NeedsRepair' : 'VolumeBusy';
      await assert.rejects(forgetBackEnds(registry, destination), ferryError(type));
      assert.ok((await known()).includes(destination));
    });
});
