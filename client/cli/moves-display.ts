import { styleText } from 'node:util';
import { formatBytes, formatSeconds } from '../../model/sizes.ts';
import type { MovesView } from '../moves.ts';
import { progressBar, type Paint } from './progress-bar.ts';

/** Shows an evacuation while it is waited for. */
export interface MovesDisplay {
  show(view: MovesView): void;
  end(): void;
}

/** Without a terminal, one line now and then. */
const logEveryMs = 10_000;
/** More bars than this fit on no screen. */
const bars = 16;

/** In a terminal a bar a volume and one for all, drawn over and over; elsewhere seldom lines. */
export function movesDisplay(stream: NodeJS.WriteStream, now: () => number = Date.now): MovesDisplay {
  const pace = new Pace(now);
  return stream.isTTY ? terminalDisplay(stream, pace) : logDisplay(stream, pace, now);
}

function terminalDisplay(stream: NodeJS.WriteStream, pace: Pace): MovesDisplay {
  const paint: Paint = (style, text) => styleText(style, text, { stream });
  let drawn = 0;
  const clear = () => {
    if (drawn > 0) stream.write(`\x1b[${drawn}A\x1b[J`);
    drawn = 0;
  };
  return {
    show(view) {
      const width = (stream.columns || 80) - 1;
      const lines = view.running
        .slice(0, bars)
        .map((each) => `${each.volumeId.slice(0, 8)}  ${progressBar(each, width - 10, paint)}`);
      clear();
      stream.write([...lines, totalLine(view, pace, width, paint), ''].join('\n'));
      drawn = lines.length + 1;
    },
    end: clear,
  };
}

function logDisplay(stream: NodeJS.WriteStream, pace: Pace, now: () => number): MovesDisplay {
  let saidAt = -Infinity;
  let said = '';
  return {
    show(view) {
      const line = totalLine(view, pace, 200, (_, text) => text);
      const moved = String(view.tally.volumes.moved);
      if (moved === said && now() - saidAt < logEveryMs) return;
      said = moved;
      saidAt = now();
      stream.write(`${line}\n`);
    },
    end: () => {},
  };
}

/** `total  ━━━━────  12 of 40 volumes  30 GiB of 100 GiB  ETA 5m`. */
export function totalLine(view: MovesView, pace: Pick<Pace, 'secondsLeft'>, width: number, paint: Paint): string {
  const { volumes, bytes } = view.tally;
  const count = volumes.moved + volumes.moving + volumes.waiting + volumes.later + volumes.failed;
  const total = bytes.moved + bytes.moving + bytes.waiting + bytes.later + bytes.failed;
  const done = bytes.moved + view.running.reduce((sum, { bytesDone }) => sum + bytesDone, 0);
  const left = pace.secondsLeft(done, total);
  const state = view.state;
  const note = state?.paused
    ? 'paused'
    : state?.cancelRequested
      ? 'cancel requested'
      : state?.waitingFor
        ? `waiting for ${state.waitingFor}`
        : left === null
          ? ''
          : `ETA ${formatSeconds(left)}`;
  const figures = [
    `${volumes.moved} of ${count} volumes`,
    `${formatBytes(done)} of ${formatBytes(total)}`,
    ...(volumes.failed > 0 ? [paint('red', `${volumes.failed} failed`)] : []),
    note,
  ]
    .filter((part) => part !== '')
    .join('  ');
  const room = Math.min(32, width - 12 - figures.length);
  if (room < 10) return `total  ${figures}`;
  const full = total === 0 ? room : Math.min(room, Math.round((done / total) * room));
  return `total     ${paint('green', '━'.repeat(full))}${paint('dim', '─'.repeat(room - full))}  ${figures}`;
}

/** How fast it went since it was first looked at. */
export class Pace {
  readonly #now: () => number;
  #first: { at: number; done: number } | null = null;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Null as long as it cannot be told. */
  secondsLeft(done: number, total: number): number | null {
    this.#first ??= { at: this.#now(), done };
    const bytes = done - this.#first.done;
    const seconds = (this.#now() - this.#first.at) / 1000;
    return bytes <= 0 || seconds < 2 ? null : ((total - done) * seconds) / bytes;
  }
}
