import type { BackEnd } from '../../../model/back-end.ts';
import type { Room } from '../../../model/placement/choose-place.ts';
import { gib } from '../../../model/sizes.ts';

/** When every room was last heard of. */
export const now = new Date('2026-01-01T12:00:00Z');

/** An enabled, running back end of 100 GiB. `change` changes its report. */
export function room(name: string, freeGib: number, change: Partial<BackEnd> = {}, promisedGib = 0): Room {
  const backEnd: BackEnd = {
    name,
    node: name.split('@')[0]!,
    availabilityZone: 'zone1',
    driver: 'lvm',
    totalBytes: 100 * gib,
    freeBytes: freeGib * gib,
    disabled: false,
    disabledReason: null,
    fault: null,
    placementFault: null,
    lostDevices: [],
    capabilities: {},
    heartbeatAt: now,
    decommissionedAt: null,
    ...change,
  };
  return { backEnd, promisedBytes: promisedGib * gib };
}
