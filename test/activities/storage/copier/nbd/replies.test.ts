import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Filling } from '../../../../../activities/storage/copier/nbd/filling.ts';
import { replies, type Request } from '../../../../../activities/storage/copier/nbd/replies.ts';
import { FerryError } from '../../../../../model/errors.ts';

function chunkOf(cookie: number, type: number, data: Buffer, done = true): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt32BE(0x668e33ef);
  header.writeUInt16BE(done ? 1 : 0, 4);
  header.writeUInt16BE(type, 6);
  header.writeUInt32BE(cookie, 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}

function u64(n: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(n));
  return bytes;
}

function u32s(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((n, i) => bytes.writeUInt32BE(n, 4 * i));
  return bytes;
}

const dataChunk = (cookie: number, offset: number, data: Buffer, done = true) =>
  chunkOf(cookie, 1, Buffer.concat([u64(offset), data]), done);
const holeChunk = (cookie: number, offset: number, length: number, done = true) =>
  chunkOf(cookie, 2, Buffer.concat([u64(offset), u32s(length)]), done);
const errorChunk = (cookie: number, code: number, text: string, done = true) => {
  const length = Buffer.from([0, text.length]);
  return chunkOf(cookie, 0x8001, Buffer.concat([u32s(code), length, Buffer.from(text)]), done);
};

/** A client with one read (cookie 1, 16 bytes at 1000, buffer full of 9s) and one question for extents (cookie 2) under way. */
function client() {
  const outcomes = new Map<number, Error | null>();
  const target = new Uint8Array(16).fill(9);
  const extents: [number, boolean][] = [];
  const pending = new Map<number, Request>([
    [1, { kind: 'read', offset: 1000, length: 16, target, settle: (error) => void outcomes.set(1, error) }],
    [
      2,
      {
        kind: 'status',
        offset: 0,
        length: 4096,
        context: 7,
        onExtent: (l, z) => void extents.push([l, z]),
        settle: (error) => void outcomes.set(2, error),
      },
    ],
  ]);
  const filling = new Filling(replies(pending));
  return { outcomes, target, extents, pending, take: (bytes: Buffer) => filling.take(bytes) };
}

test('data lands in the buffer of the request, and the request is settled', () => {
  const { take, target, outcomes } = client();
  take(dataChunk(1, 1000, Buffer.from('0123456789abcdef')));
  assert.equal(Buffer.from(target).toString(), '0123456789abcdef');
  assert.equal(outcomes.get(1), null);
});

test('a reply in several chunks, in any order and with a hole, is put together', () => {
  const { take, target, outcomes } = client();
  take(dataChunk(1, 1008, Buffer.from('89abcdef'), false));
  take(holeChunk(1, 1000, 4, false));
  assert.equal(outcomes.size, 0);
  take(dataChunk(1, 1004, Buffer.from('4567'), false));
  take(chunkOf(1, 0, Buffer.alloc(0)));
  assert.equal(Buffer.from(target).toString(), '\0\0\0\x00456789abcdef');
  assert.equal(outcomes.get(1), null);
});

test('extents are told in order, the last one not beyond what was asked', () => {
  const { take, extents, outcomes } = client();
  take(chunkOf(2, 5, u32s(7, 1024, 0, 512, 3, 1_000_000, 2)));
  assert.deepEqual(extents, [
    [1024, false],
    [512, true],
    [2560, true],
  ]);
  assert.equal(outcomes.get(2), null);
});

test('an error of the device is an error of that read only, with its offset', () => {
  const { take, outcomes, pending } = client();
  take(errorChunk(1, 5, 'bad sector'));
  const error = outcomes.get(1) as FerryError;
  assert.equal(error.type, 'SourceReadFailed');
  assert.equal(error.details['offset'], 1000);
  assert.match(error.message, /byte 1000: bad sector/);
  assert.equal(pending.size, 1);
});

test('an error chunk tells the very offset if it can', () => {
  const { take, outcomes } = client();
  take(chunkOf(1, 0x8002, Buffer.concat([u32s(5), Buffer.from([0, 0]), u64(1010)])));
  assert.equal((outcomes.get(1) as FerryError).details['offset'], 1010);
});

test('a server that shuts down is unreachable, not broken', () => {
  const { take, outcomes } = client();
  take(errorChunk(1, 108, 'bye'));
  assert.equal((outcomes.get(1) as FerryError).type, 'SourceUnreachable');
});

const nonsense: Record<string, Buffer> = {
  'another magic': Buffer.alloc(20, 1),
  'an unknown cookie': dataChunk(3, 1000, Buffer.alloc(16)),
  'data before the request': dataChunk(1, 999, Buffer.alloc(16)),
  'data beyond the request': dataChunk(1, 1001, Buffer.alloc(16)),
  'an offset beyond all numbers': chunkOf(1, 1, Buffer.alloc(24, 255)),
  'bytes missing at the end': dataChunk(1, 1000, Buffer.alloc(15)),
  'the same data twice': Buffer.concat([
    dataChunk(1, 1000, Buffer.alloc(8), false),
    dataChunk(1, 1004, Buffer.alloc(8)),
  ]),
  'an empty data chunk': chunkOf(1, 1, u64(1000), false),
  'an empty chunk that is not the last': chunkOf(1, 0, Buffer.alloc(0), false),
  'nothing at all as the answer': chunkOf(1, 0, Buffer.alloc(0)),
  'a status for a read': chunkOf(1, 5, u32s(7, 16, 0)),
  'a status of another context': chunkOf(2, 5, u32s(8, 4096, 0)),
  'an extent without length': chunkOf(2, 5, u32s(7, 0, 0)),
  'a chunk type from nowhere': chunkOf(1, 77, Buffer.alloc(16)),
  'a simple reply to a read': Buffer.concat([u32s(0x67446698, 0, 0, 1), Buffer.alloc(16)]),
};

for (const [what, bytes] of Object.entries(nonsense)) {
  test(`${what} is a breach of the protocol`, () => {
    const { take } = client();
    assert.throws(
      () => take(bytes),
      (error: FerryError) => error.type === 'SourceUnreachable' && /protocol/.test(error.message),
    );
  });
}

test('error chunks without end are a breach of the protocol too', () => {
  const { take } = client();
  const one = errorChunk(1, 5, '', false);
  assert.throws(() => {
    for (let i = 0; i < 100_000; i += 1) take(one);
  }, /without end/);
});

test('any garbage is a typed error or a wait for more, and never writes outside of the buffer', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc
        .record({
          cookie: fc.integer({ min: 0, max: 3 }),
          type: fc.constantFrom(0, 1, 2, 5, 77, 0x8001, 0x8002, 0x9000),
          done: fc.boolean(),
          data: fc.uint8Array({ maxLength: 64 }),
        })
        .map(({ cookie, type, done, data }) => chunkOf(cookie, type, Buffer.from(data), done)),
      fc
        .record({
          offset: fc.integer({ min: 990, max: 1020 }),
          length: fc.integer({ min: 0, max: 20 }),
          done: fc.boolean(),
        })
        .map(({ offset, length, done }) => dataChunk(1, offset, Buffer.alloc(length, 1), done)),
    ),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      const { take, outcomes, target } = client();
      try {
        for (const part of parts) take(part);
      } catch (error) {
        assert.ok(error instanceof FerryError, String(error));
      }
      // Settled without error means every byte came.
      if (outcomes.get(1) === null) assert.ok(!target.includes(9) || parts.some((part) => part.includes(9)));
    }),
    { numRuns: 5000 },
  );
});
