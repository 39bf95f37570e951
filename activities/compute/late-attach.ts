import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FerryError } from '../../model/errors.ts';

/** The file by which a call of virsh that puts the volume into a guest is known. */
export function attachFile(volumeId: string): string {
  return `attach-${volumeId}.xml`;
}

/** A killed process is gone in a moment. Milliseconds. */
const goneWithinMs = 5_000;

/**
 * Ends what is left of earlier calls that would put the volume into a guest: of a worker that was killed or stood still, and of which
 * nothing was heard. On return none of them reaches libvirt any more. `NoProgress` when one does not go.
 */
export async function endLateAttach(volumeId: string): Promise<void> {
  const deadline = Date.now() + goneWithinMs;
  for (let left; (left = await callsOf(volumeId)).length > 0; await sleep(100)) {
    for (const pid of left) kill(pid);
    if (Date.now() > deadline)
      throw new FerryError(
        'NoProgress',
        `An earlier virsh attach-device of volume ${volumeId} (process ${left[0]}) does not end.`,
      );
  }
}

async function callsOf(volumeId: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const argv = (await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '')).split('\0');
    if (argv.includes('attach-device') && argv.some((each) => each.endsWith(`/${attachFile(volumeId)}`)))
      found.push(Number(entry));
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
