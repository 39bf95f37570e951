import type { Reason } from '../model/errors.ts';
import { connection as connectionSchema, diskSource } from '../model/connection.ts';
import { nodeOf } from '../model/ids.ts';
import type { MigrationRequest } from '../model/migration.ts';
import { computeSteps, registry, storageSteps } from './activities.ts';
import { diskOf } from './disk-of.ts';
import { reasonOf } from './failures.ts';

/** What shall move where. */
export type Move = Pick<MigrationRequest, 'volumeId' | 'destination' | 'forceHostCopy' | 'undoes'>;

/** What the nodes see that would keep a volume from moving; `silent`: those that could not be asked in time, and why. */
export interface NodesAnswer {
  reasons: Reason[];
  silent: Reason[];
}

/**
 * Asks the nodes of both back ends, and the hypervisor of a guest that has the volume, what they see. All at once, `patienceSeconds` at
 * most; changes nothing.
 */
export async function askNodes(move: Move, patienceSeconds: number): Promise<NodesAnswer> {
  const { volumeId, destination, forceHostCopy } = move;
  const { at, attachments } = await registry.factsOfMove({ volumeId });
  const [attachment] = attachments;
  // What is nowhere, or has several users, the registry refuses.
  if (at.state !== 'there' || attachments.length > 1) return { reasons: [], silent: [] };
  if (attachment?.isClients) return { reasons: [clientKeepsConnection(attachment)], silent: [] };
  const { sizeBytes } = at;
  const source = { backEnd: at.backEnd, deviceName: at.deviceName };
  const asked = [
    ask(`the node of ${at.backEnd}`, () =>
      storageSteps(nodeOf(at.backEnd), patienceSeconds).examineSource.executeWithOptions(
        { summary: `may ${at.deviceName} leave ${at.backEnd}?` },
        [{ ...at, volumeId, attached: attachment !== undefined }],
      ),
    ),
  ];
  if (!move.undoes) {
    const keepsName = nodeOf(destination) === nodeOf(at.backEnd) && !forceHostCopy && !attachment;
    asked.push(
      ask(`the node of ${destination}`, () =>
        storageSteps(nodeOf(destination), patienceSeconds).examineDestination.executeWithOptions(
          { summary: `may it come to ${destination}?` },
          [{ backEnd: destination, deviceName: at.deviceName, sizeBytes, source, keepsName }],
        ),
      ),
    );
  }
  const connection = connectionSchema.safeParse(attachment?.connection).data;
  if (attachment?.hasComputeWorker && connection) {
    const { computeHost, instanceId } = attachment;
    asked.push(
      ask(`the hypervisor ${computeHost}`, () =>
        computeSteps(computeHost, patienceSeconds).examineDisk.executeWithOptions(
          { summary: `may the disk of instance ${instanceId} be mirrored?` },
          [{ ...diskOf(attachment, connection), source: diskSource(connection), sizeBytes }],
        ),
      ),
    );
  }
  const answers = await Promise.all(asked);
  return { reasons: answers.flatMap((a) => a.reasons), silent: answers.flatMap((a) => a.silent) };
}

/** Why a volume that a client attached by itself stays where it is. */
export function clientKeepsConnection(of: { volumeId: string; computeHost: string }): Reason {
  return {
    type: 'InstanceNotReady',
    message:
      `Volume ${of.volumeId} was attached on ${of.computeHost} by a client of the API (Nova, say), which keeps how it reached it: with the ` +
      'volume elsewhere its guest would find nothing there the next time it starts. Detach the volume first.',
  };
}

/** Failures that tell nothing of the volume: whoever was asked is away, or does not know the question. */
const tellNothing: ReadonlySet<Reason['type']> = new Set(['NodeUnavailable', 'ServiceUnreachable', 'ToolFailed']);

async function ask(whom: string, question: () => Promise<Reason[]>): Promise<NodesAnswer> {
  try {
    return { reasons: await question(), silent: [] };
  } catch (error) {
    const reason = reasonOf(error);
    if (tellNothing.has(reason.type))
      return {
        reasons: [],
        silent: [{ type: 'NodeUnavailable', message: `${whom} does not answer: ${reason.message}` }],
      };
    return { reasons: [reason], silent: [] };
  }
}
