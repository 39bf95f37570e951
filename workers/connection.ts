import { NativeConnection } from '@temporalio/worker';
import { temporalSettings, temporalUnreachable } from '../configuration/temporal.ts';

/** Connects a worker to Temporal, as configured. Cannot be reached: `ServiceUnreachable`. */
export async function connectToTemporal(): Promise<{ connection: NativeConnection; namespace: string }> {
  const { connectionOptions, address, namespace } = temporalSettings();
  try {
    return { connection: await NativeConnection.connect(connectionOptions), namespace };
  } catch (error) {
    throw temporalUnreachable(address, (error as Error).message, error);
  }
}
