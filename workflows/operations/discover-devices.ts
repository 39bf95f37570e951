import * as z from 'zod';
import { backEndName, nodeOf } from '../../model/ids.ts';
import type { UnmanagedDevice } from '../../model/unmanaged-device.ts';
import { storageSteps } from '../activities.ts';
import { failureOf, reasonOf } from '../failures.ts';
import { parsed } from './run-operation.ts';

/** A look: whoever asks waits for it, and can ask again. */
const lookSeconds = 30;

/** What is on a back end and is none of Ferry's. */
export async function discoverDevices(input: unknown): Promise<UnmanagedDevice[]> {
  const { backEnd } = parsed(z.object({ backEnd: backEndName }), input);
  try {
    return await storageSteps(nodeOf(backEnd), lookSeconds).discoverDevices({ backEnd });
  } catch (error) {
    throw failureOf(reasonOf(error));
  }
}
