import { blockDigest, digestBytes, zeroBlockDigest } from '../../copier/digest-chain.ts';
import { blockBytes, rangeBytes } from '../../copier/geometry.ts';
import type { Block } from './block-reader.ts';

const blocksOfRange = rangeBytes / blockBytes;

/** Of so many ranges the digests are kept until somebody asks for them; of others the device is read again. */
const mostRanges = 256;

interface Range {
  readonly digests: Uint8Array;
  readonly known: Uint8Array;
}

export const digestOfBlock = ({ bytes, isZero }: Block): Uint8Array =>
  isZero ? zeroBlockDigest(bytes.length) : blockDigest(bytes);

/** The digests of the blocks that were read, of each as it was read last; of the latest ranges only. */
export class BlockDigests {
  readonly #ranges = new Map<number, Range>();
  /** Nobody may ever ask: then nothing is digested. */
  wanted = false;

  note(block: Block): void {
    if (this.wanted) this.#set(block.index, digestOfBlock(block));
  }

  get(index: number): Uint8Array | null {
    const range = this.#ranges.get(Math.floor(index / blocksOfRange));
    const at = index % blocksOfRange;
    return range?.known[at] ? range.digests.subarray(at * digestBytes, (at + 1) * digestBytes) : null;
  }

  #set(index: number, digest: Uint8Array): void {
    const number = Math.floor(index / blocksOfRange);
    let range = this.#ranges.get(number);
    if (!range) {
      if (this.#ranges.size >= mostRanges) this.#ranges.delete(this.#ranges.keys().next().value!);
      range = { digests: new Uint8Array(blocksOfRange * digestBytes), known: new Uint8Array(blocksOfRange) };
      this.#ranges.set(number, range);
    }
    const at = index % blocksOfRange;
    range.digests.set(digest, at * digestBytes);
    range.known[at] = 1;
  }
}
