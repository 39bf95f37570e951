import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressDisplay } from '../../../client/cli/progress-display.ts';
import { sampleView } from './sample-view.ts';

/** A stream that keeps what is written. */
function recorder(properties: { isTTY: boolean; columns?: number }) {
  const written: string[] = [];
  const stream = { ...properties, write: (text: string) => written.push(text) > 0 };
  return { written, stream: stream as unknown as NodeJS.WriteStream };
}

test('in a log there is a line for each phase, each obstacle and every ten seconds, not for each step', () => {
  const { written, stream } = recorder({ isTTY: false });
  let now = 0;
  const display = progressDisplay(stream, () => now);
  for (now = 1000; now <= 21_000; now += 1000)
    display.show({ ...sampleView, bytesDone: sampleView.totalBytes * (now / 40_000) });
  display.show({ ...sampleView, paused: true });
  display.show({ ...sampleView, paused: true });
  display.show({ ...sampleView, phase: 'switching' });
  display.note('Temporal cannot be reached');
  display.end();
  assert.deepEqual(written, [
    'copying: 2 % — 51.2 MiB of 2.0 GiB, 128 MiB/s, ETA 16s\n',
    'copying: 27 % — 563 MiB of 2.0 GiB, 128 MiB/s, ETA 12s\n',
    'copying: 52 % — 1.1 GiB of 2.0 GiB, 128 MiB/s, ETA 8s\n',
    'copying: 50 % — 1.0 GiB of 2.0 GiB, 128 MiB/s, ETA 8s; paused\n',
    'switching\n',
    'Temporal cannot be reached\n',
  ]);
});

test('in a terminal one line redraws itself, notes stay above it, and nothing is left in the end', () => {
  const { written, stream } = recorder({ isTTY: true, columns: 40 });
  const display = progressDisplay(stream);
  display.show({ ...sampleView, phase: 'preparing' });
  display.note('a note');
  display.show({ ...sampleView, phase: 'switching' });
  display.end();
  const clear = '\r\u001b[2K';
  assert.deepEqual(written, [`${clear}preparing`, `${clear}a note\npreparing`, `${clear}switching`, clear]);
});
