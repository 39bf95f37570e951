import { formatBytes, gib } from './sizes.ts';

/** A device on a back end that is none of Ferry's. */
export interface UnmanagedDevice {
  name: string;
  sizeBytes: number;
  /** Why it cannot become a volume; null when it can. */
  obstacle: string | null;
}

const largestGib = 65_536;

/** Why a device of that size cannot become a volume; null when it can: volumes are whole GiB. */
export function sizeObstacle(sizeBytes: number): string | null {
  if (sizeBytes === 0 || sizeBytes % gib !== 0) {
    const next = Math.ceil(Math.max(1, sizeBytes) / gib);
    return `its size, ${formatBytes(sizeBytes)} (${sizeBytes} bytes), is not whole GiB; extend it to ${next} GiB first`;
  }
  return sizeBytes > largestGib * gib ? `it is larger than ${largestGib} GiB` : null;
}
