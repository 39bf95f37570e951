import { attachmentExportName } from '../../model/names.ts';
import { notReachedSo } from '../../model/warrants.ts';
import type { Registry } from '../../registry/open-registry.ts';
import * as warrants from '../../registry/warrants.ts';
import type { RegistryActivities } from '../registry/create-registry-activities.ts';
import type { Warrants } from './require-warrants.ts';

/** What writes down how a hypervisor reaches a volume. */
export type WritesConnection = Pick<RegistryActivities, 'finishAttach' | 'switchVolume'>;

/**
 * When the registry believes how a volume is reached. It is asked by workers that act on it unbidden: they put right what guests and exports do not
 * have so.
 */
export function registryWarrants(registry: Registry): Warrants<WritesConnection> {
  return {
    finishAttach: {
      async objection({ volumeId, attachmentId, connection }) {
        if (connection == null) return null;
        const { volume, attachments } = await warrants.volumeFacts(registry, volumeId);
        const its = attachments.find(({ id }) => id === attachmentId);
        // There is nothing to write it to: the activity says so in its own words.
        if (!volume || !its) return null;
        const at = { volumeId, backEnd: volume.host, deviceName: volume.deviceName };
        const exportName = attachmentExportName(attachmentId);
        const offered = await warrants.offersOf(registry, at);
        return notReachedSo(connection, { ...at, exportName, computeHost: its.computeHost }, offered);
      },
    },
    switchVolume: {
      async objection({ claim, attachment }) {
        const m = attachment && (await warrants.migrationFacts(registry, { id: claim.migrationId }));
        if (!m) return null;
        const { attachments } = await warrants.volumeFacts(registry, m.volumeId);
        const its = attachments.find(({ id }) => id === attachment.id);
        if (!its) return null;
        const at = { volumeId: m.volumeId, backEnd: m.destination, deviceName: m.destinationDevice };
        const offered = await warrants.offersOf(registry, at);
        const of = { ...at, exportName: m.destinationDevice, computeHost: its.computeHost };
        return notReachedSo(attachment.connection, of, offered);
      },
    },
  };
}
