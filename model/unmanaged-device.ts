import { sizeBytes as sizeOfVolume } from './sizes.ts';

/** A device on a back end that is none of Ferry's. */
export interface UnmanagedDevice {
  name: string;
  sizeBytes: number;
  /** Why it cannot become a volume; null when it can. */
  obstacle: string | null;
  /** The snapshots that hang on it, when they alone keep it from that. Not told by a worker of before this was asked. */
  snapshots?: readonly string[];
}

/** What still keeps a device from becoming a volume that takes its `known` snapshots along; null: nothing. */
export function obstacleLeft(
  { obstacle, snapshots = [] }: Pick<UnmanagedDevice, 'obstacle' | 'snapshots'>,
  known: readonly string[] = [],
): string | null {
  return snapshots.length > 0 && snapshots.every((each) => known.includes(each)) ? null : obstacle;
}

/** Why a device of that size cannot become a volume; null when it can. */
export function sizeObstacle(sizeBytes: number): string | null {
  const parsed = sizeOfVolume.safeParse(sizeBytes);
  if (parsed.success) return null;
  const next = Math.ceil(Math.max(1, sizeBytes) / 512) * 512;
  const mend = sizeBytes % 512 === 0 && sizeBytes > 0 ? '' : `; extend it to ${next} bytes first`;
  return `its size, ${sizeBytes} bytes, ${parsed.error.issues[0]!.message}${mend}`;
}
