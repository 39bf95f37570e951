import type { Verdict } from '../activities/compute/verdict.ts';
import type { GuestSide } from '../model/repair.ts';

/** The side that a running guest writes to now; null when it does not run, or that cannot be told. */
export function sideOf(stands: Verdict): GuestSide | null {
  switch (stands.kind) {
    case 'not-started':
    case 'copying':
    case 'ready':
    case 'foreign-job':
      return 'source';
    case 'done':
    case 'done-but-saved-xml-is-old':
      return 'destination';
    case 'park':
      return stands.writesTo ?? null;
    case 'ending':
    case 'off-on-source':
    case 'off-on-destination':
    case 'no-domain':
    case 'no-disk':
    case 'libvirtd-down':
    case 'unknown':
      return null;
  }
}
