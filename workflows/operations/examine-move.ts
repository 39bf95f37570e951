import * as z from 'zod';
import type { Reason } from '../../model/errors.ts';
import { backEndName, volumeId } from '../../model/ids.ts';
import { askNodes } from '../ask-nodes.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { parsed } from './run-operation.ts';

/** Whoever asks waits for it. */
const lookSeconds = 30;

/** What the nodes see that would keep a volume from moving; one that does not answer is a reason too. Changes nothing. */
export async function examineMove(input: unknown): Promise<{ reasons: Reason[] }> {
  const schema = z.object({ volumeId, destination: backEndName, forceHostCopy: z.boolean().default(false) });
  const move = parsed(schema, input);
  try {
    const { reasons, silent } = await askNodes({ ...move, undoes: null }, lookSeconds);
    return { reasons: [...reasons, ...silent] };
  } catch (error) {
    throw failureOf(reasonOf(error));
  }
}
