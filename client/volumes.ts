import type { Attachment, Volume } from '../model/volume.ts';
import { listAttachments } from '../registry/attachments.ts';
import type { Page } from '../registry/pages.ts';
import {
  countVolumes,
  findVolume,
  listVolumes,
  volumeNames,
  volumesCalled,
  type VolumeFilter,
  type VolumeSortKey,
} from '../registry/volumes.ts';
import type { Context } from './context.ts';
import type { NewVolume } from './create-volume.ts';
import { visibleTo } from './identity.ts';

/** A volume with what hangs on it. */
export interface VolumeWithAttachments {
  volume: Volume;
  attachments: Attachment[];
}

/** What anybody may ask about volumes; tenants see and make their own only. */
export function volumeCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);
  return {
    /** The volumes that fit and that the caller may see, the newest first unless sorted otherwise. */
    listVolumes: (filter: VolumeFilter & Page<VolumeSortKey> = {}): Promise<Volume[]> =>
      listVolumes(registry, { ...filter, ...visible }),

    /** How many volumes fit that the caller may see. */
    countVolumes: (filter: VolumeFilter = {}): Promise<number> => countVolumes(registry, { ...filter, ...visible }),

    /** `VolumeNotFound` if there is none, or it is another tenant's. */
    async findVolume(volumeId: string): Promise<VolumeWithAttachments> {
      const volume = await findVolume(registry, volumeId, visible);
      return { volume, attachments: await listAttachments(registry, { volumeId: volume.id }) };
    },

    /** See volumesCalled in registry/volumes.ts: those that the caller may see. */
    volumesCalled: (text: string): Promise<Volume[]> => volumesCalled(registry, text, visible),

    /** What those of these volumes are called that the caller may see and that have a name. */
    volumeNames: (ids: readonly string[]): Promise<Map<string, string>> => volumeNames(registry, ids, visible),

    /** See createVolume in create-volume.ts. */
    async createVolume(input: NewVolume): Promise<VolumeWithAttachments> {
      const { createVolume } = await import('./create-volume.ts');
      return { volume: await createVolume(context, input), attachments: [] };
    },
  };
}
