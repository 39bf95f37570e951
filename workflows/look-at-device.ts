import { nodeOf } from '../model/ids.ts';
import { storageSteps } from './activities.ts';

/** A node that answers does so at once. Seconds. */
const answerSeconds = 30;

/** What the device of that name says of itself; null: there is none. */
export function lookAtDevice(backEnd: string, deviceName: string) {
  return storageSteps(nodeOf(backEnd), answerSeconds).lookAtDevice.executeWithOptions(
    { summary: `what does ${deviceName} on ${backEnd} say of itself?` },
    [{ backEnd, deviceName }],
  );
}
