import { Buffer } from 'node:buffer';
import { FerryError } from '../../../../model/errors.ts';
import { garbled, handshakeFlag, info, magic, option, optionError, optionReply, type ExportInfo } from './protocol.ts';
import type { Fills } from './filling.ts';

type Send = (bytes: Uint8Array) => void;
type Reply = { readonly type: number; readonly data: Buffer };

/** Longest option reply that makes sense: a name or a message of 4 KiB, and a few numbers. */
const longestReply = 16 * 1024;

function* read(length: number): Fills<Buffer> {
  const bytes = Buffer.alloc(length);
  if (length > 0) yield bytes;
  return bytes;
}

function optionRequest(code: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  magic.option.copy(header);
  header.writeUInt32BE(code, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

function* reply(code: number): Fills<Reply> {
  const header = yield* read(20);
  if (!header.subarray(0, 8).equals(magic.optionReply)) throw garbled('an option reply starts with other bytes');
  if (header.readUInt32BE(8) !== code) throw garbled('a reply to an option that was not asked');
  const length = header.readUInt32BE(16);
  if (length > longestReply) throw garbled(`an option reply of ${length} bytes`);
  return { type: header.readUInt32BE(12), data: yield* read(length) };
}

function refused(what: string, why: string, data: Buffer): FerryError {
  const said = data
    .toString('utf8')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim();
  return new FerryError('SourceUnreachable', `The source's server refuses ${what}: ${said || why}`, { why });
}

/** The greeting of fixed newstyle, and the answer to it. */
export function* greet(send: Send): Fills<void> {
  const greeting = yield* read(18);
  if (!greeting.subarray(0, 8).equals(magic.greeting)) throw garbled('the greeting is not that of an NBD server');
  if (!greeting.subarray(8, 16).equals(magic.option)) throw garbled('an oldstyle server');
  const wanted = handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes;
  const flags = greeting.readUInt16BE(16) & wanted;
  if (!(flags & handshakeFlag.fixedNewstyle)) throw garbled('not the fixed newstyle');
  const answer = Buffer.alloc(4);
  answer.writeUInt32BE(flags);
  send(answer);
}

/** Asks for TLS; when this returns, the next byte either way is of TLS. */
export function* startTls(send: Send): Fills<void> {
  send(optionRequest(option.startTls));
  const { type, data } = yield* reply(option.startTls);
  const why = optionError(type);
  if (why) throw refused('TLS', why, data);
  if (type !== optionReply.ack || data.length > 0) throw garbled('no plain yes to TLS');
}

/** Chooses the export and how it talks: structured replies, and holes if the server can tell them. */
export function* negotiate(send: Send, exportName: string): Fills<ExportInfo> {
  send(optionRequest(option.structuredReply));
  const { type, data } = yield* reply(option.structuredReply);
  const why = optionError(type);
  if (why) throw refused('structured replies', why, data);
  if (type !== optionReply.ack) throw garbled(`reply ${type} to the wish for structured replies`);
  const name = Buffer.from(exportName);
  const query = Buffer.from('base:allocation');
  const one = Buffer.from([0, 0, 0, 1]);
  send(optionRequest(option.setMetaContext, Buffer.concat([lengthOf(name), name, one, lengthOf(query), query])));
  // Not waited for in between: qemu-nbd's second packet of an answer waits for our acknowledgement of the first, and that for
  // something to be sent with it, 40 ms at most.
  const requests = Buffer.from([0, 1, 0, info.blockSize]);
  send(optionRequest(option.go, Buffer.concat([lengthOf(name), name, requests])));
  const allocationContext = yield* allocation(query);
  return { ...(yield* chosen(name)), allocationContext };
}

const lengthOf = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return length;
};

function* allocation(query: Buffer): Fills<number | null> {
  let context: number | null = null;
  for (;;) {
    const { type, data } = yield* reply(option.setMetaContext);
    // An unknown export is told again, and better, by the next option.
    if (optionError(type)) return null;
    if (type === optionReply.ack) return context;
    if (type !== optionReply.metaContext || context !== null) throw garbled(`reply ${type} to the choice of contexts`);
    if (!data.subarray(4).equals(query)) throw garbled('a context that was not asked for');
    context = data.readUInt32BE(0);
  }
}

function* chosen(name: Buffer): Fills<{ sizeBytes: number; flags: number }> {
  let found: { sizeBytes: number; flags: number } | null = null;
  for (;;) {
    const { type, data } = yield* reply(option.go);
    const why = optionError(type);
    if (why) throw refused(`the export ${name.toString()}`, why, data);
    if (type === optionReply.ack) {
      if (!found) throw garbled('an export without a size');
      return found;
    }
    if (type !== optionReply.info || data.length < 2) throw garbled(`reply ${type} to the choice of an export`);
    const kind = data.readUInt16BE(0);
    if (kind === info.export) found = exportInfo(data);
    if (kind === info.blockSize) checkBlockSize(data);
  }
}

function exportInfo(data: Buffer): { sizeBytes: number; flags: number } {
  if (data.length !== 12) throw garbled('an export description of another length');
  const size = data.readBigUInt64BE(2);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw garbled(`an export of ${size} bytes`);
  return { sizeBytes: Number(size), flags: data.readUInt16BE(10) };
}

function checkBlockSize(data: Buffer): void {
  if (data.length !== 14) throw garbled('a block size description of another length');
  if (data.readUInt32BE(2) > 4096 || data.readUInt32BE(10) < 1024 * 1024) {
    throw garbled('block sizes that do not allow requests from 4 KiB to 1 MiB');
  }
}
