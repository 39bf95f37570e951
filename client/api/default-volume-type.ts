import { FerryError } from '../../model/errors.ts';
import type { VisibleVolumeType } from '../volume-types.ts';
import type { Asked } from './call.ts';

/** The type that volumes get which are asked for without one; null where no type has the configured name, or the caller has no access to it. */
export async function findDefaultType({ ferry, defaultVolumeType }: Asked): Promise<VisibleVolumeType | null> {
  try {
    const found = await ferry.findVolumeType(defaultVolumeType);
    return found.name === defaultVolumeType ? found : null;
  } catch (error) {
    if (error instanceof FerryError && error.type === 'VolumeTypeNotFound') return null;
    throw error;
  }
}
