import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AttachedStage } from './attached-stage.ts';
import { exportServers } from './export-servers.ts';
import { server1, server2 } from './stage.ts';

let stage: AttachedStage;
before(async () => {
  stage = await AttachedStage.set({ tls: true });
});
after(() => stage?.strike());

test('a volume under a running guest moves there and back where all exports ask for certificates', async () => {
  const volume = await stage.attached();
  for (const host of [server2, server1]) {
    assert.equal(await stage.outcome(await stage.migrate(volume.id, { destination: host })), 'success');
    await stage.assertAt(volume, host, 'success');
    assert.equal((await stage.attachment(volume.id)).connection?.['tls'], true);
    const [server] = await exportServers(stage.system.directory);
    assert.ok(
      server?.argv.some((each) => each.includes('"match":"CN=hv1"')),
      'for its hypervisor, and for nobody else',
    );
  }
  await stage.drop(volume);
});
