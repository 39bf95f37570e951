import { FerryError, refusal, type FerryErrorType } from '../model/errors.ts';
import { volumeId } from '../model/ids.ts';
import type { MigrationRequestInput } from '../model/migration.ts';
import { chooseDestination } from '../registry/placement.ts';
import type { Context } from './context.ts';
import { parseInput } from './parse-input.ts';
import { startMigration } from './start-migration.ts';

/** A migration whose destination may be left to Ferry. */
export type MigrationWish = Omit<MigrationRequestInput, 'destination'> & { destination?: string | undefined };

/** Why a destination that looked right is not, or no longer: another may be. */
const destinationRefused: ReadonlySet<FerryErrorType> = new Set([
  'InsufficientSpace',
  'BackEndDown',
  'BackEndDisabled',
  'BackEndUnavailable',
  'CapabilityMissing',
]);

/** The volume's destination, chosen as for all placing. Throws every reason why it may not leave, or can go nowhere. */
export async function destinationFor(
  { registry }: Context,
  wanted: { volumeId: string; except?: ReadonlySet<string> },
): Promise<string> {
  const chosen = await chooseDestination(registry, { ...wanted, volumeId: parseInput(volumeId, wanted.volumeId) });
  if ('reasons' in chosen) throw refusal(chosen.reasons);
  return chosen.destination;
}

/**
 * Starts a migration to where the volume can go. Between the choice and the claim others may have filled that back end, or its node may say
 * what the registry does not know: then it goes to the next. Refused when there is none, and as any migration.
 */
export async function migrateAnywhere(
  context: Context,
  request: Omit<MigrationRequestInput, 'destination'>,
): Promise<{ migrationId: string; destination: string }> {
  const except = new Set<string>();
  for (;;) {
    const destination = await destinationFor(context, { volumeId: request.volumeId, except });
    try {
      return { ...(await startMigration(context, { ...request, destination })), destination };
    } catch (error) {
      if (!(error instanceof FerryError) || !destinationRefused.has(error.type)) throw error;
      except.add(destination);
    }
  }
}
