import { loadClientConnectConfig } from '@temporalio/envconfig';
import { FerryError } from '../model/errors.ts';

/**
 * How to reach Temporal, as its SDKs have it everywhere: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or the
 * profile of a TOML file. `InvalidInput` when that cannot be understood.
 */
export function temporalSettings() {
  try {
    const { connectionOptions, namespace } = loadClientConnectConfig();
    const address = connectionOptions.address ?? 'localhost:7233';
    return { connectionOptions: { ...connectionOptions, address }, address, namespace: namespace ?? 'default' };
  } catch (error) {
    throw new FerryError(
      'InvalidInput',
      `Temporal's settings (TEMPORAL_*, or its TOML file) are not right: ${(error as Error).message}`,
    );
  }
}

/** Temporal does not answer: one line that says where, why and what to look at. */
export function temporalUnreachable(address: string, why: string, cause?: unknown): FerryError {
  return new FerryError(
    'ServiceUnreachable',
    `Temporal at ${address} cannot be reached (${why.replace(/\s+/g, ' ')}). Is it running? See TEMPORAL_ADDRESS.`,
    { service: 'temporal', address },
    { cause },
  );
}
