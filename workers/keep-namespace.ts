import { Client } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { DeploymentConfiguration } from '../configuration/schema.ts';
import { controlVersions, promoteOwnVersion } from './deployment.ts';
import { everyFewSeconds } from './every-few-seconds.ts';
import { registerSearchAttributes } from './register-search-attributes.ts';
import { scheduleReconcile } from './schedule-reconcile.ts';

/** What is missing is back within a minute, whoever of the control workers runs. Milliseconds. */
const lookEveryMs = 20_000;

interface Namespace {
  connection: NativeConnection;
  namespace: string;
  deployment?: DeploymentConfiguration | undefined;
}

/**
 * Keeps in Temporal what workflows and the repair need there, for as long as a control worker runs: search attributes, the reconcile
 * schedule, and a current version of the deployment. A namespace that was made anew, or restored from before, has
 * none of them. The first look is done when it returns; that it fails is thrown, later ones are only told.
 */
export async function keepNamespace(
  of: Namespace & { log?: Pick<Logger, 'warn'> | undefined; everyMs?: number | undefined },
): Promise<{ stop: () => void }> {
  const { connection, namespace, deployment, log, everyMs = lookEveryMs } = of;
  const client = new Client({ connection, namespace });
  const look = async () => {
    await registerSearchAttributes(connection, namespace);
    await scheduleReconcile(client);
    if (deployment !== undefined) await promoteIfNone(client, namespace, deployment);
  };
  await look();
  return everyFewSeconds(
    look,
    (error) => log?.warn({ error: error.message, namespace }, 'what Ferry needs in Temporal could not be looked at'),
    everyMs,
  );
}

/** Without a current version nothing that begins would find a worker. This one is known to Temporal a moment after its first poll. */
async function promoteIfNone(client: Client, namespace: string, deployment: DeploymentConfiguration): Promise<void> {
  const versions = await controlVersions(client, namespace, deployment);
  if (versions.some(({ state }) => state === 'current') || !versions.some(({ own }) => own)) return;
  await promoteOwnVersion(client, namespace, deployment);
}
