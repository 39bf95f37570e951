import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { DiskSource } from '../../../activities/compute/disk-source.ts';
import { whyUnreachable } from '../../../activities/compute/reach-export.ts';
import { type Guest, Hypervisor } from './hypervisor.ts';
import { assertFailure, MovingDisk } from './moving-disk.ts';

const addressOf = (source: DiskSource) => {
  assert.ok(source.kind === 'nbd');
  return source.address;
};

/** A server that takes every connection and says to each what it is told to say; nothing more comes of it. */
async function mute(say: (connection: number) => string) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    socket.write(say(sockets.length));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    source: { kind: 'nbd', address: { host: '127.0.0.1', port, exportName: 'volume-mute', tls: false } } as const,
    sockets,
    async end() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('an export that cannot be opened from the hypervisor', { timeout: 1_800_000 }, () => {
  let hypervisor: Hypervisor;
  let guest: Guest;
  let disk: MovingDisk;
  before(async () => {
    hypervisor = await Hypervisor.start();
    guest = await hypervisor.guest('goes-on');
    disk = await MovingDisk.attach(hypervisor, guest);
  });
  after(() => hypervisor?.stop());

  const mirrorTo = (destination: DiskSource) =>
    hypervisor.run(hypervisor.activities.mirrorDisk, { ...disk.move, destination, bandwidth: null });
  const attach = (source: DiskSource) =>
    hypervisor.run(hypervisor.activities.attachDisk, {
      instance: guest.name,
      volumeId: '6088f80a-f116-4331-ad48-9afb0dfb196c',
      source,
      device: null,
      mode: 'rw' as const,
    });

  /** The guest writes on while the step is still waiting; the failure of the step. */
  async function failureBeside(step: Promise<unknown>): Promise<unknown> {
    let failed = false;
    const failure = step.then(
      () => assert.fail('it succeeds'),
      (error: unknown) => {
        failed = true;
        return error;
      },
    );
    await guest.console.progress(disk.device, 2);
    assert.equal(failed, false, 'the step is over before the guest has written anything');
    return failure;
  }
  const nothingLeft = async () => {
    assert.equal(await disk.stands(), 'not-started');
    await disk.assertWholeOn(disk.volume.source);
    assert.doesNotMatch(await hypervisor.virsh('dumpxml', '--domain', guest.name), /volume-mute|6088f80a/);
    assert.doesNotMatch(
      await hypervisor.virsh('dumpxml', '--domain', guest.name, '--inactive'),
      /volume-mute|6088f80a/,
    );
  };

  it('hangs: no mirror begins and no disk comes, and the guest writes on meanwhile', async () => {
    const { destination } = disk.volume;
    destination.hang();
    try {
      assertFailure(await failureBeside(mirrorTo(destination.source)), 'MirrorFailed');
      const refused = await failureBeside(attach(destination.source));
      assertFailure(refused, 'InstanceNotReady');
      assert.match((refused as Error).message, /does not answer within 3s/);
    } finally {
      destination.goOn();
    }
    await nothingLeft();
  });

  it('is taken by somebody who says nothing: the same, until he goes', async () => {
    const { destination } = disk.volume;
    const { host, port } = addressOf(destination.source);
    /** For one step each: the server drops who has said nothing for ten seconds. */
    const besideSilence = async (step: () => Promise<unknown>) => {
      const silent = connect({ host, port });
      await once(silent, 'data');
      try {
        return await failureBeside(step());
      } finally {
        silent.destroy();
      }
    };
    assertFailure(await besideSilence(() => mirrorTo(destination.source)), 'MirrorFailed');
    assertFailure(await besideSilence(() => attach(destination.source)), 'InstanceNotReady');
    await nothingLeft();
    assert.equal(await whyUnreachable(destination.source), null);
  });

  it('hangs just when QEMU opens it: the connection is cut, and the guest goes on', async () => {
    const late = await mute((connection) => (connection === 1 ? 'NBDMAGIC' : ''));
    try {
      await assert.rejects(mirrorTo(late.source), { type: 'MirrorFailed' });
      assert.equal(late.sockets.length, 2, 'QEMU has tried');
      await nothingLeft();
    } finally {
      await late.end();
    }
  });

  it('is nobody’s, or something else: told at once', async () => {
    const other = await mute(() => 'SSH-2.0-something\n');
    assert.match((await whyUnreachable(other.source))!, /is no NBD server/);
    await other.end();
    assert.match((await whyUnreachable(other.source))!, /cannot be reached: .*ECONNREFUSED/);
  });

  it('answers again: the mirror begins, although it was looked at first', async () => {
    assert.equal((await disk.mirror()).ready, true);
    await disk.pivot();
    await disk.assertWholeOn(disk.volume.destination);
    await disk.detach();
  });
});
