import type { Volume } from '../../../model/volume.ts';
import type { Asked } from '../call.ts';
import type { PresentedVolume } from '../presenters/volume.ts';

/** Volumes with what is shown of their surroundings: one question of each kind, however many they are. */
export async function withSurroundings(
  { admin }: Pick<Asked, 'admin'>,
  volumes: readonly Volume[],
): Promise<PresentedVolume[]> {
  const ids = volumes.map(({ id }) => id);
  const [attachments, outcomes, types, before] = await Promise.all([
    admin.seenAttachments({ volumeIds: ids }),
    admin.lastOutcomesOf(ids),
    admin.listVolumeTypes(),
    admin.typesBeforeRetype(ids),
  ]);
  const typeIds = new Map(types.map(({ id, name }) => [name, id]));
  // Who waits for a retype waits for the new type, and takes the volume for moved then, as Cinder's is.
  const shown = volumes.map((volume) => {
    const type = volume.migrationOwner === null ? undefined : before.get(volume.id);
    return type === undefined ? volume : { ...volume, volumeType: type };
  });
  return shown.map((volume) => ({
    volume,
    attachments: attachments.filter(({ volumeId }) => volumeId === volume.id),
    typeId: volume.volumeType === null ? null : (typeIds.get(volume.volumeType) ?? null),
    lastOutcome: volume.migrationOwner === null ? (outcomes.get(volume.id) ?? null) : null,
    wasRetyped: before.has(volume.id),
  }));
}

export async function withItsSurroundings(asked: Pick<Asked, 'admin'>, volume: Volume): Promise<PresentedVolume> {
  const [presented] = await withSurroundings(asked, [volume]);
  return presented!;
}
