import type { ThinPool } from './report.ts';

/** What the mapping of one chunk takes of the metadata, by thin_metadata_size(8), its trees included. */
const metadataBytesPerChunk = 64;

/** What the kernel keeps back of the metadata: with less free than this it changes nothing any more. */
const reservedPart = 0.1;
const mostReservedBytes = 16 * 1024 ** 2;

/** What is free of a pool's metadata, less what the kernel keeps back; may be negative. */
function freeMetadataBytes(metadataBytes: number, metadataPercent: number): number {
  const reserved = Math.min(metadataBytes * reservedPart, mostReservedBytes);
  return metadataBytes * (1 - metadataPercent / 100) - reserved;
}

export function isMetadataFull(metadataBytes: number, metadataPercent: number): boolean {
  return freeMetadataBytes(metadataBytes, metadataPercent) <= 0;
}

/** Bytes that can still be written to chunks that nobody has, as far as data and metadata reach. */
export function writableBytes(pool: Omit<ThinPool, 'fault' | 'placementFault' | 'name' | 'discards'>): number {
  const data = pool.sizeBytes * (1 - pool.dataPercent / 100);
  const mappable =
    (freeMetadataBytes(pool.metadataBytes, pool.metadataPercent) / metadataBytesPerChunk) * pool.chunkBytes;
  return Math.max(0, Math.floor(Math.min(data, mappable)));
}

/**
 * What a pool can hold, in bytes of volumes' sizes, as Cinder has it: volumes may be promised `ratio` times the pool; and what is added now
 * may be at most `ratio` times what is really free.
 */
export function poolCapacity(
  pool: Parameters<typeof writableBytes>[0],
  volumes: readonly { sizeBytes: number }[],
  ratio: number,
): { totalBytes: number; freeBytes: number } {
  const totalBytes = Math.floor(pool.sizeBytes * ratio);
  const promised = volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const freeBytes = Math.min(totalBytes - promised, Math.floor(writableBytes(pool) * ratio));
  return { totalBytes, freeBytes: Math.max(0, freeBytes) };
}
