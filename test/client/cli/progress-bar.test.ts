import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressBar, type Paint } from '../../../client/cli/progress-bar.ts';
import { sampleView } from './sample-view.ts';

const plain: Paint = (_style, text) => text;

test('a copy shows bar, percent, bytes, speed and what is left', () => {
  assert.equal(
    progressBar(sampleView, 100, plain),
    'copying    ━━━━━━━━━━━━━━━━────────────────   50 %  1.0 GiB of 2.0 GiB  128 MiB/s  ETA 8s',
  );
});

test('the bar fits a usual terminal, and gives way in a narrow one', () => {
  assert.equal(
    progressBar(sampleView, 79, plain),
    'copying    ━━━━━━━━━━──────────   50 %  1.0 GiB of 2.0 GiB  128 MiB/s  ETA 8s',
  );
  assert.equal(progressBar(sampleView, 60, plain), 'copying     50 %  1.0 GiB of 2.0 GiB  128 MiB/s  ETA 8s');
  assert.equal(progressBar(sampleView, 30, plain), 'copying     50 %  1.0 GiB of …');
});

test('no figure is shown before there is one, and none beyond the end', () => {
  assert.equal(
    progressBar({ ...sampleView, bytesDone: 0, bytesPerSecond: 0 }, 80, plain),
    'copying    ─────────────────────    0 %  0 B of 2.0 GiB',
  );
  assert.match(
    progressBar({ ...sampleView, bytesDone: 3 * 1024 ** 3 }, 100, plain),
    /━ {2}100 % {2}3\.0 GiB of 2\.0 GiB {2}128 MiB\/s$/,
  );
});

test('what stands in the way is told instead of the speed', () => {
  const note = (change: object) => progressBar({ ...sampleView, ...change }, 120, plain).split('2.0 GiB  ')[1];
  assert.equal(note({ paused: true }), 'paused');
  assert.equal(note({ waitingFor: "the source's export" }), "waiting for the source's export");
  assert.equal(note({ cancelRequested: true, paused: true }), 'cancel requested');
  assert.equal(note({ trouble: 'pullVolume, try 3: no space\nleft' }), 'pullVolume, try 3: no space left');
});

test('phases without bytes to count are a word', () => {
  assert.equal(progressBar({ ...sampleView, phase: 'switching' }, 80, plain), 'switching');
  assert.equal(progressBar({ ...sampleView, phase: 'undoing', cancelRequested: true }, 80, plain), 'undoing');
  assert.equal(
    progressBar({ ...sampleView, phase: 'preparing', totalBytes: 0, trouble: 'createDevice, try 2: x' }, 80, plain),
    'preparing  createDevice, try 2: x',
  );
});

test('a troubled bar has another colour', () => {
  const marked: Paint = (style, text) => `<${style}>${text.length}</>`;
  assert.match(progressBar(sampleView, 100, marked), /<cyan>16<\/><dim>16<\/>/);
  assert.match(progressBar({ ...sampleView, paused: true }, 100, marked), /<yellow>16<\/>/);
});

test('a destination that is zeroed first is shown as that', () => {
  const zeroing = { ...sampleView, bytesDone: 0, zeroedBytes: 512 * 1024 ** 2 };
  assert.match(progressBar(zeroing, 100, plain), /^zeroing {4}━{8}─{24} {3}25 % {2}512 MiB of 2\.0 GiB/);
});
