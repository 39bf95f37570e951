import { styleText } from 'node:util';
import { progressText } from '../../model/migration-details.ts';
import type { MigrationView } from '../migration-view.ts';
import { progressBar, stateNote, type Paint } from './progress-bar.ts';

/** Shows a migration's progress while it is waited for. */
export interface ProgressDisplay {
  show(view: MigrationView): void;
  /** A line of its own, above what moves. */
  note(text: string): void;
  /** Takes the moving line away. */
  end(): void;
}

/** In a log, one line a phase and one now and then. */
const logEveryMs = 10_000;

/** A line that redraws itself in a terminal, seldom lines elsewhere. */
export function progressDisplay(stream: NodeJS.WriteStream, now: () => number = Date.now): ProgressDisplay {
  return stream.isTTY ? terminalDisplay(stream) : logDisplay(stream, now);
}

function terminalDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  const paint: Paint = (style, text) => styleText(style, text, { stream });
  const clear = '\r\x1b[2K';
  let last = '';
  return {
    show(view) {
      last = progressBar(view, (stream.columns || 80) - 1, paint);
      stream.write(clear + last);
    },
    note: (text) => void stream.write(`${clear}${text}\n${last}`),
    end: () => void stream.write(clear),
  };
}

function logDisplay(stream: NodeJS.WriteStream, now: () => number): ProgressDisplay {
  let said = '';
  let saidAt = 0;
  return {
    show(view) {
      const note = stateNote(view);
      const state = `${view.phase} ${note ?? ''}`;
      if (state === said && now() - saidAt < logEveryMs) return;
      said = state;
      saidAt = now();
      const moving = view.phase === 'copying' || view.phase === 'verifying';
      const rest = [moving ? progressText(view) : '', note ?? ''].filter((part) => part !== '').join('; ');
      stream.write(`${view.phase}${rest === '' ? '' : `: ${rest}`}\n`);
    },
    note: (text) => void stream.write(`${text}\n`),
    end: () => {},
  };
}
