import { Buffer } from 'node:buffer';
import { chunk, chunkFlag, command, commandFlag, errno, extentFlag, magic } from '../../copier/nbd/protocol.ts';
import type { Fills } from '../../copier/nbd/filling.ts';
import type { Piece } from './served.ts';
import { allocationId, Garbled, mostBytes, u16, u32, u64, type Agreement } from './wire.ts';

/** What a client asks for, as it came. */
export interface ClientRequest {
  readonly flags: number;
  readonly kind: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number;
}

/** Reads requests until the client takes its leave. What a refused write brings along is read and thrown away. */
export function* requests(onRequest: (request: ClientRequest) => void): Fills<void> {
  const header = Buffer.alloc(28);
  const scratch = Buffer.alloc(64 * 1024);
  for (;;) {
    yield header;
    if (header.readUInt32BE(0) !== magic.request) throw new Garbled('a request starts with other bytes');
    const kind = header.readUInt16BE(6);
    const length = header.readUInt32BE(24);
    if (kind === command.disconnect) return;
    if (kind === command.write) {
      if (length > mostBytes) throw new Garbled(`a write of ${length} bytes`);
      for (let left = length; left > 0;) {
        const part = scratch.subarray(0, Math.min(left, scratch.length));
        yield part;
        left -= part.length;
      }
    }
    onRequest({
      flags: header.readUInt16BE(4),
      kind,
      cookie: header.readBigUInt64BE(8),
      offset: header.readBigUInt64BE(16),
      length,
    });
  }
}

/** Sends the parts of one message together; resolves when they are the kernel's. Rejects when the connection has ended. */
export type Send = (parts: readonly Uint8Array[]) => Promise<void>;

const zeros = new Uint8Array(64 * 1024);

/** An extent is 8 bytes: an answer of more than a few is cut short, and asked on. */
const mostExtents = 4096;

/** Answers one request; resolves when all of it was sent. Rejects when the connection has ended, or must. */
export async function answer(
  { served, structured, allocation }: Agreement,
  request: ClientRequest,
  send: Send,
): Promise<void> {
  const { kind, flags, cookie, length } = request;
  const fail = (code: number, words: string, at?: number) =>
    send([structured ? errorChunk(cookie, code, words, at) : simpleReply(cookie, code)]);
  const modifies = kind === command.write || kind === command.trim || kind === command.writeZeroes;
  if (modifies) return fail(errno.permission, 'read-only');
  const offset = Number(request.offset);
  const asksStatus = kind === command.blockStatus && allocation;
  if (kind !== command.read && !asksStatus) return fail(errno.invalid, 'unsupported');
  if ((flags & ~(asksStatus ? commandFlag.one : 0)) !== 0) return fail(errno.invalid, 'unknown flags');
  if (length === 0 || offset + length > served.sizeBytes) return fail(errno.invalid, 'outside of the device');
  if (asksStatus) return tellExtents(served, request, offset, send, fail);
  if (length > mostBytes) return fail(errno.invalid, 'more than can be asked for at once');
  let covered = 0;
  const pieces = served.read(offset, length);
  for (;;) {
    let next: IteratorResult<Piece, void>;
    try {
      next = await pieces.next();
    } catch (error) {
      // What was promised by a simple reply cannot be taken back.
      if (!structured && covered > 0) throw error;
      return fail(errno.io, (error as Error).message, offset + covered);
    }
    if (next.done) return;
    const piece = next.value;
    try {
      await send(
        structured ? chunkOf(cookie, piece, covered + piece.length === length) : plain(cookie, piece, covered),
      );
    } catch (error) {
      await pieces.return();
      throw error;
    } finally {
      piece.sent();
    }
    covered += piece.length;
  }
}

function chunkOf(cookie: bigint, { offset, length, bytes }: Piece, done: boolean): Uint8Array[] {
  const body = bytes ?? u32(length);
  const type = bytes ? chunk.offsetData : chunk.offsetHole;
  return [Buffer.concat([chunkHeader(cookie, done, type, 8 + body.length), u64(offset)]), body];
}

/** All of a simple reply's bytes follow its head, which comes with the first of them. */
function plain(cookie: bigint, { length, bytes }: Piece, covered: number): Uint8Array[] {
  return [...(covered === 0 ? [simpleReply(cookie, 0)] : []), ...(bytes ? [bytes] : zerosOf(length))];
}

async function tellExtents(
  { extents, sizeBytes }: Agreement['served'],
  { cookie, flags, length }: ClientRequest,
  offset: number,
  send: Send,
  fail: (code: number, words: string) => Promise<void>,
): Promise<void> {
  const most = flags & commandFlag.one ? 1 : mostExtents;
  const told: Buffer[] = [];
  const end = Math.min(offset + length, sizeBytes);
  const tell = (part: number, zero: boolean) => {
    if (told.length < most) told.push(Buffer.concat([u32(part), u32(zero ? extentFlag.hole | extentFlag.zero : 0)]));
  };
  try {
    if (extents) await extents(offset, end - offset, tell);
    else tell(end - offset, false);
  } catch (error) {
    return fail(errno.io, (error as Error).message);
  }
  const body = Buffer.concat([u32(allocationId), ...told]);
  await send([Buffer.concat([chunkHeader(cookie, true, chunk.blockStatus, body.length), body])]);
}

function chunkHeader(cookie: bigint, done: boolean, type: number, length: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt32BE(magic.structuredReply, 0);
  header.writeUInt16BE(done ? chunkFlag.done : 0, 4);
  header.writeUInt16BE(type, 6);
  header.writeBigUInt64BE(cookie, 8);
  header.writeUInt32BE(length, 16);
  return header;
}

function errorChunk(cookie: bigint, code: number, words: string, at?: number): Buffer {
  const text = Buffer.from(words.slice(0, 500));
  const body = Buffer.concat([u32(code), u16(text.length), text, ...(at === undefined ? [] : [u64(at)])]);
  const type = at === undefined ? chunk.error : chunk.errorOffset;
  return Buffer.concat([chunkHeader(cookie, true, type, body.length), body]);
}

function simpleReply(cookie: bigint, code: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(magic.simpleReply, 0);
  reply.writeUInt32BE(code, 4);
  reply.writeBigUInt64BE(cookie, 8);
  return reply;
}

function zerosOf(length: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let left = length; left > 0; left -= zeros.length) parts.push(zeros.subarray(0, Math.min(left, zeros.length)));
  return parts;
}
