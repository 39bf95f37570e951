import { Buffer } from 'node:buffer';
import { blake3 } from '@napi-rs/blake-hash';
import { blockBytes } from './geometry.ts';

/**
 * The digest of a volume, so built that it can be continued at any range and that holes cost nothing:
 *   block  = BLAKE3(its bytes)                      1 MiB
 *   range  = BLAKE3(block digests one after another) 64 MiB
 *   chain  = BLAKE3(previous chain + range)          from the empty chain at offset 0
 * A hole is digested as the zeros it reads as.
 */
export const digestBytes = 32;

export const blockDigest = (bytes: Uint8Array): Uint8Array => blake3(bytes);

const zeroDigests = new Map<number, Uint8Array>();

/** The digest of `length` zeros; there are two lengths at most, the block and the volume's last block. */
export function zeroBlockDigest(length: number): Uint8Array {
  let digest = zeroDigests.get(length);
  if (!digest) zeroDigests.set(length, (digest = blockDigest(new Uint8Array(length))));
  return digest;
}

/** Continues `chain` (hex, or empty at the start) by the range with these block digests, one after another. */
export function extendChain(chain: string, blockDigests: Uint8Array): string {
  return blake3(Buffer.concat([Buffer.from(chain, 'hex'), blake3(blockDigests)])).toString('hex');
}

export const isChain = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

const zeros = new Uint8Array(blockBytes);

export const isZero = (bytes: Uint8Array): boolean => Buffer.compare(bytes, zeros.subarray(0, bytes.length)) === 0;
