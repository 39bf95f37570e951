import { FerryError } from '../../../model/errors.ts';
import { exitCodeOf, type RunCommand, type RunOptions } from '../run-command.ts';
import { groupReport, type LogicalVolume, parseGroup, parseVolumes, type VolumeGroup, volumeReport } from './report.ts';

/** lvm2's exit code for "could not": no room, name taken, not found, in use. */
export const refusedByLvm = 5;

/** One volume group, by lvm2's own commands. */
export type VolumeGroupCommands = ReturnType<typeof createVolumeGroup>;

export function createVolumeGroup({ volumeGroup, run }: { volumeGroup: string; run: RunCommand }) {
  const unavailable = (why: string, cause?: unknown) =>
    new FerryError(
      'BackEndUnavailable',
      `volume group ${volumeGroup} is not available: ${why}`,
      { volumeGroup },
      { cause },
    );

  // Killed in the middle, lvm2 would leave devices suspended: it is only asked to end.
  const ask = (argv: readonly [string, ...string[]], options?: RunOptions) =>
    run(argv, { ...options, neverKill: true });

  /** The group as it is now. `BackEndUnavailable` when there is none, or it is not well. */
  async function group(): Promise<VolumeGroup> {
    const found = parseGroup(volumeGroup, (await ask(['vgs', ...groupReport])).stdout);
    if (!found) throw unavailable('there is no volume group of that name on this node');
    if (found.fault !== null) throw unavailable(found.fault);
    return found;
  }

  /** Runs an lvm2 command; when it fails because the whole group is gone, says so. */
  async function lvm(argv: readonly [string, ...string[]], options?: RunOptions): Promise<string> {
    try {
      return (await ask(argv, options)).stdout;
    } catch (error) {
      if (exitCodeOf(error) === refusedByLvm) await group();
      throw error;
    }
  }

  async function volumes(...selection: string[]): Promise<LogicalVolume[]> {
    return parseVolumes(volumeGroup, await lvm(['lvs', ...volumeReport, ...selection, '--', volumeGroup]));
  }

  return {
    name: volumeGroup,
    run,
    lvm,
    group,
    volumes,
    volume: async (name: string): Promise<LogicalVolume | null> =>
      (await volumes('--select', `lv_name="${name}"`))[0] ?? null,
    /** How lvm2 is told of a volume. */
    operand: (name: string) => `${volumeGroup}/${name}`,
    /** Throws `SizeMismatch` unless lvm2 can make a volume of exactly that size. */
    checkExtents(sizeBytes: number, { extentBytes }: VolumeGroup): void {
      if (sizeBytes % extentBytes === 0) return;
      throw new FerryError(
        'SizeMismatch',
        `${sizeBytes} bytes are not whole extents of ${extentBytes} bytes in ${volumeGroup}`,
        { sizeBytes, extentBytes },
      );
    },
  };
}
