import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { FerryError } from '../model/errors.ts';

/**
 * Connects to Temporal as its SDKs do everywhere: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or the
 * profile of a TOML file. Cannot be reached: `ServiceUnreachable`.
 */
export async function connectToTemporal(): Promise<{ connection: NativeConnection; namespace: string }> {
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const address = connectionOptions.address ?? 'localhost:7233';
  try {
    const connection = await NativeConnection.connect({ ...connectionOptions, address });
    return { connection, namespace: namespace ?? 'default' };
  } catch (error) {
    throw new FerryError('ServiceUnreachable', `Temporal at ${address} cannot be reached (${(error as Error).message}). Is it running? See TEMPORAL_ADDRESS.`, {}, { cause: error });
  }
}
