import type { Logger } from 'pino';
import type { VolumeDriver } from '../activities/storage/driver.ts';
import { endExport, type Exports } from '../activities/storage/exports.ts';
import { refuseIfWritten } from '../activities/storage/guard-device.ts';
import { reasonNotLive, standingOf, volumeTag } from '../model/device.ts';
import { listConnectedAttachments, reconnect, type ConnectedAttachment } from '../registry/connected-attachments.ts';
import type { Registry } from '../registry/open-registry.ts';
import { admitGuests } from './admit-guests.ts';

interface Dependencies {
  drivers: ReadonlyMap<string, VolumeDriver>;
  exports: Exports;
  registry: Registry;
  log: Logger;
  /** Whether guests may be migrated to other hypervisors. */
  guestMigration: boolean;
}

/**
 * Brings the exports of attached volumes back after the node was restarted or their server died; those that run are left alone. One that cannot come
 * back is said in the log and keeps none of the others.
 */
export async function restoreExports(deps: Dependencies): Promise<void> {
  const attachments = await listConnectedAttachments(deps.registry, [...deps.drivers.keys()]);
  if (attachments.length === 0) return;
  const exported = await deps.exports.list();
  if (deps.guestMigration) await admitGuests({ ...deps, backEnds: [...deps.drivers.keys()] }, exported);
  const running = new Map(exported.map((each) => [each.exportName, each.address.port]));
  for (const attachment of attachments) {
    if (running.get(attachment.connection.exportName) === attachment.connection.port) continue;
    try {
      await restore(deps, attachment);
    } catch (error) {
      const { volumeId, attachmentId } = attachment;
      deps.log.error(
        { volumeId, attachmentId, error: (error as Error).message },
        'the export of an attached volume could not be restored',
      );
    }
  }
}

async function restore(
  { drivers, exports, registry, log }: Dependencies,
  attachment: ConnectedAttachment,
): Promise<void> {
  const { volumeId, host: backEnd, deviceName, mode, connection } = attachment;
  const driver = drivers.get(backEnd)!;
  const device = await driver.find(deviceName);
  const tag = volumeTag(volumeId);
  if (!device) throw new Error(`${deviceName} is not on ${backEnd}`);
  const reason = reasonNotLive(device, attachment);
  // What a migration has just turned its guest to is live in a moment.
  if (reason && standingOf(device.tags).role !== 'incoming') throw new Error(reason.message);
  const { exportName, port } = connection;
  // The registry may not know by what way the guest has it now: by its path, say, where the hypervisor is this node.
  await refuseIfWritten({ driver, exports, name: deviceName, but: exportName });
  const spec = { exportName, path: device.path, writable: mode === 'rw', tags: [tag], port };
  const address = await exports.ensure(spec);
  // Detached or moved while the export came up: it must not stay.
  const isWanted = await reconnect(registry, attachment, { protocol: 'nbd', ...address, backEnd, device: deviceName });
  if (!isWanted) return endExport(exports, exportName);
  if (address.port !== port) log.warn({ volumeId, port: address.port }, 'an attached volume has a new address');
}
