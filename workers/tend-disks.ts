import type { Logger } from 'pino';
import type { RedirectExports } from '../activities/compute/redirect-exports.ts';
import { tendGuests } from '../activities/compute/tend-guests.ts';
import type { Virsh } from '../activities/compute/virsh.ts';
import { type GuestDisk, listGuestDisks, noteDomain } from '../registry/guest-disks.ts';
import type { Registry } from '../registry/open-registry.ts';

/** A look at all guests is two calls of virsh for each: not at every round. */
const everyNthRound = 3;

/** What a compute worker's round calls: now and then it compares guests and definitions with the attachments, and logs what is news. */
export function createTending(deps: {
  virsh: Virsh;
  redirect: RedirectExports;
  registry: Registry;
  /** The hypervisor's. */
  name: string;
  log: Logger;
}): () => Promise<void> {
  const { virsh, redirect, registry, name, log } = deps;
  const isStill = async ({ attachmentId, connection }: GuestDisk) => {
    const [now] = await listGuestDisks(registry, name, attachmentId);
    return (
      now?.busy === false &&
      now.connection.device === connection.device &&
      now.connection.backEnd === connection.backEnd
    );
  };
  let round = 0;
  let told: ReadonlySet<string> = new Set();
  return async () => {
    round += 1;
    // The first round is waited for when the worker starts.
    if (round % everyNthRound !== everyNthRound - 1) return;
    const tools = {
      virsh,
      isStill,
      noteDomain: (disk: GuestDisk, domain: string) => noteDomain(registry, disk, domain),
    };
    const disks = await listGuestDisks(registry, name);
    const { tended, moved } = await tendGuests(tools, disks);
    const redirected = await redirect(moved, disks);
    const telling = new Set<string>();
    for (const { what, problem, ...of } of redirected) {
      const said = of.volumeId + what + problem;
      telling.add(said);
      if (told.has(said)) continue;
      if (problem === null) log.warn(of, what);
      else
        log.error(
          { ...of, problem },
          `an attached volume does not fit its guest: ${what}; a restart of the guest helps`,
        );
    }
    for (const { done, what, ...of } of tended) {
      if (done) log.info(of, `an attached volume was put right: ${what}`);
      else if (!told.has(of.volumeId + what)) log.error(of, `an attached volume does not fit its guest: ${what}`);
      if (!done) telling.add(of.volumeId + what);
    }
    told = telling;
  };
}
