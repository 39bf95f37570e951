import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Filling } from '../../../../../activities/storage/copier/nbd/filling.ts';
import { greet, negotiate, startTls } from '../../../../../activities/storage/copier/nbd/handshake.ts';
import { magic, type ExportInfo } from '../../../../../activities/storage/copier/nbd/protocol.ts';
import { FerryError } from '../../../../../model/errors.ts';

const u16 = (n: number) => Buffer.from([n >> 8, n & 255]);
const u32 = (n: number) => Buffer.concat([u16(Math.floor(n / 65536)), u16(n % 65536)]);
const u64 = (n: number) => Buffer.concat([u32(Math.floor(n / 2 ** 32)), u32(n % 2 ** 32)]);
const reply = (option: number, type: number, data: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([magic.optionReply, u32(option), u32(type), u32(data.length), data]);

const greeting = Buffer.concat([magic.greeting, magic.option, u16(3)]);
const structured = reply(8, 1);
const contexts = Buffer.concat([reply(10, 4, Buffer.concat([u32(42), Buffer.from('base:allocation')])), reply(10, 1)]);
const size = reply(7, 3, Buffer.concat([u16(0), u64(5 * 1024 ** 3), u16(0x81)]));
const chosen = Buffer.concat([size, reply(7, 1)]);

/** Plays the server's bytes to the client's side of the handshake, in pieces of `pieces` bytes. */
function play(bytes: Buffer, pieces = bytes.length): { info: ExportInfo | null; sent: Buffer; left: number } {
  const sent: Uint8Array[] = [];
  const send = (part: Uint8Array) => void sent.push(part);
  let info: ExportInfo | null = null;
  const filling = new Filling(
    (function* handshake() {
      yield* greet(send);
      info = yield* negotiate(send, 'volume-1');
    })(),
  );
  let left = bytes.length;
  for (let at = 0; at < bytes.length && !filling.done; at += pieces)
    left -= filling.take(bytes.subarray(at, at + pieces));
  return { info, sent: Buffer.concat(sent), left };
}

test('a handshake gives the size, the flags and the context of holes', () => {
  const { info, sent } = play(Buffer.concat([greeting, structured, contexts, chosen]));
  assert.deepEqual(info, { sizeBytes: 5 * 1024 ** 3, flags: 0x81, allocationContext: 42 });
  assert.ok(sent.includes('volume-1'));
});

test('it does not matter in which pieces the bytes arrive, and none beyond the handshake is taken', () => {
  const bytes = Buffer.concat([greeting, structured, contexts, chosen, Buffer.from('the next')]);
  for (const pieces of [1, 2, 7, 1000]) {
    const { info, left } = play(bytes, pieces);
    assert.ok(info);
    assert.equal(left, 8);
  }
});

test('a server that does not tell holes can be read all the same', () => {
  const { info } = play(Buffer.concat([greeting, structured, reply(10, 2 ** 31 + 1), chosen]));
  assert.equal(info?.allocationContext, null);
});

const refusals: Record<string, [Buffer, RegExp]> = {
  'an export that does not exist': [
    Buffer.concat([greeting, structured, reply(10, 2 ** 31 + 6), reply(7, 2 ** 31 + 6)]),
    /no such export/,
  ],
  'a server that insists on TLS': [
    Buffer.concat([greeting, structured, contexts, reply(7, 2 ** 31 + 5)]),
    /TLS required/,
  ],
  'a server without structured replies': [Buffer.concat([greeting, reply(8, 2 ** 31 + 1)]), /structured replies/],
  'another protocol': [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /not that of an NBD server/],
  'an oldstyle server': [Buffer.concat([magic.greeting, Buffer.alloc(200)]), /oldstyle/],
  'an endless reply': [Buffer.concat([greeting, magic.optionReply, u32(8), u32(1), u32(2 ** 31)]), /bytes/],
  'an export without a size': [Buffer.concat([greeting, structured, contexts, reply(7, 1)]), /without a size/],
};

for (const [what, [bytes, message]] of Object.entries(refusals)) {
  test(`${what} is refused in words`, () => {
    assert.throws(
      () => play(bytes),
      (error: FerryError) => error.type === 'SourceUnreachable' && message.test(error.message),
    );
  });
}

test('a refusal shows the words of the server, without control characters', () => {
  const refusal = reply(7, 2 ** 31 + 6, Buffer.from('no\x1b[2J export'));
  assert.throws(() => play(Buffer.concat([greeting, structured, contexts, refusal])), /: no \[2J export$/);
});

test('TLS begins only after a plain yes', () => {
  const begin = (bytes: Buffer) => new Filling(startTls(() => undefined)).take(bytes);
  assert.equal(begin(reply(5, 1)), 20);
  assert.throws(() => begin(reply(5, 2 ** 31 + 2)), /refuses TLS/);
  assert.throws(() => begin(reply(5, 1, Buffer.from('x'))), /no plain yes/);
});

test('any garbage in a handshake is a typed error or a wait for more, never anything else', () => {
  const good = Buffer.concat([greeting, structured, contexts, chosen]);
  const damage = fc.array(fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255) }), { maxLength: 5 });
  fc.assert(
    fc.property(damage, fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 100 }), (changes, tail, pieces) => {
      const bytes = Buffer.concat([good, tail]);
      for (const { at, byte } of changes) bytes[at] = byte;
      try {
        play(bytes, pieces);
      } catch (error) {
        assert.ok(error instanceof FerryError, String(error));
        assert.equal(error.type, 'SourceUnreachable');
      }
    }),
    { numRuns: 2000 },
  );
});
