import * as z from 'zod';
import { volumeId } from '../../model/ids.ts';
import type { VolumeUsers } from '../../model/volume-users.ts';
import { askUsers } from '../ask-users.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { parsed } from './run-operation.ts';

/** Whoever asks waits for it. */
const lookSeconds = 20;

/** Who has an attached volume, as its hypervisors and its storage node see it. Changes nothing. */
export async function examineUsers(input: unknown): Promise<VolumeUsers> {
  const asked = parsed(z.object({ volumeId }), input);
  try {
    return await askUsers(asked.volumeId, lookSeconds);
  } catch (error) {
    throw failureOf(reasonOf(error));
  }
}
