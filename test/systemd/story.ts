import { check, said } from '../../setup/story-checks.ts';
import { endGuest, exportOutlivesWorker, guestMoves, letsAnotherIn, nodeLosesPower, startGuest } from './attached.ts';
import { neverRun } from './documented.ts';
import { installCompute, installControl, installStorage } from './install.ts';
import { hangs, refusesStrangers } from './refusals.ts';
import { removeAll } from './remove.ts';
import { restoreRegistry } from './restore.ts';
import type { Site } from './site.ts';
import { changeInMidCopy } from './upgrade.ts';
import { makeVolume, moves } from './volumes.ts';

/** What is done on the machines, and how it must go. `folder`: for what is made on this machine meanwhile. */
export async function story(site: Site, folder: string): Promise<void> {
  await installControl(site);
  await installStorage(site);
  await installCompute(site);

  said('a volume moves');
  const volume = await makeVolume(site, 'moved', 'server1');
  await moves(site, volume, 'server2', 'a volume');

  const guest = await startGuest(site, folder);
  await refusesStrangers(site);
  await exportOutlivesWorker(site, guest);
  await letsAnotherIn(site, guest);
  await hangs(site);
  await nodeLosesPower(site, guest);
  await guestMoves(site, guest, 'server2');
  await changeInMidCopy(site, '0.2.0', { volume, guest });
  await restoreRegistry(site, { volume, guest });
  await changeInMidCopy(site, '0.1.0', { volume, guest });

  await endGuest(site, guest);
  await removeAll(site);
  said('the machines are turned off');
  for (const machine of site.machines) await machine.powerOff();
  const never = neverRun();
  check('every command of the pages was run', never.length === 0, never.join('\n'));
}
