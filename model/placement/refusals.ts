import type { Reason } from '../errors.ts';
import { formatBytes, sizeWords } from '../sizes.ts';
import { capabilitiesText } from '../volume-type.ts';
import type { Volume } from '../volume.ts';
import type { Choice, Wanted } from './choose-place.ts';

type NoPlace = Extract<Choice, { place: null }>;

/** Why a new volume can be placed nowhere. Tenants read it too: what the type asks for is not told. */
export function reasonNotToCreate(choice: NoPlace, wanted: Wanted): Reason {
  const { volumeType, availabilityZone, sizeBytes } = wanted;
  const where = availabilityZone === null ? '' : ` in zone ${availabilityZone}`;
  if (choice.lacking === 'room') {
    const { most } = choice;
    const freeBytes = Math.max(0, most.freeBytes);
    return {
      type: 'InsufficientSpace',
      message: `No back end${where} has ${formatBytes(sizeBytes)} free; ${most.backEnd.name} has the most, ${formatBytes(freeBytes)}.`,
      details: { freeBytes, neededBytes: sizeBytes },
    };
  }
  if (choice.lacking === 'capable') {
    const name = volumeType?.name ?? '';
    return {
      type: 'CapabilityMissing',
      message: `No enabled, running back end${where} has what volume type ${name} asks for. See: ferry type show ${name}`,
      details: { volumeType: name },
    };
  }
  return {
    type: 'BackEndNotFound',
    message: `No back end${where} is enabled and running. See: ferry host list --long`,
  };
}

/** Why a volume that is to leave where it is can go nowhere, for administrators. */
export function reasonNotToGo(
  choice: NoPlace,
  { id, sizeBytes }: Pick<Volume, 'id' | 'sizeBytes'>,
  wanted: Wanted,
): Reason {
  const { volumeType, availabilityZone } = wanted;
  const where = availabilityZone === null ? '' : ` in zone ${availabilityZone}`;
  if (choice.lacking === 'capable') {
    const { name, extraSpecs } = volumeType ?? { name: '', extraSpecs: {} };
    return {
      type: 'CapabilityMissing',
      message: `Volume ${id} can go nowhere: no other enabled, running back end${where} has what volume type ${name} asks for (${capabilitiesText(extraSpecs)}).`,
      details: { volumeId: id, volumeType: name, asked: extraSpecs },
    };
  }
  const freeBytes = choice.lacking === 'room' ? Math.max(0, choice.most.freeBytes) : 0;
  const why =
    choice.lacking === 'room'
      ? `the most that is left free on one back end is ${formatBytes(freeBytes)}`
      : `no enabled, running back end is left${where}`;
  return {
    type: 'InsufficientSpace',
    message: `Volume ${id} (${sizeWords(sizeBytes)}) fits nowhere: ${why}.`,
    details: { neededBytes: sizeBytes, freeBytes },
  };
}
