import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { FerryError, refusal, type Reason } from '../model/errors.ts';
import { backEndName, volumeId } from '../model/ids.ts';
import type { MigrationRequestInput } from '../model/migration.ts';
import type { Volume } from '../model/volume.ts';
import { chooseDestination } from '../registry/placement.ts';
import { gatherRetypeFacts, migrationNeeded, retypeInPlace } from '../registry/retype.ts';
import type { Context } from './context.ts';
import { movingForTenant } from './for-tenant.ts';
import { isAdmin, requireAdmin, visibleTo } from './identity.ts';
import { planMigration, type MigrationPlan } from './migrations.ts';
import { parseInput } from './parse-input.ts';
import { label } from '../model/text.ts';

/** Whether a retype may move the volume: never, or when it cannot have the type where it is. */
export const migrationPolicy = z.enum(['never', 'on-demand'], { error: 'is neither never nor on-demand' });
export type MigrationPolicy = z.infer<typeof migrationPolicy>;

export const retypeRequest = z.object({
  volumeId,
  /** The new type, by name or id. */
  type: label.min(1),
  migrationPolicy: migrationPolicy.default('never'),
  /** Where to, if it has to move; chosen if not given. For administrators. */
  destination: backEndName.optional(),
});
type RetypeInput = z.input<typeof retypeRequest>;

/** How a volume that has to move is moved. */
export type MoveOptions = Pick<MigrationRequestInput, 'bandwidth' | 'verify' | 'forceHostCopy'>;

/** What a retype would do now, or every reason why it would be refused. */
export interface RetypePlan {
  allowed: boolean;
  volumeId: string;
  oldType: string | null;
  newType: string;
  /** Null: the type changes where the volume is, or nothing happens. */
  migration: MigrationPlan | null;
  reasons: Reason[];
}

/** What came of a retype: the volume with its new type, or the migration that gives it the type and has begun. */
export type Retyped =
  | { migration: null; volume: Volume }
  | { migration: { migrationId: string; destination: string }; newType: string };

export function retypeCommands(context: Context) {
  const { registry, identity } = context;
  const visible = visibleTo(identity);

  const planRetype = async (input: RetypeInput, options: MoveOptions = {}): Promise<RetypePlan> => {
    const request = parseInput(retypeRequest, input);
    const { volume, type, refusal, lacking } = await gatherRetypeFacts(registry, { ...request, ...visible });
    const plan = { volumeId: volume.id, oldType: volume.volumeType, newType: type.name, migration: null };
    const refused = (reasons: Reason[]) => ({ ...plan, allowed: false, reasons: reasons.map(told) });
    if (refusal) return refused([refusal]);
    if (!lacking) return { ...plan, allowed: true, reasons: [] };
    if (request.migrationPolicy === 'never') return refused([migrationNeeded(volume, lacking)]);
    requireAdmin(identity, 'retype a volume by moving it');
    const chosen = request.destination
      ? { destination: request.destination }
      : await chooseDestination(registry, { volumeId: volume.id, type });
    if ('reasons' in chosen) return refused(chosen.reasons);
    const move = { volumeId: volume.id, destination: chosen.destination, newType: type.name };
    const migration = await planMigration(context, { ...move, ...options });
    return { ...plan, allowed: migration.allowed, migration, reasons: migration.reasons };
  };

  /** A refusal as the caller may hear it: tenants hear nothing of back ends and migrations. */
  const told = (reason: Reason): Reason => (isAdmin(identity) ? reason : forTenant(reason));

  /** A refusal because of a migration, with how far that is. */
  const withProgress = async (error: FerryError): Promise<unknown> => {
    if (error.type !== 'VolumeMigrating') return error;
    const { explained } = await import('./run-operation.ts');
    return explained(context, error, 'retype');
  };

  return {
    /** What `retypeVolume` would do now. Changes nothing, and needs no Temporal. */
    planRetype,

    /**
     * Gives the volume another type. Its back end has what the type asks for: only the type changes, also of a volume in use. Else it is
     * refused with `MigrationNeeded`, or, with the policy `on-demand`, moved to a back end that has it: answered when the migration is
     * claimed; the type changes with its switch. Refused as any operation, and as any migration; then nothing was changed.
     */
    async retypeVolume(input: RetypeInput, options: MoveOptions = {}): Promise<Retyped> {
      if (input.destination !== undefined) requireAdmin(identity, 'say where a volume is moved');
      const { allowed, volumeId, newType, migration, reasons } = await planRetype(input, options);
      const [first, ...others] = reasons;
      if (!allowed && first) throw await withProgress(refusal([first, ...others]));
      if (migration) {
        const { startMigration } = await import('./start-migration.ts');
        const destination = migration.facts.destinationName;
        const { migrationId } = await startMigration(context, { volumeId, destination, newType, ...options });
        return { migration: { migrationId, destination }, newType };
      }
      try {
        const ticket = { volumeId, owner: `retype/${randomUUID()}`, ...visible };
        return { migration: null, volume: await retypeInPlace(registry, { ...ticket, volumeType: newType }) };
      } catch (error) {
        if (!(error instanceof FerryError)) throw error;
        const { type, message, details } = told(error);
        throw await withProgress(new FerryError(type, message, details, { cause: error }));
      }
    },
  };
}

function forTenant(reason: Reason): Reason {
  if (reason.type === 'VolumeMigrating') return movingForTenant(reason, 'retype');
  if (reason.type !== 'MigrationNeeded') return reason;
  const volumeId = reason.details?.['volumeId'];
  return {
    type: reason.type,
    message: `Volume ${String(volumeId)} cannot have that type on the storage where it is. Ask an administrator to move it.`,
    details: { volumeId },
  };
}
