import { FerryError } from '../../../model/errors.ts';
import type { Checkpoint } from '../../../model/migration.ts';
import { isChain } from './digest-chain.ts';
import { rangeBytes } from './geometry.ts';

/** Throws `InvalidInput` unless `from` is where a checkpoint can lie, with the digest of what is before it if one is wanted. */
export function checkStart(from: Checkpoint, sizeBytes: number, digest: boolean): void {
  const wrong = (why: string) =>
    new FerryError('InvalidInput', `A checkpoint from which a copy cannot go on: ${why}`, { from, sizeBytes });
  if (sizeBytes <= 0 || sizeBytes % 512 !== 0) throw wrong(`${sizeBytes} bytes is no size of a device`);
  for (const offset of [from.offset, from.copied ?? from.offset]) {
    if (offset > sizeBytes) throw wrong('it lies beyond the end');
    if (offset % rangeBytes !== 0 && offset !== sizeBytes) throw wrong('it lies on no boundary of a range');
  }
  if (from.copied !== undefined && from.copied < from.offset) throw wrong('it was proven, but not copied');
  const chained = from.offset > 0 && digest;
  if (chained ? !isChain(from.chain) : digest && from.chain !== '')
    throw wrong('its digest does not belong to its offset');
}
