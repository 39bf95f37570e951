import { moveState, type MovesState } from './evacuation.ts';
import { formatBytes } from './sizes.ts';

/** So many running moves are shown one by one. */
const shown = 20;

/** A plan's moves in Markdown, as Temporal's Web UI shows them. */
export function movesDetails(state: MovesState): string {
  const { tally, running } = state;
  const notes = [
    state.paused ? '**paused**' : '',
    state.cancelRequested ? '**cancel requested**: nothing new begins' : '',
    state.waitingFor === null ? '' : `waiting for ${state.waitingFor}`,
    state.bandwidth === null ? '' : `at most ${formatBytes(state.bandwidth)}/s for all together`,
  ].filter((note) => note !== '');
  const rows = moveState.options
    .filter((each) => tally.volumes[each] > 0)
    .map((each) => `| ${each} | ${tally.volumes[each]} | ${formatBytes(tally.bytes[each])} |`);
  return [
    ...notes,
    '',
    '| | volumes | size |',
    '| --- | --- | --- |',
    ...rows,
    '',
    ...running.slice(0, shown).map(({ volumeId, destination }) => `- \`${volumeId}\` → \`${destination}\``),
    ...(running.length > shown ? [`- … and ${running.length - shown} more`] : []),
  ].join('\n');
}
