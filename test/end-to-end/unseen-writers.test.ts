import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import type { MigrationRecord } from '../../model/migration.ts';
import { messages } from '../../model/messages.ts';
import { reconcileSchedule } from '../../model/names.ts';
import { poll, server1, server2, setStage, slowly, type Stage } from './stage.ts';
import { stageCli } from './stage-cli.ts';

const second = 'server1@second';
const nodes = [
  {
    name: 'server1',
    volumeGroups: [
      { name: 'lvmstorage-1', sizeMib: 24 * 1024 },
      { name: 'second', sizeMib: 24 * 1024 },
    ],
  },
  { name: 'server2', volumeGroups: [{ name: 'lvmstorage-2', sizeMib: 24 * 1024 }] },
];

describe('nobody writes to a detached volume unseen', () => {
  let stage: Stage;
  before(async () => {
    stage = await setStage({ backing: 'directory', nodes, nodeTimeoutSeconds: 60 });
    // Its look would refuse first: what is tested is that each step asks for itself.
    await stage.client.schedule.getHandle(reconcileSchedule).pause();
  });
  after(() => stage?.strike());
  const { ferry } = stageCli(() => stage);

  const file = (id: string, node = 'server1', group = 'lvmstorage-1') =>
    join(stage.directory, 'nodes', node, group, 'volumes', `volume-${id}`);
  const isWritable = (path: string) =>
    open(path, 'r+').then(
      (handle) => handle.close().then(() => true),
      () => false,
    );
  const refused = async (...argv: string[]) => {
    const { exitCode, stderr, stdout } = await stage.ferry(...argv);
    assert.notEqual(exitCode, 0, stdout);
    return `${stdout}${stderr}`;
  };

  /** A program that has the file open for writing. */
  async function writerOf(path: string) {
    const writer = spawn('sh', ['-c', 'exec 3<>"$0"; echo; exec sleep 600', path], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(writer.stdout, 'data');
    return {
      pid: writer.pid,
      isAlive: () => writer.exitCode === null && writer.signalCode === null,
      end: async () => {
        writer.kill('SIGKILL');
        await once(writer, 'exit');
      },
    };
  }

  for (const to of [second, server2]) {
    test(`somebody has its file open: to ${to} it does not move, and is told who it is`, async () => {
      const { id, contents } = await stage.volume();
      const writer = await writerOf(file(id));
      try {
        const opened = await stat(file(id));
        const { exitCode, stderr, stdout } = await stage.ferry('migrate', id, to);
        const here = `writer alive: ${writer.isAlive()}; it opened ${opened.dev}:${opened.ino}`;
        assert.notEqual(exitCode, 0, `${stdout}${here}`);
        const why = `${stdout}${stderr}`;
        assert.match(why, new RegExp(`is in use, though no attachment says so: process ${writer.pid} `));
        await stage.checker.assertAt(id, { host: server1, contents, outcome: [null, 'error'] });
      } finally {
        await writer.end();
      }
      await ferry('migrate', id, to);
      await stage.checker.assertAt(id, { host: to, contents, outcome: 'success' });
    });
  }

  test('somebody writes through an export that the registry has forgotten: nothing cuts it off', async () => {
    const { id } = await stage.volume();
    await ferry('attach', id, 'guest-1', 'some-hypervisor');
    const database = new pg.Client(stage.postgres.url);
    await database.connect();
    await using ends = new AsyncDisposableStack();
    ends.defer(() => database.end());
    const { rows } = await database.query<{ connection: { port: number; exportName: string } }>(
      'DELETE FROM attachments WHERE volume_id = $1 RETURNING connection',
      [id],
    );
    await database.query("UPDATE volumes SET status = 'available' WHERE id = $1", [id]);
    const { port, exportName } = rows[0]!.connection;
    assert.match(await refused('migrate', id, server2), /the writable export .*, to which nobody is connected now/);
    const guest = spawn('qemu-io', ['-f', 'raw', `nbd://127.0.0.1:${port}/${exportName}`], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    ends.defer(() => void guest.kill('SIGKILL'));
    guest.stdout.setEncoding('utf8');
    const wrote = async () => {
      guest.stdin.write('write -f -P 7 600M 4k\n');
      let said = '';
      while (!/wrote 4096\/4096/.test(said)) said += String((await once(guest.stdout, 'data'))[0]);
    };
    await wrote();
    for (const argv of [
      ['migrate', id, server2],
      ['migrate', id, second],
      ['attach', id, 'guest-2', 'some-hypervisor'],
      ['unmanage', id],
      ['delete', id],
    ]) {
      assert.match(await refused(...argv), /connected to the export/, argv.join(' '));
      await wrote();
    }
    guest.kill('SIGKILL');
    await once(guest, 'exit');
    await ferry('delete', id, '--force');
    await assert.rejects(stat(file(id)), { code: 'ENOENT' });
  });

  test('at the end of an attachment somebody else has its file open: it stays attached until he lets go', async () => {
    const { id, contents } = await stage.volume();
    await ferry('attach', id, 'guest-1', 'some-hypervisor');
    const writer = await writerOf(file(id));
    assert.match(await refused('detach', id), new RegExp(`process ${writer.pid} `));
    await writer.end();
    await ferry('detach', id);
    await ferry('migrate', id, server2);
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success' });
  });

  test('at the end of an attachment somebody is connected, whom no hypervisor was asked about: he is named, and writes on', async () => {
    const { id } = await stage.volume();
    const { connection } = await ferry<{ connection: { port: number; exportName: string } }>(
      'attach',
      id,
      'guest-1',
      'some-hypervisor',
    );
    const guest = spawn('qemu-io', ['-f', 'raw', `nbd://127.0.0.1:${connection.port}/${connection.exportName}`], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    guest.stdout.setEncoding('utf8');
    const wrote = async () => {
      guest.stdin.write('write -f -P 7 600M 4k\n');
      for (let said = ''; !/wrote 4096\/4096/.test(said);) said += String((await once(guest.stdout, 'data'))[0]);
    };
    try {
      await wrote();
      assert.match(await refused('detach', id), /127\.0\.0\.1:\d+ is connected to it/);
      await wrote();
      assert.equal((await ferry<{ status: string }>('show', id)).status, 'in-use');
    } finally {
      guest.kill('SIGKILL');
      await once(guest, 'exit');
    }
    await ferry('detach', id);
    assert.equal((await ferry<{ status: string }>('show', id)).status, 'available');
  });

  test('nobody can begin to write to it while it is copied; taken back, it can be written to again', async () => {
    for (const end of ['cancelled', 'terminated'] as const) {
      const { id, contents } = await stage.volume();
      const handle = await stage.migrate(id, { destination: server2, bandwidth: slowly });
      await stage.untilCopied(handle, 8 * 1024 ** 2);
      assert.equal(await isWritable(file(id)), false);
      if (end === 'cancelled') await handle.executeUpdate(messages.cancelMigration);
      else await handle.terminate();
      if (end === 'terminated') await poll(async () => (await stage.ferry('repair')).exitCode === 0);
      else assert.equal(await stage.outcome(handle), 'CancelledFailure');
      const outcome = end === 'cancelled' ? 'cancelled' : 'error';
      await stage.checker.assertAt(id, { host: server1, contents, outcome });
      assert.equal(await isWritable(file(id)), true);
    }
  });

  test('a kept source cannot be written to until its volume is back', async () => {
    const { id, contents } = await stage.volume();
    await ferry('migrate', id, server2, '--keep-source', '1d');
    await stage.checker.assertAt(id, { host: server2, contents, outcome: 'success', kept: [server1] });
    assert.equal(await isWritable(file(id)), false);
    await ferry('migration', 'undo', id);
    await stage.checker.assertAt(id, { host: server1, contents, outcome: 'success' });
    assert.equal((await ferry<MigrationRecord>('migration', 'show', id)).flow, 'undo');
    assert.equal(await isWritable(file(id)), true);
  });
});
