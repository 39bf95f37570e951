import type { MovePlan, MovesReport, PlannedMove } from '../../model/evacuation.ts';
import { formatBytes } from '../../model/sizes.ts';
import type { PlannedMoveRecord } from '../../registry/move-plans.ts';
import { table } from './table.ts';

const bytesOf = (volumes: readonly { sizeBytes: number }[]) =>
  formatBytes(volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));

/** The moves of a plan, one a line. */
export function movesTable(moves: readonly PlannedMove[]): string {
  return table(
    ['Volume', 'Size', 'In use', 'From', 'To'],
    moves.map((m) => [m.volumeId, formatBytes(m.sizeBytes), m.attached ? 'yes' : '', m.source, m.destination]),
  );
}

/** What an evacuation would do, and what it would leave. */
export function planOfEvacuation(source: string, plan: MovePlan): string {
  const { moves, stays, homeless } = plan;
  const parts = [`${moves.length} volumes (${bytesOf(moves)}) would leave ${source}; nothing was done.`];
  if (moves.length > 0) parts.push(movesTable(moves));
  const left = [...stays, ...homeless];
  if (left.length > 0) {
    parts.push(`${left.length} would stay:`);
    parts.push(...left.flatMap(({ reasons }) => reasons.map(({ message }) => `  - ${message}`)));
  }
  if (homeless.length > 0) parts.push('It would be refused: what may move must fit somewhere.');
  return parts.join('\n');
}

/** How it ended, in a sentence. */
const ends: Record<MovesReport['outcome'], string> = {
  emptied: 'Done',
  incomplete: 'Not all could be moved',
  stopped: 'Stopped after a failure',
  cancelled: 'Cancelled',
  'window-over': 'The maintenance window is over',
};

/** What a plan came to: the figures, and each volume that is still where it was. */
export function endOfMoves({ source, outcome, tally }: MovesReport, left: readonly PlannedMoveRecord[]): string {
  const { moved, gone, failed, stays, later, waiting } = tally.volumes;
  const counts = [
    `${moved} moved (${formatBytes(tally.bytes.moved)})`,
    ...(gone > 0 ? [`${gone} were gone already`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(stays > 0 ? [`${stays} cannot move`] : []),
    ...(later + waiting > 0 ? [`${later + waiting} not begun`] : []),
  ];
  const lines = left.map(({ volumeId, state, reasons }) => {
    const why = reasons.map(({ message }) => message).join(' ');
    return `  - ${volumeId} (${state})${why === '' ? '' : `: ${why}`}`;
  });
  return [`${ends[outcome]}: ${source}: ${counts.join(', ')}.`, ...lines].join('\n');
}
