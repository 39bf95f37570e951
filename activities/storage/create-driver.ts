import type { BackEndConfiguration } from '../../configuration/schema.ts';
import { gib } from '../../model/sizes.ts';
import { createDirectoryDriver } from './directory/directory-driver.ts';
import type { VolumeDriver } from './driver.ts';
import { createLvmDriver } from './lvm/lvm-driver.ts';
import type { RunCommand } from './run-command.ts';

/** The driver of a back end, as configured. Nothing is touched or checked before its first call. */
export function createDriver(backEnd: BackEndConfiguration, run: RunCommand): VolumeDriver {
  switch (backEnd.driver) {
    case 'lvm':
      return createLvmDriver({ volumeGroup: backEnd.volumeGroup, run });
    case 'directory':
      return createDirectoryDriver({
        path: backEnd.path,
        capacityBytes: backEnd.capacityGib === undefined ? undefined : backEnd.capacityGib * gib,
      });
  }
}
