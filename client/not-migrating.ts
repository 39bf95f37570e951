import { FerryError } from '../model/errors.ts';
import { findMigration } from '../registry/migrations.ts';
import { findVolume } from '../registry/volumes.ts';
import type { Context } from './context.ts';

/** Why there is no migration to talk to: no such volume, or none runs; then how the last one ended. */
export async function notMigrating({ registry }: Context, volumeId: string): Promise<FerryError> {
  try {
    await findVolume(registry, volumeId);
    const last = await findMigration(registry, volumeId);
    const how =
      last.outcome === null ? '' : ` Its last migration, to ${last.destination}, ended with: ${last.outcome}.`;
    return new FerryError('NotMigrating', `Volume ${volumeId} is not migrating.${how}`, {
      lastMigrationId: last.id,
      lastOutcome: last.outcome,
    });
  } catch (error) {
    if (error instanceof FerryError && error.type === 'VolumeNotFound') return error;
    return new FerryError('NotMigrating', `Volume ${volumeId} is not migrating.`);
  }
}
