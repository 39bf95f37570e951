import type { BackEndConfiguration } from '../../configuration/schema.ts';
import { gib } from '../../model/sizes.ts';
import type { Admit } from './admission.ts';
import { createDirectoryDriver } from './directory/directory-driver.ts';
import type { VolumeDriver } from './driver.ts';
import { createLvmDriver } from './lvm/lvm-driver.ts';
import { createThinLvmDriver } from './lvm/thin-lvm-driver.ts';
import type { RunCommand } from './run-command.ts';

/** The driver of a back end, as configured beside the node's `others`; without `admit` of whatever storage is there. Nothing is touched or checked before its first call. */
export function createDriver(
  backEnd: BackEndConfiguration,
  others: readonly BackEndConfiguration[],
  run: RunCommand,
  admit?: Admit,
): VolumeDriver {
  if (backEnd.driver === 'directory') {
    return createDirectoryDriver({
      path: backEnd.path,
      capacityBytes: backEnd.capacityGib === undefined ? undefined : backEnd.capacityGib * gib,
      admit,
    });
  }
  const { volumeGroup, thinPool, maxOverSubscriptionRatio = 1 } = backEnd;
  if (thinPool !== undefined)
    return createThinLvmDriver({ volumeGroup, thinPool, maxOverSubscriptionRatio, run, admit });
  const otherPools = others.flatMap((other) =>
    other.driver === 'lvm' && other.volumeGroup === volumeGroup && other.thinPool !== undefined ? [other.thinPool] : [],
  );
  return createLvmDriver({ volumeGroup, otherPools, run, admit });
}
