import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { GoneHypervisor } from '../../client/hypervisors.ts';
import { server1, server2, setStage, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

describe('a hypervisor that is gone for good', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage({ backing: 'directory', nodeTimeoutSeconds: 60 });
  });
  after(() => stage?.strike());
  const { ferry, refused, status } = stageCli(() => stage);

  /** A volume that is attached to a guest of the hypervisor, and how that reaches it. */
  async function attached(hypervisor: string) {
    const { id, contents } = await stage.volume();
    const { connection } = await ferry<{ connection: { port: number; exportName: string } }>(
      'attach',
      id,
      'guest-1',
      hypervisor,
    );
    return { id, contents, url: `nbd://127.0.0.1:${connection.port}/${connection.exportName}` };
  }

  /** A client of the export, as the guest's QEMU is one. */
  async function connect(url: string) {
    const guest = spawn('qemu-io', ['-f', 'raw', url], { stdio: ['pipe', 'pipe', 'pipe'] });
    guest.stdout.setEncoding('utf8');
    // One that could not connect may have ended before it is told anything.
    guest.stdin.on('error', () => {});
    const ended = once(guest, 'exit');
    const gone = ended.then(() => Promise.reject(new Error('the client has ended')));
    gone.catch(() => {});
    const reads = async () => {
      guest.stdin.write('read 0 4k\n');
      let said = '';
      while (!/read 4096\/4096|read failed/.test(said))
        said += String((await Promise.race([once(guest.stdout, 'data'), gone]))[0]);
      return !said.includes('read failed');
    };
    assert.ok(await reads());
    return { reads, end: async () => (guest.kill('SIGKILL'), await ended) };
  }

  const declare = async (hypervisor: string, ...more: string[]) => {
    const { stdout, stderr } = await stage.ferry(
      'hypervisor',
      'gone',
      hypervisor,
      '--confirm',
      hypervisor,
      ...more,
      '--json',
    );
    assert.notEqual(stdout, '', stderr);
    return JSON.parse(stdout) as GoneHypervisor;
  };

  test('nothing happens until its name is typed again; what would end is told', async () => {
    const { id } = await attached('hv-a');
    for (const typed of [[], ['--confirm', 'hv-b']]) {
      const { type, message } = await refused('hypervisor', 'gone', 'hv-a', ...typed);
      assert.equal(type, 'InvalidInput');
      assert.match(message, new RegExp(`volume ${id}, of instance guest-1`));
    }
    assert.equal(await status(id), 'in-use');
    assert.deepEqual(await declare('hv-b'), { hypervisor: 'hv-b', freed: [], left: [] });
    assert.equal(await status(id), 'in-use');
  });

  test('its volumes are free, but for those to whose export somebody is connected', async () => {
    const [idle, used] = [await attached('hv-c'), await attached('hv-c')];
    const guest = await connect(used.url);
    try {
      const first = await declare('hv-c');
      assert.deepEqual(first.freed, [idle.id]);
      assert.deepEqual(
        first.left.map(({ volumeId, reason }) => [volumeId, reason.type]),
        [[used.id, 'VolumeInUse']],
      );
      assert.match(first.left[0]!.reason.message, /connected to the export/);
      assert.deepEqual([await status(idle.id), await status(used.id)], ['available', 'in-use']);
      assert.ok(await guest.reads(), 'a connected client is cut off');
    } finally {
      await guest.end();
    }
    await assert.rejects(connect(idle.url));
    assert.deepEqual(await declare('hv-c'), { hypervisor: 'hv-c', freed: [used.id], left: [] });
    for (const { id, contents } of [idle, used]) {
      await ferry('migrate', id, server2);
      await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
    }
  });

  test('reset-state forgets an attachment only once nobody has the volume, and its export ends with it', async () => {
    const { id, contents, url } = await attached('hv-e');
    const reset = ['reset-state', id, '--detached'];
    const guest = await connect(url);
    try {
      const { type, message } = await refused(...reset);
      assert.equal(type, 'VolumeInUse');
      assert.match(message, /connected to the export/);
      // What is known is not overruled by what is not.
      assert.equal((await refused(...reset, '--even-if-silent')).type, 'VolumeInUse');
      assert.equal(await status(id), 'in-use');
      assert.ok(await guest.reads(), 'a connected client is cut off');
    } finally {
      await guest.end();
    }
    const storage = stage.storage['server1']!;
    await storage.signal('SIGSTOP');
    try {
      const { type, message } = await refused(...reset);
      assert.equal(type, 'NodeUnavailable');
      assert.match(message, /the storage node of server1@lvmstorage-1 does not tell/);
      assert.equal(await status(id), 'in-use');
    } finally {
      await storage.signal('SIGCONT');
      await stage.untilUp();
    }
    await ferry(...reset);
    assert.equal(await status(id), 'available');
    await assert.rejects(connect(url));
    await ferry('migrate', id, server2);
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
  });

  test('reset-state forgets it also without an answer when the operator says so', async () => {
    const { id } = await attached('hv-f');
    const storage = stage.storage['server1']!;
    await storage.signal('SIGSTOP');
    try {
      await ferry('reset-state', id, '--detached', '--even-if-silent');
      assert.equal(await status(id), 'available');
    } finally {
      await storage.signal('SIGCONT');
      await stage.untilUp();
    }
  });

  test('cuts off who is connected when the operator says so, before the volume is anybody else’s', async () => {
    const { id, contents, url } = await attached('hv-d');
    const guest = await connect(url);
    try {
      assert.deepEqual((await declare('hv-d', '--even-if-connected')).freed, [id]);
      assert.equal(await status(id), 'available');
      await assert.rejects(connect(url));
    } finally {
      await guest.end();
    }
    await stage.checker.assertAt(id, { host: server1, contents, outcome: [null] });
  });
});
