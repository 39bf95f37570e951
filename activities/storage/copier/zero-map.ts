import { blockBytes, cellBytes, windowBytes } from './geometry.ts';

/** Tells a device's extents from `offset` on, in order; perhaps fewer than `length`, but at least one. */
export type AskExtents = (
  offset: number,
  length: number,
  onExtent: (length: number, zero: boolean) => void,
) => Promise<void>;

export type Run = readonly [from: number, to: number];

const nothing: readonly Run[] = [];

/** What of a part of a device may be other than zeros, by cells: small holes count as data. */
export class ZeroMap {
  readonly from: number;
  /** A multiple of a block, or the end of the device. */
  readonly to: number;
  readonly #data: Uint8Array;

  constructor(from: number, to: number, data: Uint8Array) {
    this.from = from;
    this.to = to;
    this.#data = data;
  }

  /** The runs of data in a block of the map, in bytes from the block's start. */
  dataRuns(offset: number, length: number): readonly Run[] {
    const first = (offset - this.from) / cellBytes;
    return runsOf(length, (at) => this.#data[first + at / cellBytes] === 1);
  }
}

/** Joins the cells of which `isData` says so. */
export function runsOf(length: number, isData: (at: number) => boolean): readonly Run[] {
  let runs: Run[] | null = null;
  for (let at = 0; at < length; at += cellBytes) {
    if (!isData(at)) continue;
    const to = Math.min(at + cellBytes, length);
    const last = runs?.at(-1);
    if (last?.[1] === at) runs![runs!.length - 1] = [last[0], to];
    else (runs ??= []).push([at, to]);
  }
  return runs ?? nothing;
}

/** Reads the map of a device window by window, one ahead, so that the next answer is there when it is needed. */
export class ZeroMaps {
  readonly #sizeBytes: number;
  readonly #ask: AskExtents | null;
  #ahead: Promise<ZeroMap> | null = null;

  /** Without `ask`, all is data. */
  constructor(sizeBytes: number, ask: AskExtents | null) {
    this.#sizeBytes = sizeBytes;
    this.#ask = ask;
  }

  /** The map that starts at `offset`: at first anywhere, then where the last one ended. */
  async next(offset: number): Promise<ZeroMap> {
    const map = await (this.#ahead ?? this.#read(offset));
    if (map.to < this.#sizeBytes) {
      this.#ahead = this.#read(map.to);
      // Whoever asks for it gets the error; nobody may come to ask.
      this.#ahead.catch(() => undefined);
    }
    return map;
  }

  async #read(from: number): Promise<ZeroMap> {
    const length = Math.min(windowBytes, this.#sizeBytes - from);
    const data = new Uint8Array(Math.ceil(length / cellBytes));
    if (!this.#ask) return new ZeroMap(from, from + length, data.fill(1));
    let covered = 0;
    await this.#ask(from, length, (extent, zero) => {
      const end = Math.min(covered + extent, length);
      if (!zero) data.fill(1, Math.floor(covered / cellBytes), Math.ceil(end / cellBytes));
      covered = end;
    });
    if (covered === length) return new ZeroMap(from, from + length, data);
    const whole = covered - (covered % blockBytes);
    if (whole > 0) return new ZeroMap(from, from + whole, data);
    // Told less than a block: reading that block is simpler than asking on.
    return new ZeroMap(from, from + Math.min(blockBytes, length), data.fill(1));
  }
}
