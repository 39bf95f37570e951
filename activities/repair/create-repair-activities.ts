import { downAfterMs } from '../../model/back-end.ts';
import type { Reason } from '../../model/errors.ts';
import type { KeptDevice } from '../../model/kept-source.ts';
import type { Claim, Flow, Phase } from '../../model/migration.ts';
import type { QemuIdentity } from '../../model/qemu-identity.ts';
import { cleanUpWorkflowId, deviceName, keptSourceWorkflowId } from '../../model/names.ts';
import type { Attachment } from '../../model/volume.ts';
import { listAttachments } from '../../registry/attachments.ts';
import { listBackEnds } from '../../registry/back-ends.ts';
import { failHeldOperation, listHeldOperations, type HeldOperation } from '../../registry/held-operations.ts';
import { keptDevice, listKeptSources } from '../../registry/kept-sources.ts';
import {
  migrationsThatLeft,
  registryTime,
  volumeUses,
  type LeavingMigration,
  type VolumeUse,
} from '../../registry/leftovers.ts';
import { findMigration, listClaims, type HeldClaim } from '../../registry/migrations.ts';
import type { Registry } from '../../registry/open-registry.ts';
import type { FoundDevice } from '../../model/repair.ts';
import { adoptFoundDevice } from '../../registry/adopt-device.ts';
import { judgeVolumes, type Found, type JudgedVolume } from './judge-volumes.ts';
import { checkInputs } from '../inputs/check-inputs.ts';
import { repairInputs } from '../inputs/repair.ts';
import { runOf, type Run } from './owner-run.ts';
import { endedWell, repeatEnd, type LastSteps, type ToldToLastStep } from './well-ended.ts';

export interface RepairDependencies {
  readonly registry: Registry;
  /** Whether a run of that workflow is under way, as Temporal has it now. */
  readonly isRunning: (workflowId: string) => Promise<boolean>;
  /** Whether a migration's run, or the last one of its workflow, has switched its volume. */
  readonly hasSwitched: (run: Run) => Promise<boolean>;
  /** Whether Temporal has a history of it. */
  readonly isKnown: (run: Run) => Promise<boolean>;
  readonly toldToLastStep: ToldToLastStep;
  readonly lastSteps: LastSteps;
  readonly orphanGraceSeconds: number;
}

/** What is known of a claim that nobody carries on any more. */
export interface AbandonedClaim {
  claim: Claim;
  since: string;
  phase: Phase;
  /** The QEMU that was last asked to turn the guest; absent: an older worker answered. */
  asked?: QemuIdentity | null;
  flow: Flow;
  /** The volume is on its destination. */
  switched: boolean;
  /** By Temporal's history it has switched its volume: where that is not so, the registry has forgotten it. Absent: an older worker answered. */
  completed?: boolean;
  source: { backEnd: string; deviceName: string; identity: string | null };
  destination: { backEnd: string; deviceName: string; identity: string | null };
  /** The source is to be kept; the repairs that began before there was such a thing do not know. */
  keepsSource?: boolean;
  /** Of an undo: the migration that is taken back. */
  undoes?: string | null;
  sizeBytes: number;
  /** The one that an attached volume moves with. Absent: an older worker answered. */
  attachment?: AbandonedAttachment | null;
}

/** Whom to ask which side the guest writes to. */
export type AbandonedAttachment = Pick<Attachment, 'id' | 'instanceId' | 'computeHost' | 'connection'>;

/** An operation that nobody carries on any more. */
export type AbandonedOperation = Omit<HeldOperation, 'since'> & {
  since: string;
  /** By Temporal's history it has ended well: the registry has forgotten that. Absent: an older worker answered. */
  endedWell?: boolean;
  /** Temporal has no history of it any more: nobody knows how it ended. Absent: an older worker answered. */
  isUnknown?: boolean;
};

export type RepairActivities = ReturnType<typeof createRepairActivities>;

/** What repair asks of the registry and of Temporal. All may be repeated. */
export function createRepairActivities(dependencies: RepairDependencies) {
  const { registry, isRunning, hasSwitched, isKnown, toldToLastStep, lastSteps, orphanGraceSeconds } = dependencies;
  /**
   * Asked by the workflow's id alone, not by its run: a run that was reset goes on as another run, under the first one's claim. An owner
   * that is no workflow is a stranger of whom nothing is known: he is left alone.
   */
  const isAbandoned = async ({ owner }: { owner: string }): Promise<boolean> => {
    const run = runOf(owner);
    return run !== null && !(await isRunning(run.workflowId));
  };
  const isKnownOwner = async ({ owner }: { owner: string }): Promise<boolean> => {
    const run = runOf(owner);
    return run !== null && isKnown(run);
  };
  const abandoned = async <T extends { owner: string }>(held: readonly T[]): Promise<T[]> => {
    const judged = await Promise.all(held.map(isAbandoned));
    return held.filter((_, i) => judged[i]);
  };
  const withRecord = async ({ since, phase, switched, asked, ...claim }: HeldClaim): Promise<AbandonedClaim> => {
    const record = await findMigration(registry, claim.migrationId);
    const run = runOf(claim.owner);
    const [attachment] = await listAttachments(registry, { volumeId: claim.volumeId });
    const device = (nameId: string | null) => deviceName({ id: claim.volumeId, nameId });
    return {
      claim,
      since: since.toISOString(),
      phase,
      asked,
      flow: record.flow,
      switched,
      completed: run !== null && (await hasSwitched(run)),
      source: { backEnd: record.source, deviceName: device(record.sourceNameId), identity: record.sourceIdentity },
      destination: {
        backEnd: record.destination,
        deviceName: device(record.destinationNameId),
        identity: record.destinationIdentity,
      },
      keepsSource: record.keepSourceSeconds !== null,
      undoes: record.undoes,
      sizeBytes: record.totalBytes,
      attachment: attachment
        ? {
            id: attachment.id,
            instanceId: attachment.instanceId,
            computeHost: attachment.computeHost,
            connection: attachment.connection,
          }
        : null,
    };
  };

  return checkInputs(repairInputs, {
    /** Volumes that are held by workflows that are closed or gone, and kept sources that no workflow will remove. */
    listAbandoned: async (filter: {
      volumeId?: string | undefined;
    }): Promise<{ claims: AbandonedClaim[]; operations: AbandonedOperation[]; kept?: KeptDevice[] }> => {
      const claims = await abandoned(await listClaims(registry, filter));
      const operations = await abandoned(await listHeldOperations(registry, filter));
      const kept = await listKeptSources(registry, filter);
      const removed = await Promise.all(kept.map(({ migrationId }) => isRunning(keptSourceWorkflowId(migrationId))));
      return {
        claims: await Promise.all(claims.map(withRecord)),
        operations: await Promise.all(
          operations.map(async (held) => ({
            ...held,
            since: held.since.toISOString(),
            endedWell: await endedWell(held, toldToLastStep),
            isUnknown: !(await isKnownOwner(held)),
          })),
        ),
        kept: kept.filter((_, i) => !removed[i]).map(keptDevice),
      };
    },

    /** The same claim once more, just before it is repaired; null when it is over, another's, or its workflow runs. */
    readAbandonedClaim: async ({ claim }: { claim: Claim }): Promise<AbandonedClaim | null> => {
      const [held] = await listClaims(registry, { volumeId: claim.volumeId });
      if (!held || held.owner !== claim.owner || held.epoch !== claim.epoch || !(await isAbandoned(held))) return null;
      return withRecord(held);
    },

    /** Frees the volume of an operation whose workflow is gone, as a failed one. `untouched`: its device is whole. */
    failAbandonedOperation: async (failed: {
      held: AbandonedOperation;
      reason: Reason;
      untouched?: boolean | undefined;
    }): Promise<void> => {
      const { held, reason, untouched } = failed;
      if (await isAbandoned(held)) await failHeldOperation(registry, held, reason, untouched);
    },

    /** Ends an operation as its workflow did, whose last word the registry has lost. */
    endAsBefore: async ({ held }: { held: AbandonedOperation }): Promise<void> => {
      if (await isAbandoned(held)) await repeatEnd(held, toldToLastStep, lastSteps);
    },

    judgeVolumes: (found: Found): Promise<JudgedVolume[]> => judgeVolumes(registry, found),

    /** Takes the device's word for where its volume is. */
    adoptFoundDevice: (found: FoundDevice): Promise<void> => adoptFoundDevice(registry, found),

    /** The nodes that serve back ends, and which of them answer. */
    listNodes: async (): Promise<{ node: string; up: boolean }[]> => {
      const byNode = Map.groupBy(await listBackEnds(registry), ({ node }) => node);
      return [...byNode].map(([node, backEnds]) => ({
        node,
        up: backEnds.some((b) => b.asOf.getTime() - b.heartbeatAt.getTime() <= downAfterMs),
      }));
    },

    /** All that decides who owns what was found on the nodes. Asked after the nodes: what was made before is known by then. */
    factsOfLeftovers: async (of: { migrationIds: string[]; volumeIds: string[] }): Promise<LeftoverFacts> => {
      const migrations = await migrationsThatLeft(registry, of);
      const running = await Promise.all(migrations.map(({ id }) => isRunning(cleanUpWorkflowId(id))));
      return {
        migrations: migrations.map((m) => ({ ...m, finishedAt: m.finishedAt?.toISOString() ?? null })),
        volumes: await volumeUses(registry, [...of.volumeIds, ...migrations.map((m) => m.volumeId)]),
        beingCleanedUp: migrations.filter((_, i) => running[i]).map(({ id }) => id),
        kept: (await listKeptSources(registry, { volumeIds: of.volumeIds })).map(keptDevice),
        orphanGraceSeconds,
        now: (await registryTime(registry)).toISOString(),
      };
    },
  });
}

export interface LeftoverFacts {
  migrations: (Omit<LeavingMigration, 'finishedAt'> & { finishedAt: string | null })[];
  volumes: VolumeUse[];
  /** Migrations whose clean-up runs. */
  beingCleanedUp: string[];
  /** Kept sources of these volumes, also those that are being removed; looks that began before there were any do not know. */
  kept?: KeptDevice[];
  orphanGraceSeconds: number;
  /** By the clock that has written when migrations ended; looks that began before it was told do not know. */
  now?: string;
}
