import type { Volume } from '../../../model/volume.ts';
import type { Asked } from '../call.ts';
import type { PresentedVolume } from '../presenters/volume.ts';

/** Volumes with what is shown of their surroundings: one question of each kind, however many they are. */
export async function withSurroundings(
  { admin }: Pick<Asked, 'admin'>,
  volumes: readonly Volume[],
): Promise<PresentedVolume[]> {
  const ids = volumes.map(({ id }) => id);
  const [attachments, outcomes, types] = await Promise.all([
    admin.seenAttachments({ volumeIds: ids }),
    admin.lastOutcomesOf(ids),
    admin.listVolumeTypes(),
  ]);
  const typeIds = new Map(types.map(({ id, name }) => [name, id]));
  return volumes.map((volume) => ({
    volume,
    attachments: attachments.filter(({ volumeId }) => volumeId === volume.id),
    typeId: volume.volumeType === null ? null : (typeIds.get(volume.volumeType) ?? null),
    lastOutcome: volume.migrationOwner === null ? (outcomes.get(volume.id) ?? null) : null,
  }));
}

export async function withItsSurroundings(asked: Pick<Asked, 'admin'>, volume: Volume): Promise<PresentedVolume> {
  const [presented] = await withSurroundings(asked, [volume]);
  return presented!;
}
