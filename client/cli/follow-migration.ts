import { FerryError } from '../../model/errors.ts';
import type { MigrationRecord } from '../../model/migration.ts';
import { formatBytes, formatSeconds } from '../../model/sizes.ts';
import type { MigrationEvent } from '../watch-migration.ts';
import { detachOnInterrupt } from './detach-on-interrupt.ts';
import { progressDisplay } from './progress-display.ts';
import type { Session } from './session.ts';

/** Says at Ctrl-C how to go on with the migration, which has begun for sure or was only asked for. */
export function detachFromMigration(volumeId: string, state: 'asked' | 'begun'): void {
  const known =
    state === 'begun' ? 'Detached; the migration goes on.' : 'Detached; the migration may have begun: it goes on then.';
  detachOnInterrupt(
    `${known}\nWatch it:  ferry migration watch ${volumeId}\nCancel it: ferry migration cancel ${volumeId}`,
  );
}

/**
 * Shows a migration's progress on standard error until it ends; resolves with its record. Ctrl-C detaches, and says how to go on.
 * Standard output is left to the result.
 */
export async function followMigration(
  { ferry, json }: Session,
  volumeId: string,
  options: { migrationId?: string; onEvent?: (event: MigrationEvent) => void } = {},
): Promise<MigrationRecord> {
  const { onEvent, ...watch } = options;
  detachFromMigration(volumeId, 'begun');
  const display = json ? null : progressDisplay(process.stderr);
  try {
    for await (const event of ferry.watchMigration(volumeId, watch)) {
      onEvent?.(event);
      if (event.kind === 'ended') return event.record;
      if (event.kind === 'progress') display?.show(event.view);
      else display?.note(event.message);
    }
  } finally {
    display?.end();
  }
  throw new Error('A watched migration ends with its record.');
}

/** How a migration ended, for people; a bad end is thrown. */
export function resultLine(r: MigrationRecord): string {
  const stays = `The volume is on ${r.source}, as before.`;
  if (r.outcome === 'cancelled') {
    throw new FerryError('Cancelled', `The migration of volume ${r.volumeId} was cancelled. ${stays}`, {
      migrationId: r.id,
    });
  }
  if (r.outcome !== 'success') {
    const { type, message, details } = r.error ?? { type: 'ToolFailed' as const, message: 'no reason was recorded' };
    throw new FerryError(type, `The migration of volume ${r.volumeId} failed: ${message}\n${stays}`, {
      ...details,
      migrationId: r.id,
    });
  }
  const seconds = ((r.finishedAt?.getTime() ?? r.startedAt.getTime()) - r.startedAt.getTime()) / 1000;
  const sent = r.transferredBytes === null ? '' : `, ${formatBytes(r.transferredBytes)} of them sent`;
  if (r.flow === 'undo')
    return `Volume ${r.volumeId} is back on ${r.destination}: it holds what it held on ${r.source}, compared in ${duration(seconds)}.`;
  const type = r.newType === null ? '' : ` Its type is ${r.newType} now.`;
  const kept = r.keptUntil
    ? `\nThe source is kept until ${r.keptUntil.toISOString()}. Go back to it: ferry migration undo ${r.volumeId}`
    : '';
  const proof =
    r.flow === 'generic-attached' && r.proof === 'none' ? '\nProof: none; nothing was read back or compared.' : '';
  return `Volume ${r.volumeId} is on ${r.destination} now: ${formatBytes(r.totalBytes)} from ${r.source} in ${duration(seconds)}${sent}.${type}${proof}${kept}`;
}

/** Short ones with a tenth: half a second is not `1s`. */
export function duration(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)}s` : formatSeconds(seconds);
}
