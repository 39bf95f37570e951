import { Buffer } from 'node:buffer';
import { transmissionFlag } from '../../copier/nbd/protocol.ts';
import type { Served } from './served.ts';

/** The client said something that cannot be answered: its connection ends, and nothing else. */
export class Garbled extends Error {}

/** How a client wants to be answered, once it has chosen what to read. */
export interface Agreement {
  readonly served: Served;
  /** Replies in chunks, which may be holes. */
  readonly structured: boolean;
  readonly allocation: boolean;
}

/** The number of the only context there is: what is allocated. */
export const allocationId = 1;
/** The largest request. */
export const mostBytes = 32 * 1024 * 1024;

/** Read-only, and the same through every connection. No fragments are promised to nobody: zeros within a block are told as such. */
export const transmissionFlags = transmissionFlag.hasFlags | transmissionFlag.readOnly | transmissionFlag.canMultiConn;

export const u16 = (n: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(n);
  return bytes;
};
export const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
};
export const u64 = (n: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(n));
  return bytes;
};
