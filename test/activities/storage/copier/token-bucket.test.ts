import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { createThrottle, Pacing, requestBytesFor } from '../../../../activities/storage/copier/token-bucket.ts';

test('requests that are asked for at once are spread over the time that the rate gives them', () => {
  const pacing = new Pacing(1_000_000);
  const starts = Array.from({ length: 5 }, () => pacing.book(100_000, 1000));
  assert.deepEqual(starts, [1000, 1000, 1100, 1200, 1300]);
});

test('whatever the requests are, the rate is kept but for the slack of the timers', () => {
  const rate = 1_000_000;
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 2_000_000 }), idle: fc.integer({ min: 0, max: 3000 }) })),
      (requests) => {
        const pacing = new Pacing(rate);
        let now = 0;
        let sent = 0;
        for (const { bytes, idle } of requests) {
          now += idle;
          const start = pacing.book(bytes, now);
          assert.ok(start >= now);
          // What was sent before this one fits in the time since the start.
          assert.ok(sent <= (rate / 1000) * (start + 100) + 1, `${sent} bytes by ${start} ms`);
          now = start;
          sent += bytes;
        }
      },
    ),
  );
});

test('time in which nothing was asked is not made up for by a burst', () => {
  const pacing = new Pacing(1_000_000);
  pacing.book(100_000, 0);
  const starts = Array.from({ length: 3 }, () => pacing.book(100_000, 60_000));
  assert.deepEqual(starts, [60_000, 60_000, 60_100]);
});

test('a low cap is kept in small requests, a high one in large ones', () => {
  const mib = 1024 * 1024;
  assert.equal(requestBytesFor(null, mib), mib);
  assert.equal(requestBytesFor(64 * 1024, mib), 64 * 1024);
  assert.equal(requestBytesFor(2 * mib, mib), mib / 4);
  assert.equal(requestBytesFor(1000 * mib, mib), mib);
});

test('a wait for the cap ends when the copy is stopped', async () => {
  const stop = new AbortController();
  const throttle = createThrottle(1024, stop.signal);
  await throttle(1024 * 1024);
  const waiting = throttle(1024);
  stop.abort();
  await assert.rejects(async () => waiting, { name: 'AbortError' });
});
