import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { DeploymentConfiguration } from '../configuration/schema.ts';
import { controlVersions, promoteOwnVersion } from './deployment.ts';

/** A worker that polls is known to Temporal a moment later. Milliseconds. */
const lookEveryMs = 500;

/**
 * Makes the first version of a deployment the current one: without any, nothing that begins would find a worker. A later one is
 * promoted by an operator. Tries until `signal`.
 */
export async function promoteFirst(
  client: Client,
  namespace: string,
  deployment: DeploymentConfiguration,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const versions = await controlVersions(client, namespace, deployment);
      if (versions.some(({ state }) => state === 'current')) return;
      await promoteOwnVersion(client, namespace, deployment);
      return;
    } catch {
      // Not known yet, or Temporal is away: the worker itself says so.
    }
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {});
  }
}
