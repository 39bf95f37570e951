import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { FerryError } from '../../model/errors.ts';
import { statusOf } from '../../model/volume.ts';
import {
  beginAttach,
  beginDetach,
  failAttach,
  failDetach,
  finishAttach,
  finishDetach,
} from '../../registry/attachments.ts';
import {
  completeAttachment,
  completeOnVolume,
  forgetAttachment,
  reserveAttachment,
} from '../../registry/client-attachments.ts';
import { listGuestDisks } from '../../registry/guest-disks.ts';
import { beginDetaching, reserve, rollDetaching, unreserve } from '../../registry/reservations.ts';
import { resetState } from '../../registry/reset-state.ts';
import { listSeenAttachments } from '../../registry/seen-attachments.ts';
import { findVolume } from '../../registry/volumes.ts';
import { testRegistry } from './database.ts';
import { putAttachment, putBackEnd, putVolume, source } from './world.ts';

let registry: Awaited<ReturnType<typeof testRegistry>>;
before(async () => {
  registry = await testRegistry();
  await putBackEnd(registry, source);
});

const vm = randomUUID();
const reason = { type: 'NodeUnavailable', message: 'away' } as const;

async function reserved(volumeId: string, instanceId: string | null = vm): Promise<string> {
  const attachmentId = randomUUID();
  await reserveAttachment(registry, { volumeId, attachmentId, instanceId, mode: 'rw' });
  return attachmentId;
}

const ticketOf = (volumeId: string, attachmentId: string) => ({
  volumeId,
  attachmentId,
  owner: `test/${randomUUID()}`,
});

const beginConnect = (ticket: ReturnType<typeof ticketOf>, computeHost = 'hv1') =>
  beginAttach(registry, { ...ticket, instanceId: vm, computeHost, isClients: true });

async function connected(volumeId: string, attachmentId: string): Promise<void> {
  const ticket = ticketOf(volumeId, attachmentId);
  await beginConnect(ticket);
  const nbd = { protocol: 'nbd', exportName: `attachment-${attachmentId}`, backEnd: source };
  await finishAttach(registry, { ...ticket, connection: nbd });
}

async function ended(volumeId: string, attachmentId: string, connectionOnly = false): Promise<void> {
  const ticket = ticketOf(volumeId, attachmentId);
  await beginDetach(registry, ticket);
  await finishDetach(registry, { ...ticket, connectionOnly });
}

/** What the clients see of the volume, and of its attachments, the newest first. */
async function seen(volumeId: string): Promise<string> {
  const status = statusOf(await findVolume(registry, volumeId));
  return [status, ...(await listSeenAttachments(registry, { volumeId })).map((each) => each.status)].join(' ');
}

const refused = (type: string) => (error: unknown) => error instanceof FerryError && error.type === type;

describe('an attachment that a client makes', () => {
  test('is reserved, connected, complete and gone, and the volume shows it', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    assert.equal(await seen(id), 'reserved reserved');
    const ticket = ticketOf(id, attachmentId);
    await beginConnect(ticket);
    assert.equal(await seen(id), 'attaching reserved');
    await finishAttach(registry, { ...ticket, connection: { protocol: 'nbd' } });
    assert.equal(await seen(id), 'attaching attaching');
    await completeAttachment(registry, { attachmentId });
    await completeAttachment(registry, { attachmentId });
    assert.equal(await seen(id), 'in-use attached');
    const detach = ticketOf(id, attachmentId);
    await beginDetach(registry, detach);
    assert.equal(await seen(id), 'detaching detaching');
    await finishDetach(registry, detach);
    await finishDetach(registry, detach);
    assert.equal(await seen(id), 'available');
  });

  test('that is not connected is not complete', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    await assert.rejects(completeAttachment(registry, { attachmentId }), refused('VolumeStatusRefused'));
    assert.equal(await seen(id), 'reserved reserved');
  });

  test('whose connection fails is reserved as before, and may be connected again', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    const ticket = ticketOf(id, attachmentId);
    await beginConnect(ticket);
    await failAttach(registry, { ...ticket, reason });
    assert.equal(await seen(id), 'reserved reserved');
    await connected(id, attachmentId);
    assert.equal(await seen(id), 'attaching attaching');
  });

  test('that somebody still uses stays what it was', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    await connected(id, attachmentId);
    for (const stays of ['attaching attaching', 'in-use attached']) {
      const ticket = ticketOf(id, attachmentId);
      await beginDetach(registry, ticket);
      await failDetach(registry, { ...ticket, reason });
      assert.equal(await seen(id), stays);
      await completeAttachment(registry, { attachmentId });
    }
    await assert.rejects(forgetAttachment(registry, { attachmentId }), refused('VolumeInUse'));
  });

  test('keeps everybody else off the volume, from its reservation on', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    const [reservesToo, reservesForAHost, reservesOldStyle, attaches, saysSo] = [
      () => reserved(id, randomUUID()),
      () => reserved(id, null),
      () => reserve(registry, { volumeId: id }),
      () => beginAttach(registry, { ...ticketOf(id, randomUUID()), instanceId: 'other', computeHost: 'hv2' }),
      () => completeOnVolume(registry, { volumeId: id, attachmentId: randomUUID(), told: { host: 'hv2' } }),
    ] as const;
    for (const other of [reservesToo, reservesForAHost, reservesOldStyle, attaches, saysSo])
      await assert.rejects(other, refused('VolumeStatusRefused'));
    await assert.rejects(beginConnect(ticketOf(id, randomUUID())), refused('AttachmentNotFound'));
    assert.equal(await seen(id), 'reserved reserved');
    await connected(id, attachmentId);
    for (const other of [reservesToo, reservesForAHost, reservesOldStyle, attaches])
      await assert.rejects(other, refused('VolumeStatusRefused'));
    assert.equal(await seen(id), 'attaching attaching');
  });

  test('has one host at a time; a second one of the same instance waits until the first is gone', async () => {
    const id = await putVolume(registry);
    const first = await reserved(id);
    await connected(id, first);
    await completeAttachment(registry, { attachmentId: first });
    const second = await reserved(id);
    assert.equal(await seen(id), 'in-use reserved attached');
    const early = beginConnect(ticketOf(id, second), 'hv2');
    await assert.rejects(early, refused('VolumeStatusRefused'));
    assert.equal(await seen(id), 'in-use reserved attached');
    await ended(id, first);
    assert.equal(await seen(id), 'reserved reserved');
    await connected(id, second);
    await completeAttachment(registry, { attachmentId: second });
    assert.equal(await seen(id), 'in-use attached');
  });

  test('is none of the guests that Ferry looks after', async () => {
    const id = await putVolume(registry);
    const attachmentId = await reserved(id);
    await connected(id, attachmentId);
    assert.deepEqual(
      (await listGuestDisks(registry, 'hv1')).filter(({ volumeId }) => volumeId === id),
      [],
    );
  });

  test("is seen by its tenant only, as Ferry's own are", async () => {
    const id = await putVolume(registry);
    const own = await reserved(id);
    const other = await putVolume(registry, { tenant_id: 'tenant-2', status: 'in-use' });
    const ferrys = await putAttachment(registry, other, { device: 'vdb' });
    const ids = async (tenantId: string) => (await listSeenAttachments(registry, { tenantId })).map((each) => each.id);
    assert.ok((await ids('tenant-1')).includes(own));
    assert.deepEqual(await ids('tenant-2'), [ferrys]);
    const [as] = await listSeenAttachments(registry, { id: ferrys });
    assert.partialDeepStrictEqual(as, { status: 'attached', device: '/dev/vdb', host: 'hv1', isClients: false });
    const stranger = completeAttachment(registry, { attachmentId: own, tenantId: 'tenant-2' });
    await assert.rejects(stranger, refused('AttachmentNotFound'));
    await assert.rejects(
      forgetAttachment(registry, { attachmentId: own, tenantId: 'tenant-2' }),
      refused('AttachmentNotFound'),
    );
  });

  test('of a volume that may only be read is for reading', async () => {
    const id = await putVolume(registry, { read_only: true });
    const attachmentId = await reserved(id);
    const [found] = await listSeenAttachments(registry, { id: attachmentId });
    assert.equal(found?.mode, 'ro');
  });

  test('is forgotten by a reset, and by the end of its volume', async () => {
    const id = await putVolume(registry);
    await reserved(id);
    await resetState(registry, { volumeId: id, status: 'available', detached: [] });
    assert.equal(await seen(id), 'available');
  });
});

describe('the old way to attach', () => {
  test('reserve, connect, attach, begin to detach, disconnect, detach', async () => {
    const id = await putVolume(registry);
    await reserve(registry, { volumeId: id });
    const attachmentId = randomUUID();
    const wanted = { volumeId: id, attachmentId, instanceId: null, mode: 'rw' } as const;
    await assert.rejects(reserveAttachment(registry, wanted), refused('VolumeStatusRefused'));
    await reserveAttachment(registry, { ...wanted, takesReservation: true });
    await connected(id, attachmentId);
    assert.equal(await seen(id), 'attaching attaching');
    await assert.rejects(beginDetaching(registry, { volumeId: id }), refused('VolumeStatusRefused'));
    const told = { instanceId: vm, device: '/dev/vdb', mode: 'ro' } as const;
    await completeOnVolume(registry, { volumeId: id, attachmentId: randomUUID(), told });
    assert.equal(await seen(id), 'in-use attached');
    const [made] = await listSeenAttachments(registry, { volumeId: id });
    assert.partialDeepStrictEqual(made, { id: attachmentId, instanceId: vm, device: '/dev/vdb', host: 'hv1' });
    await beginDetaching(registry, { volumeId: id });
    await ended(id, attachmentId, true);
    assert.equal(await seen(id), 'detaching attached');
    await forgetAttachment(registry, { attachmentId });
    assert.equal(await seen(id), 'available');
  });

  test('that fails: what was connected is disconnected, and unreserving may come after it, and again', async () => {
    const id = await putVolume(registry);
    await reserve(registry, { volumeId: id });
    const attachmentId = randomUUID();
    await reserveAttachment(registry, {
      volumeId: id,
      attachmentId,
      instanceId: null,
      mode: 'rw',
      takesReservation: true,
    });
    await connected(id, attachmentId);
    // Too early: the host still has its connection.
    await unreserve(registry, { volumeId: id });
    assert.equal(await seen(id), 'attaching attaching');
    await ended(id, attachmentId, true);
    for (const _ of [1, 2]) {
      await unreserve(registry, { volumeId: id });
      assert.equal(await seen(id), 'available');
    }
  });

  test('without a connection is only said; it is taken back as it was said', async () => {
    const id = await putVolume(registry);
    await completeOnVolume(registry, {
      volumeId: id,
      attachmentId: randomUUID(),
      told: { host: 'hv1', device: '/dev/vdb' },
    });
    assert.equal(await seen(id), 'in-use attached');
    await beginDetaching(registry, { volumeId: id });
    await rollDetaching(registry, { volumeId: id });
    assert.equal(await seen(id), 'in-use attached');
    const [made] = await listSeenAttachments(registry, { volumeId: id });
    await forgetAttachment(registry, { attachmentId: made!.id });
    assert.equal(await seen(id), 'available');
  });
});
