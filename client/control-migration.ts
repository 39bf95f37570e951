import { WorkflowNotFoundError } from '@temporalio/common';
import { FerryError } from '../model/errors.ts';
import { bandwidthPayload, messages, resolutionPayload, type Resolution } from '../model/messages.ts';
import { migrationWorkflowId } from '../model/names.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { notMigrating } from './not-migrating.ts';
import { parseInput } from './parse-input.ts';
import { repairCommands } from './repair.ts';

/**
 * What an administrator may ask of a running migration. Each answers when the migration has taken it in; each may be repeated.
 * None runs: `NotMigrating`. Too late: `PastPointOfNoReturn`. No control worker answers: `ServiceUnreachable`, nothing was changed.
 */
export function controlCommands(context: Context) {
  const send = async (volumeId: string, message: string, argument: unknown = null): Promise<void> => {
    requireAdmin(context.identity, 'steer migrations');
    const temporal = await context.temporal();
    try {
      await temporal.call((client) =>
        client.workflow
          .getHandle(migrationWorkflowId(volumeId))
          .executeUpdate<void, [unknown]>(message, { args: [argument] }),
      );
    } catch (error) {
      const none =
        error instanceof WorkflowNotFoundError || (error instanceof FerryError && error.type === 'NotMigrating');
      throw none ? await notMigrating(context, volumeId) : error;
    }
  };
  const repairs = repairCommands(context);
  return {
    /** The migration goes back: the volume stays where it was. Watch it to know when that is done. */
    cancelMigration: (volumeId: string) => send(volumeId, messages.cancelMigration),

    /** Stops the copy at its last flushed byte, for as long as wanted. */
    pauseMigration: (volumeId: string) => send(volumeId, messages.pauseMigration),

    /** Goes on from where it was paused. */
    resumeMigration: (volumeId: string) => send(volumeId, messages.resumeMigration),

    /** A new cap in bytes a second, or null for none; holds from now on. */
    setBandwidth: async (volumeId: string, bytesPerSecond: number | null) =>
      send(volumeId, messages.setBandwidth, parseInput(bandwidthPayload, bytesPerSecond)),

    /**
     * Tells a parked migration which side the guest writes to, or that it shall look again. Not parked: `InvalidInput`. When its workflow
     * is gone, the repair is told: an error if that cannot end it either.
     */
    resolveMigration: async (volumeId: string, resolution: Resolution) => {
      const word = parseInput(resolutionPayload, resolution);
      try {
        await send(volumeId, messages.resolveParked, word);
      } catch (error) {
        if (!(error instanceof FerryError) || error.type !== 'NotMigrating') throw error;
        const report = await repairs.repair({ volumeId, ...(word === 'probe' ? {} : { guestOn: word }) });
        const found = report.migrations.find((m) => m.volumeId === volumeId);
        if (!found) throw error;
        if (found.state === 'repaired') return;
        throw found.state === 'under-way'
          ? new FerryError('VolumeBusy', `A repair of volume ${volumeId} is under way. Try again when it is over.`)
          : new FerryError('ParkedForOperator', found.note ?? 'It cannot be told which side the guest writes to.');
      }
    },
  };
}
