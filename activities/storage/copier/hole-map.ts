import { cellBytes, windowBytes } from './geometry.ts';
import type { AskExtents } from './zero-map.ts';

/** The maps of so many windows are kept, the latest. */
const mostWindows = 8;

/** Where a device has holes, by cells: asked of its storage once a window, and remembered for a while. */
export class HoleMap {
  readonly #ask: AskExtents;
  readonly #sizeBytes: number;
  readonly #windows = new Map<number, Promise<Uint8Array>>();

  constructor(ask: AskExtents, sizeBytes: number) {
    this.#ask = ask;
    this.#sizeBytes = sizeBytes;
  }

  /** Tells the extents from `offset` on, perhaps not all of `length`. */
  async extents(offset: number, length: number, onExtent: (length: number, zero: boolean) => void): Promise<void> {
    const number = Math.floor(offset / windowBytes);
    const data = await this.#window(number);
    const end = Math.min(offset + length, (number + 1) * windowBytes);
    for (let at = offset; at < end;) {
      const kind = cellAt(data, at);
      let to = at;
      while (to < end && cellAt(data, to) === kind) to = Math.min(end, to + cellBytes - (to % cellBytes));
      onExtent(to - at, kind === 0);
      at = to;
    }
  }

  /** Whether a part that lies within one window is all hole. */
  async isHole(offset: number, length: number): Promise<boolean> {
    const data = await this.#window(Math.floor(offset / windowBytes));
    for (let at = offset; at < offset + length; at += cellBytes) if (cellAt(data, at) !== 0) return false;
    return true;
  }

  #window(number: number): Promise<Uint8Array> {
    let found = this.#windows.get(number);
    if (!found) {
      if (this.#windows.size >= mostWindows) this.#windows.delete(this.#windows.keys().next().value!);
      this.#windows.set(number, (found = this.#read(number * windowBytes)));
    }
    return found;
  }

  /** A 1 for each cell that has data, or of which nothing was told. */
  async #read(from: number): Promise<Uint8Array> {
    const length = Math.min(windowBytes, this.#sizeBytes - from);
    const data = new Uint8Array(windowBytes / cellBytes);
    let covered = 0;
    await this.#ask(from, length, (extent, zero) => {
      const end = Math.min(covered + extent, length);
      if (!zero) data.fill(1, Math.floor(covered / cellBytes), Math.ceil(end / cellBytes));
      covered = end;
    });
    return data.fill(1, Math.floor(covered / cellBytes), covered === length ? 0 : undefined);
  }
}

const cellAt = (data: Uint8Array, offset: number) => data[((offset % windowBytes) / cellBytes) | 0]!;
