import { Buffer } from 'node:buffer';
import { FerryError } from '../../../../model/errors.ts';
import { chunk, chunkFlag, errno, extentFlag, garbled, magic } from './protocol.ts';
import type { Fills } from './filling.ts';

interface Waiting {
  readonly offset: number;
  readonly length: number;
  /** `came`: how many bytes were sent for it, without those that were told as holes. */
  readonly settle: (error: Error | null, came?: number) => void;
}

export interface ReadRequest extends Waiting {
  readonly kind: 'read';
  readonly target: Uint8Array;
}

/** Told of each extent in order: its length, and whether it reads as zeros. */
export type OnExtent = (length: number, zero: boolean) => void;

export interface StatusRequest extends Waiting {
  readonly kind: 'status';
  readonly context: number;
  readonly onExtent: OnExtent;
}

export type Request = ReadRequest | StatusRequest;

/** Each chunk must bring something, so this many of one request are a server gone mad. */
const mostChunks = 65_536;
const longestError = 16 * 1024;

/** What one request has been answered so far. */
interface Answer {
  covered: [from: number, to: number][];
  bytes: number;
  holes: number;
  chunks: number;
  error: Error | null;
}

/** Reads replies for ever, settles the requests they answer and takes them out of `pending`. */
export function* replies(pending: Map<number, Request>): Fills<never> {
  const header = Buffer.alloc(20);
  const scratch = Buffer.alloc(64 * 1024);
  const answers = new WeakMap<Request, Answer>();

  const finish = (cookie: number, error: Error | null, came = 0) => {
    const request = pending.get(cookie)!;
    pending.delete(cookie);
    request.settle(error, came);
  };

  for (;;) {
    yield header.subarray(0, 16);
    const kind = header.readUInt32BE(0);
    if (kind !== magic.simpleReply && kind !== magic.structuredReply) throw garbled('a reply starts with other bytes');
    // In both kinds of reply the cookie is at 8; ours are below 2^32.
    const cookie = header.readUInt32BE(12);
    const request = header.readUInt32BE(8) === 0 ? pending.get(cookie) : undefined;
    if (!request) throw garbled('a reply to nothing that was asked');
    if (kind === magic.simpleReply) {
      const code = header.readUInt32BE(4);
      if (code === 0) throw garbled('a simple reply where a structured one is due');
      finish(cookie, failure(request, code, '', request.offset));
      continue;
    }
    yield header.subarray(16, 20);
    let answer = answers.get(request);
    if (!answer) answers.set(request, (answer = { covered: [], bytes: 0, holes: 0, chunks: 0, error: null }));
    answer.chunks += 1;
    if (answer.chunks > mostChunks) throw garbled('a reply without end');
    const done = (header.readUInt16BE(4) & chunkFlag.done) !== 0;
    yield* oneChunk(request, answer, header.readUInt16BE(6), header.readUInt32BE(16), done, scratch);
    if (!done) continue;
    if (!answer.error && answer.bytes !== request.length && request.kind === 'read')
      throw garbled('a reply with bytes missing');
    if (!answer.error && answer.bytes === 0) throw garbled('an answer without content');
    finish(cookie, answer.error, answer.bytes - answer.holes);
  }
}

function* oneChunk(
  request: Request,
  answer: Answer,
  type: number,
  length: number,
  done: boolean,
  scratch: Buffer,
): Fills<void> {
  if (type === chunk.none) {
    if (length !== 0 || !done) throw garbled('an empty chunk that is not the last');
  } else if (type >= 0x8000) {
    answer.error = yield* errorChunk(request, type, length, scratch);
  } else if (request.kind === 'read' && type === chunk.offsetData) {
    if (length <= 8) throw garbled('a data chunk without data');
    yield scratch.subarray(0, 8);
    yield claim(request, answer, scratch.readBigUInt64BE(0), length - 8);
  } else if (request.kind === 'read' && type === chunk.offsetHole) {
    if (length !== 12) throw garbled('a hole chunk of another length');
    yield scratch.subarray(0, 12);
    answer.holes += claim(request, answer, scratch.readBigUInt64BE(0), scratch.readUInt32BE(8)).fill(0).length;
  } else if (request.kind === 'status' && type === chunk.blockStatus) {
    yield* statusChunk(request, answer, length, scratch);
  } else {
    throw garbled(`a chunk of type ${type}`);
  }
}

/** The part of the request's buffer that a chunk speaks of: inside of it, and of no earlier chunk's. */
function claim(request: ReadRequest, answer: Answer, at: bigint, length: number): Uint8Array {
  const from = Number(at) - request.offset;
  const to = from + length;
  if (!Number.isSafeInteger(from) || from < 0 || length === 0 || to > request.length)
    throw garbled('data that was not asked for');
  if (answer.covered.some(([a, b]) => from < b && a < to)) throw garbled('the same data twice');
  answer.covered.push([from, to]);
  answer.bytes += length;
  return request.target.subarray(from, to);
}

function* statusChunk(request: StatusRequest, answer: Answer, length: number, scratch: Buffer): Fills<void> {
  if (length < 12 || length % 8 !== 4) throw garbled('a status chunk of another length');
  yield scratch.subarray(0, 4);
  if (scratch.readUInt32BE(0) !== request.context || answer.bytes > 0) throw garbled('a status that was not asked for');
  for (let left = length - 4; left > 0;) {
    const part = scratch.subarray(0, Math.min(left, scratch.length));
    yield part;
    left -= part.length;
    for (let at = 0; at < part.length; at += 8) {
      // The last extent may reach beyond what was asked.
      const extent = Math.min(part.readUInt32BE(at), request.length - answer.bytes);
      if (extent === 0) throw garbled('an extent without length');
      request.onExtent(extent, (part.readUInt32BE(at + 4) & extentFlag.zero) !== 0);
      answer.bytes += extent;
    }
  }
}

function* errorChunk(request: Request, type: number, length: number, scratch: Buffer): Fills<Error> {
  if (length < 6 || length > longestError) throw garbled(`an error chunk of ${length} bytes`);
  const data = scratch.subarray(0, length);
  yield data;
  const code = data.readUInt32BE(0);
  const end = 6 + data.readUInt16BE(4);
  if (end > length || code === 0) throw garbled('a broken error chunk');
  const exact = type === chunk.errorOffset && end + 8 <= length ? Number(data.readBigUInt64BE(end)) : request.offset;
  return failure(request, code, data.toString('utf8', 6, end), exact);
}

function failure(request: Request, code: number, said: string, offset: number): FerryError {
  const words = said.replace(/[^\x20-\x7e]+/g, ' ').trim();
  const details = { offset, length: request.length, errno: code };
  if (code === errno.shutdown)
    return new FerryError('SourceUnreachable', "The source's server is shutting down", details);
  const why = words || (code === errno.io ? 'input/output error' : `error ${code}`);
  return new FerryError('SourceReadFailed', `The source cannot be read at byte ${offset}: ${why}`, details);
}
