import { FerryError, type Reason } from '../model/errors.ts';
import type { Volume } from '../model/volume.ts';
import type { VolumeUsers } from '../model/volume-users.ts';
import { listAttachments } from '../registry/attachments.ts';
import { resetState, type Reset } from '../registry/reset-state.ts';
import { askByWorkflow } from './ask-by-workflow.ts';
import type { Context } from './context.ts';

/**
 * Sets a volume's status by hand and forgets its attachments, once nobody has it: its hypervisors and its storage node are asked, and the exports
 * end afterwards, so that a guest which nobody saw cannot write. Somebody has it: `VolumeInUse` with who. Somebody who could know does not
 * answer: `NodeUnavailable`, unless the operator knows it (`evenIfSilent`). Refused: nothing was changed.
 */
export async function resetDetached(
  context: Context,
  { evenIfSilent, ...reset }: Omit<Reset, 'detached'> & { evenIfSilent: boolean },
): Promise<Volume> {
  const { volumeId } = reset;
  // Without any there is nobody to ask, and nothing to ask with is needed.
  if ((await listAttachments(context.registry, { volumeId })).length === 0)
    return resetState(context.registry, { ...reset, detached: [] });
  const { users, silent, attachments, exports } = await askByWorkflow<VolumeUsers>(context, {
    workflow: 'examineUsers',
    volumeId,
    summary: `ask who has volume ${volumeId}`,
    input: { volumeId },
  });
  const [user] = users;
  if (user) throw new FerryError('VolumeInUse', words(users), { ...user.details, volumeId });
  if (silent.length > 0 && !evenIfSilent)
    throw new FerryError(
      'NodeUnavailable',
      `Nobody has volume ${volumeId} as far as can be told, but ${words(silent)} Bring it back, or, if you know that no guest there has the ` +
        'volume: --even-if-silent. A hypervisor that is gone for good: ferry hypervisor gone.',
      { volumeId },
    );
  const volume = await resetState(context.registry, { ...reset, detached: attachments });
  if (exports.length === 0) return volume;
  const { left } = await askByWorkflow<{ left: Reason[] }>(context, {
    workflow: 'endExports',
    volumeId,
    summary: `end the exports of volume ${volumeId}, whose attachments are forgotten`,
    input: { exports },
  });
  const [still] = left;
  if (still && !evenIfSilent)
    throw new FerryError(still.type, `Volume ${volumeId} is ${volume.status} now, but: ${words(left)}`, { volumeId });
  return volume;
}

const words = (reasons: readonly Reason[]): string => [...new Set(reasons.map(({ message }) => message))].join('\n');
