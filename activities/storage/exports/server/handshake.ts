import { Buffer } from 'node:buffer';
import type { Fills } from '../../copier/nbd/filling.ts';
import { handshakeFlag, info, magic, option, optionReply, optionRefusal } from '../../copier/nbd/protocol.ts';
import { blockBytes } from '../../copier/geometry.ts';
import type { Served } from './served.ts';
import { allocationId, Garbled, mostBytes, transmissionFlags, u16, u32, u64, type Agreement } from './wire.ts';

/** Longest option that makes sense: two names of 4 KiB, and a few numbers. */
const longestOption = 16 * 1024;
/** No client has so many questions. */
const mostOptions = 64;

/** The only context there is: what is allocated. */
const allocation = Buffer.from('base:allocation');

export interface HandshakeOptions {
  /** What is offered under which name. */
  readonly offered: ReadonlyMap<string, Served>;
  /** TLS is demanded, and has not begun. */
  readonly needsTls: boolean;
  readonly send: (bytes: Uint8Array) => void;
}

export const greeting: Uint8Array = Buffer.concat([
  magic.greeting,
  magic.option,
  Buffer.from([0, handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes]),
]);

/** The client's answer to the greeting; whether it goes without the 124 zeros after an export's description. */
export function* clientFlags(): Fills<{ noZeroes: boolean }> {
  const bytes = yield* take(4);
  const flags = bytes.readUInt32BE(0);
  if (!(flags & handshakeFlag.fixedNewstyle)) throw new Garbled('a client of the old style');
  if (flags & ~(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes)) throw new Garbled('unknown flags');
  return { noZeroes: (flags & handshakeFlag.noZeroes) !== 0 };
}

/** Answers options until the client has chosen: an agreement; `tls`: TLS begins with the next byte; null: it takes its leave. */
export function* haggle(
  { offered, needsTls, send }: HandshakeOptions,
  { noZeroes }: { noZeroes: boolean },
): Fills<Agreement | 'tls' | null> {
  let structured = false;
  let contextOf: string | null = null;
  for (let options = 0; options < mostOptions; options += 1) {
    const { code, data } = yield* nextOption();
    const reply = (type: number, ...parts: Uint8Array[]) => send(optionReplyOf(code, type, Buffer.concat(parts)));
    const refuse = (why: number, words: string) => reply(2 ** 31 + why, Buffer.from(words));
    if (code === option.abort) {
      reply(optionReply.ack);
      return null;
    }
    if (code === option.startTls) {
      if (!needsTls) {
        refuse(optionRefusal.policy, 'TLS is not offered here');
      } else if (data.length > 0) {
        refuse(optionRefusal.invalid, 'TLS takes no argument');
      } else {
        reply(optionReply.ack);
        return 'tls';
      }
      continue;
    }
    if (needsTls) {
      // There is no other way to refuse this one.
      if (code === option.exportName) throw new Garbled('an export without TLS');
      refuse(optionRefusal.tlsRequired, 'TLS is required');
      continue;
    }
    switch (code) {
      case option.exportName: {
        const served = offered.get(data.toString());
        if (!served) throw new Garbled('no such export');
        send(Buffer.concat([u64(served.sizeBytes), u16(transmissionFlags), Buffer.alloc(noZeroes ? 0 : 124)]));
        return { served, structured, allocation: false };
      }
      case option.list:
        for (const name of offered.keys()) reply(optionReply.server, u32(Buffer.byteLength(name)), Buffer.from(name));
        reply(optionReply.ack);
        break;
      case option.structuredReply:
        structured = true;
        reply(optionReply.ack);
        break;
      case option.listMetaContext:
      case option.setMetaContext: {
        const asked = contextsAsked(data);
        const sets = code === option.setMetaContext;
        if (sets) contextOf = null;
        if (!asked) {
          refuse(optionRefusal.invalid, 'a broken list of contexts');
        } else if (!offered.has(asked.name)) {
          refuse(optionRefusal.unknown, 'no such export');
        } else if (sets && !structured) {
          refuse(optionRefusal.invalid, 'contexts need structured replies');
        } else {
          // All that there is, for a list without a query.
          const found = (!sets && asked.queries.length === 0) || asked.queries.some((query) => matches(query, sets));
          if (found) reply(optionReply.metaContext, u32(sets ? allocationId : 0), allocation);
          if (found && sets) contextOf = asked.name;
          reply(optionReply.ack);
        }
        break;
      }
      case option.info:
      case option.go: {
        const name = nameAsked(data);
        const served = name === null ? undefined : offered.get(name);
        if (name === null) {
          refuse(optionRefusal.invalid, 'a broken choice of an export');
        } else if (!served) {
          refuse(optionRefusal.unknown, 'no such export');
        } else {
          reply(optionReply.info, u16(info.export), u64(served.sizeBytes), u16(transmissionFlags));
          reply(optionReply.info, u16(info.blockSize), u32(1), u32(blockBytes), u32(mostBytes));
          reply(optionReply.ack);
          if (code === option.go) return { served, structured, allocation: contextOf === name };
        }
        break;
      }
      default:
        refuse(optionRefusal.unsupported, 'unsupported');
    }
  }
  throw new Garbled('questions without end');
}

function* take(length: number): Fills<Buffer> {
  const bytes = Buffer.alloc(length);
  if (length > 0) yield bytes;
  return bytes;
}

function* nextOption(): Fills<{ code: number; data: Buffer }> {
  const header = yield* take(16);
  if (!header.subarray(0, 8).equals(magic.option)) throw new Garbled('an option starts with other bytes');
  const length = header.readUInt32BE(12);
  if (length > longestOption) throw new Garbled(`an option of ${length} bytes`);
  return { code: header.readUInt32BE(8), data: yield* take(length) };
}

function optionReplyOf(code: number, type: number, data: Buffer): Buffer {
  return Buffer.concat([magic.optionReply, u32(code), u32(type), u32(data.length), data]);
}

/** A length and so many bytes; null if they are not there. */
function textAt(data: Buffer, at: number): { text: Buffer; end: number } | null {
  if (at + 4 > data.length) return null;
  const end = at + 4 + data.readUInt32BE(at);
  return end > data.length ? null : { text: data.subarray(at + 4, end), end };
}

function nameAsked(data: Buffer): string | null {
  const name = textAt(data, 0);
  if (!name || name.end + 2 > data.length) return null;
  return name.end + 2 + 2 * data.readUInt16BE(name.end) === data.length ? name.text.toString() : null;
}

function contextsAsked(data: Buffer): { name: string; queries: Buffer[] } | null {
  const name = textAt(data, 0);
  if (!name || name.end + 4 > data.length) return null;
  const count = data.readUInt32BE(name.end);
  const queries: Buffer[] = [];
  let at = name.end + 4;
  for (let i = 0; i < count; i += 1) {
    const query = textAt(data, at);
    if (!query) return null;
    queries.push(query.text);
    at = query.end;
  }
  return at === data.length ? { name: name.text.toString(), queries } : null;
}

/** `base:` asks what there is; it chooses nothing. */
const matches = (query: Buffer, sets: boolean) => query.equals(allocation) || (!sets && query.equals(base));
const base = Buffer.from('base:');
