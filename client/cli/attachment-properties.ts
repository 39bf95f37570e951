import type { Attachment } from '../../model/volume.ts';

/** An attachment's properties; how it is connected, and where, is the administrator's. */
export function attachmentProperties(a: Attachment, admin: boolean): Record<string, unknown> {
  return {
    attachment_id: a.id,
    volume_id: a.volumeId,
    server_id: a.instanceId,
    device: a.device,
    mode: a.mode,
    status: a.status,
    attached_at: a.attachedAt?.toISOString() ?? null,
    ...(admin ? { host_name: a.computeHost, connection: a.connection } : {}),
  };
}
