import * as z from 'zod';
import {
  balanceRequest,
  evacuationRequest,
  evacuationSource,
  moveLimits,
  moveOutcome,
} from '../../model/evacuation.ts';
import { nodeName, volumeId } from '../../model/ids.ts';
import { label } from '../../model/text.ts';
import { input, reason } from './fields.ts';

const planId = z.uuid();

/** What the activities of plans take. */
export const moveInputs = {
  writeEvacuationPlan: input({ planId, request: evacuationRequest }),
  writeBalancePlan: input({ planId, request: balanceRequest }),
  advancePlan: input({
    planId,
    ended: z.array(input({ volumeId, reason: reason.nullable() })),
    running: z.array(volumeId),
    limits: moveLimits,
    begin: z.boolean(),
    stopOnFailure: z.boolean(),
  }),
  finishPlan: input({ planId, outcome: moveOutcome }),
  disableBackEnds: input({ source: evacuationSource, reason: label.min(1) }),
  backEndsOf: input({ node: nodeName }),
  decommission: input({ node: nodeName }),
  removeSchedule: input({ source: evacuationSource }),
  awaitMigration: input({ volumeId, runId: z.uuid() }),
};
