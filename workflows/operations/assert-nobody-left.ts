import type { FerryErrorType } from '../../model/errors.ts';
import { nodeOf } from '../../model/ids.ts';
import { deviceName } from '../../model/names.ts';
import type { Volume } from '../../model/volume.ts';
import { storageSteps } from '../activities.ts';
import { reasonOf } from '../failures.ts';

/** Longer than a guest's QEMU takes to close what it has let go of, and a busy node to look. Seconds. */
const lookSeconds = 60;

/** What a node says of a device that is not there as it was meant: an answer, too. */
export const answers: ReadonlySet<FerryErrorType> = new Set(['DeviceMissing', 'NotOwned', 'SizeMismatch']);

/**
 * The device is asked: `VolumeInUse` with who it is. A node that does not answer is waited for with the end of the export; where no
 * hypervisor was asked it has to (`mustAnswer`): no answer is not a no.
 */
export async function assertNobodyLeft(
  { host: backEnd, ...volume }: Pick<Volume, 'host' | 'id' | 'nameId'>,
  exportName: string,
  { mustAnswer }: { mustAnswer: boolean } = { mustAnswer: false },
): Promise<void> {
  try {
    await storageSteps(nodeOf(backEnd), lookSeconds).checkUnused.executeWithOptions(
      { summary: `see that nobody uses ${deviceName(volume)} any more` },
      [{ backEnd, deviceName: deviceName(volume), exportName }],
    );
  } catch (error) {
    const { type } = reasonOf(error);
    if (type === 'VolumeInUse' || (mustAnswer && !answers.has(type))) throw error;
  }
}
