import {
  condition,
  continueAsNew,
  setCurrentDetails,
  setHandler,
  setWorkflowOptions,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { KeptDevice } from '../model/kept-source.ts';
import { searchAttributes } from '../model/search-attributes.ts';
import { registry } from './activities.ts';
import type { CleanUpStep } from './clean-up-steps.ts';
import { hasLongHistory, LastingCleanUp } from './clean-up-to-the-end.ts';
import * as messages from './messages.ts';

const volume = defineSearchAttributeKey(searchAttributes.volume, 'KEYWORD');
const source = defineSearchAttributeKey(searchAttributes.source, 'KEYWORD');

/** It looks at least so often, also when nobody tells it that something has changed. Seconds. */
const longestWait = 6 * 3600;

/** An undo on its way back is asked for so often. Seconds. */
const whileHeld = 60;

// It waits for days or months: a version of a deployment must not have to stay for it. Without a deployment there is none to leave.
setWorkflowOptions(
  () => (workflowInfo().currentDeploymentVersion?.deploymentName ? { versioningBehavior: 'AUTO_UPGRADE' } : {}),
  expireKeptSource,
);

/**
 * Removes the source that a migration has kept: when its time is over, or at once when it is discarded or its volume is deleted; then waits
 * for its node for as long as that takes. Whether it may is decided by the registry alone: an undo that goes back to it holds it.
 */
export async function expireKeptSource(kept: KeptDevice): Promise<void> {
  const { migrationId, volumeId, backEnd, deviceName } = kept;
  upsertSearchAttributes([
    { key: volume, value: volumeId },
    { key: source, value: backEnd },
  ]);
  let disturbed = false;
  setHandler(messages.keptSourceChanged, () => void (disturbed = true));
  for (;;) {
    if (hasLongHistory()) await continueAsNew<typeof expireKeptSource>(kept);
    disturbed = false;
    const at = await registry.takeDueKeptSource.executeWithOptions({ summary: 'is its time over?' }, [{ migrationId }]);
    if (at.state === 'gone')
      return setCurrentDetails('It is not kept any more: the volume went back to it, or it was removed.');
    if (at.state === 'removing') break;
    setCurrentDetails(
      at.state === 'held'
        ? `Volume \`${volumeId}\` is on its way back to it.`
        : `\`${deviceName}\` on \`${backEnd}\` is kept until ${at.keptUntil}.\n\n${commands(volumeId)}`,
    );
    const wait = at.state === 'held' ? whileHeld : Math.min(at.secondsLeft, longestWait);
    await condition(() => disturbed, `${wait}s`);
  }
  const step: CleanUpStep = {
    kind: 'retireSource',
    backEnd,
    deviceName,
    volumeId,
    exportName: `migration-${migrationId}`,
    migrationId,
    identity: kept.identity ?? null,
  };
  const removal = new LastingCleanUp((left) =>
    setCurrentDetails(['It is being removed; waiting for its node:', ...left.map((line) => `- ${line}`)].join('\n')),
  );
  removal.add([step]);
  // The registry says then that it is being removed, and the new run goes on with that.
  if ((await removal.end()).length > 0) await continueAsNew<typeof expireKeptSource>(kept);
  await registry.forgetKeptSource.executeWithOptions({ summary: 'record: it is gone' }, [{ migrationId }]);
  const [why] = removal.leftAlone;
  setCurrentDetails(why === undefined ? 'It is removed.' : `Nothing was removed, and nothing is kept any more: ${why}`);
}

function commands(volumeId: string): string {
  return `- **Go back to it:** \`ferry migration undo ${volumeId}\`\n- **Remove it now:** \`ferry migration discard ${volumeId}\``;
}
