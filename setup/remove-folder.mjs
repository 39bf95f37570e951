import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

/**
 * Removes a folder of a run with all that is in it, also the sources of copies that were ended in the middle: those are locked against
 * changes (`chattr +i`). Not there: done. Throws when something still writes there, is mounted, or is another user's.
 * @param {string} folder
 */
export function removeFolder(folder) {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    spawnSync('chattr', ['-R', '-f', '-i', '--', folder], { stdio: 'ignore' });
    rmSync(folder, { recursive: true, force: true });
  }
}
