import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { ApplicationFailure, executeChild, setCurrentDetails, sleep } from '@temporalio/workflow';
import * as z from 'zod';
import { decommissionRequest, type DecommissionReport, type MovesReport } from '../model/evacuation.ts';
import { evacuationWorkflowId } from '../model/names.ts';
import { moves, storageSteps } from './activities.ts';
import { evacuateHost } from './evacuate-host.ts';
import { failureOf, reasonOf } from './failures.ts';

/** The deletion of a source may be under way still when its volume has moved: it is looked at so often, with a pause between. */
const looks = 6;
const pauseSeconds = 3;

/** How long the node may take to tell what is on its devices. Seconds. */
const patienceSeconds = 60;

/**
 * Takes a node out of service: evacuates it, then proves that nothing is left on it, in the registry and on its own devices, then marks
 * its back ends. What is left is told; then they stay disabled, and nothing is marked.
 */
export async function decommissionNode(input: unknown): Promise<DecommissionReport> {
  const parsed = decommissionRequest.safeParse(input);
  if (!parsed.success) throw ApplicationFailure.nonRetryable(z.prettifyError(parsed.error), 'InvalidInput');
  const { source: node } = parsed.data;
  const evacuation = await evacuate(parsed.data);
  if (evacuation.outcome !== 'emptied')
    return { node, decommissioned: false, evacuation, left: [`the evacuation ended with: ${evacuation.outcome}`] };
  let left: string[] = [];
  for (let look = 1; look <= looks; look += 1) {
    setCurrentDetails(`Looking at what is left on ${node} (look ${look} of ${looks}).`);
    left = await whatIsLeft(node);
    if (left.length === 0) {
      const against = await moves.decommission.executeWithOptions({ summary: `mark ${node} as decommissioned` }, [
        { node },
      ]);
      if (against === null) {
        setCurrentDetails(`${node} is decommissioned.`);
        return { node, decommissioned: true, evacuation, left: [] };
      }
      left = [against];
    }
    if (look < looks) await sleep(`${pauseSeconds}s`, { summary: 'before the next look' });
  }
  setCurrentDetails(`Not decommissioned. Left on ${node}:\n${left.map((each) => `- ${each}`).join('\n')}`);
  return { node, decommissioned: false, evacuation, left };
}

async function evacuate(request: { source: string }): Promise<MovesReport> {
  try {
    return await executeChild(evacuateHost, {
      workflowId: evacuationWorkflowId(request.source),
      parentClosePolicy: 'REQUEST_CANCEL',
      staticSummary: `evacuate ${request.source}`,
      args: [request],
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      throw ApplicationFailure.nonRetryable(
        `${request.source} is being evacuated already. Wait for it: ferry evacuation watch ${request.source}`,
        'EvacuationRefused',
      );
    }
    throw failureOf(reasonOf(error));
  }
}

/** Every device and export on the node's back ends, in words. */
async function whatIsLeft(node: string): Promise<string[]> {
  const backEnds = await moves.backEndsOf({ node });
  const found = await Promise.all(
    backEnds.map((backEnd) =>
      storageSteps(node, patienceSeconds).listEverything.executeWithOptions({ summary: `what is on ${backEnd}` }, [
        { backEnd },
      ]),
    ),
  );
  return found.flat();
}
