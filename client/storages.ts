import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { downAfterMs } from '../model/back-end.ts';
import { FerryError } from '../model/errors.ts';
import { backEndName, nodeName, nodeOf } from '../model/ids.ts';
import { adoptionRisks, type FoundStorage } from '../model/storage-identity.ts';
import { backEndNotFound, listBackEnds } from '../registry/back-ends.ts';
import { forgetBackEnds } from '../registry/forget-back-ends.ts';
import { renameNode } from '../registry/rename-node.ts';
import { readStorage, requestAdoption } from '../registry/storages.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

/** What an operator is shown before he says that a storage is a back end's. */
export interface StrangeStorage {
  backEnd: string;
  /** Null: the back end has its own storage. */
  found: FoundStorage | null;
  /** What could be lost by adopting it. */
  risks: string[];
}

const adoption = z.object({ backEnd: backEndName, yes: z.boolean().default(false) });
const renaming = z.object({ from: nodeName, to: nodeName });

/** Several reports of a worker. Milliseconds. */
const patienceMs = 30_000;
const lookEveryMs = 500;

/** For administrators: which storage and which machine a name stands for. */
export function storageCommands({ registry, identity }: Context) {
  /** `BackEndDown` when its worker is not heard of: only that can say what is there. */
  async function inspect(backEnd: string): Promise<StrangeStorage> {
    const found = (await listBackEnds(registry)).find(({ name }) => name === backEnd);
    if (!found) throw backEndNotFound(backEnd);
    const { heartbeatAt, asOf } = found;
    if (asOf.getTime() - heartbeatAt.getTime() > downAfterMs)
      throw new FerryError(
        'BackEndDown',
        `What is in the place of ${backEnd} is not known: its worker was last heard of at ${heartbeatAt.toISOString()}. Start it: ferry worker storage (on ${nodeOf(backEnd)})`,
        { backEnd },
      );
    const known = await readStorage(registry, backEnd);
    return { backEnd, found: known.found, risks: known.found ? adoptionRisks(known, known.found) : [] };
  }

  return {
    /** What is in the place of a back end's storage when that is not its own, as its worker saw it last. */
    async inspectStorage(name: string): Promise<StrangeStorage> {
      requireAdmin(identity, 'look at what is on back ends');
      return inspect(parseInput(adoption, { backEnd: name }).backEnd);
    },

    /**
     * Says that what is in the place of a back end's storage is its storage from now on, and waits until its worker has marked it.
     * `BackEndUnavailable`: something could be lost and `yes` was not said, or what is there has changed since it was looked at.
     * May be repeated; answers with what was found, null when the back end has its own storage already.
     */
    async adoptStorage(input: z.input<typeof adoption>): Promise<StrangeStorage> {
      requireAdmin(identity, 'say whose a storage is');
      const { backEnd, yes } = parseInput(adoption, input);
      const shown = await inspect(backEnd);
      if (!shown.found) return shown;
      if (shown.risks.length > 0 && !yes) {
        const lines = shown.risks.map((risk) => `  - ${risk}`).join('\n');
        throw new FerryError(
          'BackEndUnavailable',
          `${backEnd} is not changed:\n${lines}\nIf that is as it shall be, say so: ferry back-end adopt ${backEnd} --yes`,
          { backEnd, risks: shown.risks },
        );
      }
      const id = randomUUID();
      await requestAdoption(registry, backEnd, { id, instead: shown.found.seen, requestedBy: identity.name });
      await untilAdopted(backEnd, id, shown.found);
      return shown;
    },

    /** A storage node has another name from now on; see the registry's `renameNode`. Answers with its back ends' new names. */
    async renameNode(from: string, to: string): Promise<string[]> {
      requireAdmin(identity, 'rename nodes');
      const wanted = parseInput(renaming, { from, to });
      if (wanted.from === wanted.to)
        throw new FerryError('InvalidInput', `${from} has that name already; name another one.`);
      return renameNode(registry, wanted.from, wanted.to);
    },

    /** Forgets a back end, or all of a node; see the registry's `forgetBackEnds`. Answers with their names. */
    async removeBackEnds(nodeOrBackEnd: string): Promise<string[]> {
      requireAdmin(identity, 'forget back ends');
      return forgetBackEnds(registry, nodeOrBackEnd);
    },
  };

  async function untilAdopted(backEnd: string, id: string, shown: FoundStorage): Promise<void> {
    for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(lookEveryMs)) {
      const { identity: now, found } = await readStorage(registry, backEnd);
      if (now === id) return;
      const isOther = found?.seen.mark?.id !== shown.seen.mark?.id || found?.seen.uuid !== shown.seen.uuid;
      if (!found || !isOther) continue;
      await requestAdoption(registry, backEnd, null);
      throw new FerryError(
        'BackEndUnavailable',
        `What is in the place of ${backEnd} has changed meanwhile; look again.`,
      );
    }
    await requestAdoption(registry, backEnd, null);
    throw new FerryError(
      'NodeUnavailable',
      `The worker of ${backEnd} has not marked its storage within ${patienceMs / 1000} s; nothing is asked of it any more. See: ferry host list --long`,
      { backEnd },
    );
  }
}
