import { connection as connectionSchema } from '../../../model/connection.ts';
import type { SeenAttachment } from '../../../model/seen-attachment.ts';
import { timeText } from '../times.ts';

/** In lists without detail. */
export function summarizeAttachment({ id, status, instanceId, volumeId }: SeenAttachment): object {
  return { id, status, instance: instanceId, volume_id: volumeId };
}

export function presentAttachment(of: SeenAttachment): object {
  const info = connectionInfo(of);
  return {
    ...summarizeAttachment(of),
    attached_at: of.attachedAt === null ? '' : timeText(of.attachedAt),
    detached_at: '',
    attach_mode: of.mode,
    connection_info: info === null ? {} : { driver_volume_type: info.type, ...info.data, attachment_id: of.id },
  };
}

/**
 * How a host reaches the volume, in os-brick's words where it knows one: `local` on the storage node itself. Elsewhere it is `nbd`, which
 * os-brick has no connector for. Null while there is no connection.
 */
export function connectionInfo(of: SeenAttachment): { type: string; data: Record<string, unknown> } | null {
  const connection = connectionSchema.safeParse(of.connection).data;
  if (!connection) return null;
  const common = {
    volume_id: of.volumeId,
    access_mode: of.mode,
    encrypted: false,
    qos_specs: null,
    cacheable: false,
    enforce_multipath: false,
  };
  if (connection.protocol === 'local')
    return { type: 'local', data: { device_path: connection.path, device_kind: connection.kind, ...common } };
  const { host, port, exportName, tls } = connection;
  return { type: 'nbd', data: { host, port, export_name: exportName, tls, ...common } };
}
