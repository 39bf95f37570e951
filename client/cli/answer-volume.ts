import type { Volume } from '../../model/volume.ts';
import { isAdmin } from '../identity.ts';
import type { Session } from './session.ts';
import { propertyTable } from './table.ts';
import { volumeProperties } from './volume-properties.ts';

/** Shows a volume as it is after a command. */
export async function answerVolume({ ferry, answer }: Session, { id }: Pick<Volume, 'id'>): Promise<void> {
  const properties = volumeProperties(await ferry.findVolume(id), isAdmin(ferry.identity));
  answer(properties, propertyTable(properties));
}
