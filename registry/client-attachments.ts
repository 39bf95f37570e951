import { FerryError } from '../model/errors.ts';
import type { SeenAttachment } from '../model/seen-attachment.ts';
import { statusOf, type Volume } from '../model/volume.ts';
import type { Queries, Registry } from './open-registry.ts';
import { lockFree } from './reservations.ts';
import { noColumns } from './rows.ts';
import { findSeenAttachment, listSeenAttachments } from './seen-attachments.ts';
import type { Visibility } from './volumes.ts';

type Of = Visibility & { volumeId: string };
type OfAttachment = Visibility & { attachmentId: string };

/** For whom a volume is kept. */
export interface NewReservation extends Of {
  attachmentId: string;
  /** Null: for a host. */
  instanceId: string | null;
  mode: 'rw' | 'ro';
  /** Also when it was reserved without saying for whom (`reserve`), by whoever asks now. */
  takesReservation?: boolean | undefined;
}

/**
 * Keeps a volume for an attachment that its client will make: an available one, or one that the same instance has already, or is to have.
 * Otherwise `VolumeStatusRefused`; `VolumeMigrating` and `VolumeBusy` while it is held. Of a volume that may only be read it is read-only.
 */
export function reserveAttachment(registry: Registry, wanted: NewReservation): Promise<SeenAttachment> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'attach', wanted);
    const others = await listSeenAttachments(q, { volumeId: found.id });
    if (!mayReserve(found, others, wanted)) throw notReservable(found);
    await q.rows(
      noColumns,
      `INSERT INTO client_attachments (id, volume_id, instance_id, mode, status) VALUES ($1, $2, $3, $4, 'reserved')`,
      [wanted.attachmentId, found.id, wanted.instanceId, found.readOnly ? 'ro' : wanted.mode],
    );
    await settle(q, found.id);
    return findSeenAttachment(q, wanted.attachmentId);
  });
}

function mayReserve(found: Volume, others: readonly SeenAttachment[], wanted: NewReservation): boolean {
  const status = statusOf(found);
  if (status === 'available') return true;
  if (status === 'attaching') return wanted.takesReservation === true && others.length === 0;
  if (status !== 'in-use' && status !== 'reserved') return false;
  return wanted.instanceId !== null && others.some(({ instanceId }) => instanceId === wanted.instanceId);
}

function notReservable(found: Volume): FerryError {
  const status = statusOf(found);
  return new FerryError(
    'VolumeStatusRefused',
    `Volume ${found.id} status must be available or downloading to reserve, but the current status is ${status}.`,
    { volumeId: found.id, operation: 'attach', status },
  );
}

/** Says that the client has done what it wanted the connection for: `attached`. May be repeated. Not connected: `VolumeStatusRefused`. */
export function completeAttachment(registry: Registry, of: OfAttachment): Promise<SeenAttachment> {
  return registry.transaction(async (q) => {
    const { found, seen } = await lockAttachment(q, 'attach', of);
    if (seen.status === 'attached') return seen;
    if (seen.status !== 'attaching' || seen.connection === null)
      throw new FerryError(
        'VolumeStatusRefused',
        `Attachment ${seen.id} is ${seen.status}: its host has no connection to volume ${found.id}. Update it with a connector first.`,
        { volumeId: found.id, attachmentId: seen.id, status: seen.status },
      );
    return markAttached(q, found.id, seen.id, {});
  });
}

/** What the client of an old-style attach tells, once it has the volume. */
export interface ToldAttached {
  instanceId?: string | null | undefined;
  host?: string | null | undefined;
  device?: string | null | undefined;
  mode?: 'rw' | 'ro' | undefined;
}

/**
 * The old way to say it, of a volume: the attachment that has a connection is complete; where none was asked for there is one without.
 * `VolumeStatusRefused` when the volume is not kept for one, nor available.
 */
export function completeOnVolume(
  registry: Registry,
  of: Of & { attachmentId: string; told: ToldAttached },
): Promise<SeenAttachment> {
  return registry.transaction(async (q) => {
    const found = await lockFree(q, 'attach', of);
    const others = await listSeenAttachments(q, { volumeId: found.id });
    const connected = others.find(({ status, isClients }) => status === 'attaching' && isClients);
    if (connected) return markAttached(q, found.id, connected.id, of.told);
    if (others.length > 0 || !['available', 'attaching'].includes(statusOf(found))) throw notReservable(found);
    if (found.readOnly && of.told.mode === 'rw')
      throw new FerryError('VolumeStatusRefused', `Volume ${found.id} may only be read; attach it with the mode ro.`, {
        volumeId: found.id,
      });
    await q.rows(
      noColumns,
      `INSERT INTO client_attachments (id, volume_id, mode, status) VALUES ($1, $2, $3, 'reserved')`,
      [of.attachmentId, found.id, found.readOnly ? 'ro' : 'rw'],
    );
    return markAttached(q, found.id, of.attachmentId, of.told);
  });
}

async function markAttached(q: Queries, volumeId: string, id: string, told: ToldAttached): Promise<SeenAttachment> {
  await q.rows(
    noColumns,
    `UPDATE client_attachments SET status = 'attached', attached_at = coalesce(attached_at, now()),
       instance_id = coalesce($2, instance_id), host = coalesce($3, host), device = coalesce($4, device), mode = coalesce($5, mode)
     WHERE id = $1`,
    [id, told.instanceId ?? null, told.host ?? null, told.device ?? null, told.mode ?? null],
  );
  await settle(q, volumeId);
  return findSeenAttachment(q, id);
}

/** Writes down where a client that has its connector told has the device. May be repeated. */
export async function noteDevice(registry: Queries, attachmentId: string, device: string): Promise<void> {
  await registry.rows(noColumns, 'UPDATE client_attachments SET device = $2 WHERE id = $1', [attachmentId, device]);
}

/**
 * Forgets an attachment that its host cannot reach: reserved only, or its connection has ended. `VolumeInUse` when it can. What the volume
 * is then its other attachments say. May be repeated (`AttachmentNotFound`).
 */
export function forgetAttachment(registry: Registry, of: OfAttachment): Promise<void> {
  return registry.transaction(async (q) => {
    const { found, seen } = await lockAttachment(q, 'detach', of);
    if (!seen.isClients || seen.connection !== null || seen.status === 'detaching')
      throw new FerryError('VolumeInUse', `Attachment ${seen.id} of volume ${found.id} is connected; detach it.`, {
        volumeId: found.id,
        attachmentId: seen.id,
      });
    await q.rows(noColumns, 'DELETE FROM client_attachments WHERE id = $1', [seen.id]);
    await settle(q, found.id);
  });
}

/** The volume's row locked before its attachment is looked at, so that both are of one moment. */
async function lockAttachment(q: Queries, operation: string, of: OfAttachment) {
  const before = await findSeenAttachment(q, of.attachmentId, of);
  const found = await lockFree(q, operation, { volumeId: before.volumeId, tenantId: of.tenantId });
  return { found, seen: await findSeenAttachment(q, of.attachmentId, of) };
}

/** Whether a client made the attachment, and so brings the disk into the guest and out of it; else Ferry does. */
export async function isClients(registry: Queries, attachmentId: string): Promise<boolean> {
  return (await registry.rows(noColumns, 'SELECT FROM client_attachments WHERE id = $1', [attachmentId])).length > 0;
}

/** What a volume rests in, by its attachments, and what it shows. */
export interface Standing {
  status: 'available' | 'reserved' | 'in-use';
  shown: 'attaching' | 'detaching' | null;
}

/** What the volume is by its attachments; `without`: as if that one were gone. Of one that nothing is under way with, or is about to end. */
export async function standingOf(q: Queries, volumeId: string, without: string | null = null): Promise<Standing> {
  const all = (await listSeenAttachments(q, { volumeId })).filter(({ id }) => id !== without);
  if (all.some(({ status, isClients }) => status === 'attaching' && isClients))
    return { status: 'in-use', shown: 'attaching' };
  if (all.some(({ status }) => status !== 'reserved')) return { status: 'in-use', shown: null };
  return { status: all.length > 0 ? 'reserved' : 'available', shown: null };
}

/** The volume becomes, and shows, what its attachments say. */
async function settle(q: Queries, volumeId: string): Promise<void> {
  const { status, shown } = await standingOf(q, volumeId);
  await q.rows(
    noColumns,
    'UPDATE volumes SET status = $2, shown_status = $3, updated_at = now() WHERE id = $1 AND operation IS NULL',
    [volumeId, status, shown],
  );
}

/** After an operation has ended: what is under way for a client is shown again, which the operation's beginning took off. */
export async function showStanding(q: Queries, volumeId: string): Promise<void> {
  const { status, shown } = await standingOf(q, volumeId);
  if (shown === null) return;
  await q.rows(noColumns, 'UPDATE volumes SET shown_status = $3 WHERE id = $1 AND status = $2 AND operation IS NULL', [
    volumeId,
    status,
    shown,
  ]);
}
