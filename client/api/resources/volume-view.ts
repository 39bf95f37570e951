import type { Volume } from '../../../model/volume.ts';
import type { Asked } from '../call.ts';
import type { PresentedVolume } from '../presenters/volume.ts';

/** Volumes with what is shown of their surroundings: one question of each kind, however many they are. */
export async function withSurroundings(
  { admin }: Pick<Asked, 'admin'>,
  volumes: readonly Volume[],
): Promise<PresentedVolume[]> {
  const ids = volumes.map(({ id }) => id);
  const [attachments, last, types] = await Promise.all([
    admin.seenAttachments({ volumeIds: ids }),
    admin.lastMigrationsOf(ids),
    admin.listVolumeTypes(),
  ]);
  const typeIds = new Map(types.map(({ id, name }) => [name, id]));
  return volumes.map((volume) => {
    const migration = last.get(volume.id);
    const isMoving = volume.migrationOwner !== null;
    const wasRetyped = migration !== undefined && migration.newType !== null;
    // Who waits for a retype waits for the new type, and takes the volume for moved then, as Cinder's is. The row has it from the switch on.
    const volumeType = isMoving && wasRetyped ? migration.oldType : volume.volumeType;
    return {
      volume: { ...volume, volumeType },
      attachments: attachments.filter(({ volumeId }) => volumeId === volume.id),
      typeId: volumeType === null ? null : (typeIds.get(volumeType) ?? null),
      lastOutcome: isMoving ? null : (migration?.outcome ?? null),
      wasRetyped,
    };
  });
}

export async function withItsSurroundings(asked: Pick<Asked, 'admin'>, volume: Volume): Promise<PresentedVolume> {
  const [presented] = await withSurroundings(asked, [volume]);
  return presented!;
}
