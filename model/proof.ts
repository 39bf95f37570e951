import type { Checkpoint, Proof, VerifyMode } from './migration.ts';

/** The digests that a copy left behind it: of what arrived, of what was read back, and of the source, if its node read it again. */
export interface Digests {
  readonly arrived: Checkpoint;
  readonly readBack: Checkpoint;
  readonly source: Checkpoint | null;
}

/** What is proven by reading these; `cache` when one of them could only be read from memory. */
export function proofOf(how: Extract<VerifyMode, 'both' | 'reread'>, read: readonly (Checkpoint | null)[]): Proof {
  return read.some((each) => each?.medium === 'cache') ? 'cache' : how;
}

/** Which side is another than the others, and what to look at; null when all are equal. `names` are for people. */
export function difference(
  { arrived, readBack, source }: Digests,
  names: { source: string; destination: string },
): string | null {
  const kept = readBack.chain === arrived.chain;
  const came = source === null || source.chain === arrived.chain;
  if (kept && came) return null;
  if (came)
    return `${names.destination} does not hold what arrived from ${names.source}: its disk gives back other bytes. Check the destination's disk, then migrate again.`;
  if (kept)
    return `${names.source}, read again by its own node, holds other bytes than arrived at ${names.destination}, which has kept those: they changed on their way (network, memory, the source's export), the source's disk does not read the same twice, or somebody writes to it. Check these, then migrate again.`;
  if (source.chain === readBack.chain)
    return `${names.source} and ${names.destination} hold the same, but the digest of what arrived between them is another: check the memory of the destination's node, then migrate again.`;
  return `${names.source}, read again by its own node, what arrived from it, and what was read back from ${names.destination} are three different things: check both disks, the network and the memory of both nodes, then migrate again.`;
}
