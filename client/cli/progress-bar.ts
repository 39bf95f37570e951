import { formatBytes, formatSeconds } from '../../model/sizes.ts';
import { doneBytes } from '../../model/migration-details.ts';
import type { MigrationView } from '../migration-view.ts';
import { printable, textWidth } from './text-width.ts';

/** Colours a piece of text, or leaves it alone. */
export type Paint = (style: 'cyan' | 'dim' | 'yellow' | 'green' | 'red', text: string) => string;

/** A bar that is shorter says nothing, a longer one not more. */
const shortestBar = 10;
const longestBar = 32;

/** Room for the longest usual figures, so that the bar keeps its length while they change. */
const figuresWidth = 46;

/** `copying  ━━━━━━──────  42 %  0.8 GiB of 2.0 GiB  120 MiB/s  ETA 10s`, in at most so many columns. */
export function progressBar(view: MigrationView, width: number, paint: Paint): string {
  const name = (view.zeroedBytes === null ? view.phase : 'zeroing').padEnd('verifying'.length);
  const note = stateNote(view);
  const moving = view.phase === 'copying' || view.phase === 'verifying';
  if (!moving || view.totalBytes === 0) return cut(note ? `${name}  ${note}` : name.trimEnd(), width);
  const ratio = Math.min(1, doneBytes(view) / view.totalBytes);
  const figures = [
    percent(ratio),
    `${formatBytes(doneBytes(view))} of ${formatBytes(view.totalBytes)}`,
    note ?? speedAndTime(view),
  ]
    .filter((part) => part !== '')
    .join('  ');
  const room = Math.min(longestBar, width - name.length - Math.max(figuresWidth, textWidth(figures)) - 4);
  if (room < shortestBar) return cut(`${name}  ${figures}`, width);
  const full = Math.round(ratio * room);
  const colour = note === null ? 'cyan' : 'yellow';
  return `${name}  ${paint(colour, '━'.repeat(full))}${paint('dim', '─'.repeat(room - full))}  ${figures}`;
}

function percent(ratio: number): string {
  return `${String(Math.floor(ratio * 100)).padStart(3)} %`;
}

function speedAndTime(view: MigrationView): string {
  const { totalBytes, bytesPerSecond } = view;
  if (bytesPerSecond <= 0) return '';
  const left = totalBytes - doneBytes(view);
  return `${formatBytes(bytesPerSecond)}/s${left > 0 ? `  ETA ${formatSeconds(left / bytesPerSecond)}` : ''}`;
}

/** What stands in the way at the moment; null when it runs freely. */
export function stateNote(view: MigrationView): string | null {
  if (view.cancelRequested && view.phase !== 'undoing') return 'cancel requested';
  if (view.paused) return 'paused';
  const note = view.waitingFor === null ? view.trouble : `waiting for ${view.waitingFor}`;
  return note === null ? null : printable(note.replaceAll(/\s+/g, ' '));
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text.trimEnd();
}
