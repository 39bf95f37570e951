import { Buffer } from 'node:buffer';
import { FerryError } from '../../../../model/errors.ts';

// Names and numbers of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md

export const magic = {
  greeting: Buffer.from('NBDMAGIC'),
  option: Buffer.from('IHAVEOPT'),
  optionReply: Buffer.from('0003e889045565a9', 'hex'),
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
} as const;

export const handshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;
export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;
export const optionReply = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;
/** Codes of refusals, to which a reply's type adds 2^31. */
export const optionRefusal = { unsupported: 1, policy: 2, invalid: 3, tlsRequired: 5, unknown: 6 } as const;
export const info = { export: 0, blockSize: 3 } as const;
export const transmissionFlag = { hasFlags: 1, readOnly: 1 << 1, sendDf: 1 << 7, canMultiConn: 1 << 8 } as const;
export const command = { read: 0, write: 1, disconnect: 2, trim: 4, writeZeroes: 6, blockStatus: 7 } as const;
export const commandFlag = { df: 1 << 2, one: 1 << 3 } as const;
export const chunkFlag = { done: 1 } as const;
export const chunk = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;
export const extentFlag = { hole: 1, zero: 2 } as const;

const optionErrors: Record<number, string> = {
  1: 'unsupported',
  2: 'forbidden by policy',
  3: 'invalid',
  4: 'not supported on its platform',
  5: 'TLS required',
  6: 'no such export',
  7: 'shutting down',
  8: 'block size required',
  9: 'too big',
};

/** The words for an option reply with the error bit, or null for one without. */
export function optionError(type: number): string | null {
  return type >= 2 ** 31 ? (optionErrors[type - 2 ** 31] ?? `error ${type - 2 ** 31}`) : null;
}

export const errno = { permission: 1, io: 5, invalid: 22, shutdown: 108 } as const;

/** The server said something that NBD does not allow, or that no sane server says. */
export function garbled(what: string): FerryError {
  return new FerryError('SourceUnreachable', `The source's server does not follow the NBD protocol: ${what}`, {
    protocol: what,
  });
}

export interface ExportInfo {
  readonly sizeBytes: number;
  readonly flags: number;
  /** Id of the `base:allocation` context; null if the server does not tell holes. */
  readonly allocationContext: number | null;
}
