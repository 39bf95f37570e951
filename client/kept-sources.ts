import { setTimeout as sleep } from 'node:timers/promises';
import type { Reason } from '../model/errors.ts';
import { refusal } from '../model/errors.ts';
import { volumeId as volumeIdSchema } from '../model/ids.ts';
import type { KeptDevice } from '../model/kept-source.ts';
import { messages } from '../model/messages.ts';
import { controlQueue, keptSourceWorkflowId } from '../model/names.ts';
import type { UndoFacts } from '../model/undo-preconditions.ts';
import { discardKeptSources, keptDevice, listKeptSources } from '../registry/kept-sources.ts';
import { planUndo } from '../registry/undo-facts.ts';
import type { Context } from './context.ts';
import { requireAdmin } from './identity.ts';
import { parseInput } from './parse-input.ts';

/** What an undo would be, and every reason why it would be refused. Whether the volume has been written since shows only when both are read. */
export interface UndoPlan {
  allowed: boolean;
  facts: UndoFacts;
  reasons: Reason[];
}

/** A removal that takes longer waits for its node: then nobody else waits. Milliseconds. */
const removalMs = 10_000;
const lookEveryMs = 200;

/** What an administrator may do with the sources that migrations have kept. */
export function keptSourceCommands(context: Context) {
  const { registry, identity } = context;
  return {
    /** What `undoMigration` would find now. Changes nothing, and needs no Temporal. */
    async planUndo(volumeId: string): Promise<UndoPlan> {
      requireAdmin(identity, 'undo migrations');
      const { facts, reasons } = await planUndo(registry, parseInput(volumeIdSchema, volumeId));
      return { allowed: reasons.length === 0, facts, reasons };
    },

    /**
     * Goes back to the source that the volume's last migration kept: a migration as any other, which fails with `VolumeWrittenSince` when
     * the two do not hold the same bytes. Answers when its claim is decided; refused as `planUndo` says.
     */
    async undoMigration(
      volumeId: string,
      options: { bandwidth?: number | null } = {},
    ): Promise<{ migrationId: string; destination: string }> {
      requireAdmin(identity, 'undo migrations');
      const { facts, reasons } = await planUndo(registry, parseInput(volumeIdSchema, volumeId));
      const [first, ...others] = reasons;
      if (first) throw refusal([first, ...others]);
      const { migrationId: undoes, backEnd: destination } = facts.kept!;
      const { startMigration } = await import('./start-migration.ts');
      const { bandwidth = null } = options;
      const begun = await startMigration(context, { volumeId, destination, undoes, bandwidth });
      return { ...begun, destination };
    },

    /**
     * Removes what is kept of a volume, before its time. Answers when it is gone, or after a while: what is left then waits for its node.
     * `SourceNotKept` when there is nothing, `VolumeMigrating` while the volume is on its way back to it.
     */
    async discardKeptSources(volumeId: string): Promise<{ removed: KeptDevice[]; waiting: KeptDevice[] }> {
      requireAdmin(identity, 'discard kept sources');
      const id = parseInput(volumeIdSchema, volumeId);
      const temporal = await context.temporal();
      const discarded = (await discardKeptSources(registry, id)).map(keptDevice);
      for (const kept of discarded) {
        await temporal.call((client) =>
          client.workflow.signalWithStart('expireKeptSource', {
            workflowId: keptSourceWorkflowId(kept.migrationId),
            taskQueue: controlQueue,
            args: [kept],
            signal: messages.keptSourceChanged,
            signalArgs: [],
            staticSummary: `the kept source of volume ${id}: ${kept.deviceName} on ${kept.backEnd}`,
          }),
        );
      }
      const deadline = Date.now() + removalMs;
      for (;;) {
        const left = new Set((await listKeptSources(registry, { volumeId: id })).map((each) => each.migrationId));
        const waiting = discarded.filter(({ migrationId }) => left.has(migrationId));
        if (waiting.length === 0 || Date.now() > deadline)
          return { removed: discarded.filter(({ migrationId }) => !left.has(migrationId)), waiting };
        await sleep(lookEveryMs);
      }
    },
  };
}
