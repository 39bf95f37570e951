import * as z from 'zod';
import { webhookName } from '../../model/event.ts';
import { input } from './fields.ts';

/** What the activities that tell events take. */
export const notificationInputs = {
  dueEvents: input({ webhook: webhookName, limit: z.number().int().min(1).max(1000) }),
  deliverEvent: input({ webhook: webhookName, sequence: z.number().int().positive() }),
};
