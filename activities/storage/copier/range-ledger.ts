import type { Checkpoint } from '../../../model/migration.ts';
import { blockBytes, rangeBytes } from './geometry.ts';
import { digestBytes, extendChain } from './digest-chain.ts';

interface OpenRange {
  missing: number;
  transferred: number;
  readonly digests: Uint8Array | null;
}

/** Blocks are finished in any order; the ledger tells how far all is done without a gap, and the digest up to there. */
export class RangeLedger {
  readonly #sizeBytes: number;
  readonly #digest: boolean;
  readonly #onReached: (offset: number) => void;
  readonly #open = new Map<number, OpenRange>();
  #reached: Checkpoint;
  #position: number;

  constructor(
    sizeBytes: number,
    from: Checkpoint,
    digest: boolean,
    onReached: (offset: number) => void = () => undefined,
  ) {
    this.#onReached = onReached;
    this.#sizeBytes = sizeBytes;
    this.#digest = digest;
    this.#reached = from;
    this.#position = from.offset;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** All before its offset is done. The offset is a multiple of a range, or the end. */
  get reached(): Checkpoint {
    return this.#reached;
  }

  get finished(): boolean {
    return this.#reached.offset === this.#sizeBytes;
  }

  /** Bytes done or at least arrived, also those after a gap: for display. */
  get position(): number {
    return this.#position;
  }

  /** Bytes have arrived, though their block is not done yet: under a low cap that takes many seconds. */
  arrive(bytes: number): void {
    this.#position += bytes;
  }

  /** Records a whole block as done. `transferred`: how many of its bytes came over the wire, and were told by `arrive`. */
  complete(offset: number, length: number, digest: Uint8Array | null, transferred: number): void {
    const start = offset - (offset % rangeBytes);
    const range = this.#range(start);
    if (digest && range.digests) range.digests.set(digest, ((offset - start) / blockBytes) * digestBytes);
    range.missing -= length;
    range.transferred += transferred;
    this.#position += length - transferred;
    if (range.missing === 0) this.#fold();
  }

  #range(start: number): OpenRange {
    let range = this.#open.get(start);
    if (!range) {
      const length = Math.min(rangeBytes, this.#sizeBytes - start);
      const digests = this.#digest ? new Uint8Array(Math.ceil(length / blockBytes) * digestBytes) : null;
      this.#open.set(start, (range = { missing: length, transferred: 0, digests }));
    }
    return range;
  }

  #fold(): void {
    for (;;) {
      const { offset, chain, transferred } = this.#reached;
      const range = this.#open.get(offset);
      if (range?.missing !== 0) return;
      this.#open.delete(offset);
      this.#reached = {
        ...this.#reached,
        offset: Math.min(offset + rangeBytes, this.#sizeBytes),
        chain: range.digests ? extendChain(chain, range.digests) : '',
        transferred: transferred + range.transferred,
      };
      this.#onReached(this.#reached.offset);
    }
  }
}
