import { Buffer } from 'node:buffer';
import { command, commandFlag, magic } from './protocol.ts';

/** The 28 bytes that ask for something. `df` asks for an answer in one piece. */
export function encodeRequest(
  kind: keyof typeof command,
  cookie: number,
  offset: number,
  length: number,
  df = false,
): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(magic.request, 0);
  bytes.writeUInt16BE(df ? commandFlag.df : 0, 4);
  bytes.writeUInt16BE(command[kind], 6);
  bytes.writeUInt32BE(cookie, 12);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
