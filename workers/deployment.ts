import type { Client } from '@temporalio/client';
import type { DeploymentConfiguration } from '../configuration/schema.ts';
import { FerryError } from '../model/errors.ts';
import { sourcesHash } from './bundle.ts';

/** A release of Ferry's control code, as Temporal knows it. */
export interface ControlVersion {
  buildId: string;
  /** `current`: what begins goes to it. `draining`: workflows that began with it still run. `drained`: none does. */
  state: 'current' | 'draining' | 'drained' | 'inactive';
  /** The code of this very installation. */
  own: boolean;
}

/** The values of VERSION_DRAINAGE_STATUS_… in Temporal's API. */
const drainage = { draining: 1, drained: 2 } as const;

/** gRPC's NOT_FOUND. */
const notFound = 5;

/** The version of a control worker that runs this code: equal workflows, equal build id. */
export async function ownVersion({
  name,
  buildId,
}: DeploymentConfiguration): Promise<{ deploymentName: string; buildId: string }> {
  return { deploymentName: name, buildId: buildId ?? (await sourcesHash()) };
}

/** Every version that has had a worker, the newest first; none when there never was one. */
export async function controlVersions(
  client: Client,
  namespace: string,
  deployment: DeploymentConfiguration,
): Promise<ControlVersion[]> {
  const { deploymentName, buildId: own } = await ownVersion(deployment);
  try {
    const { workerDeploymentInfo: info } = await client.workflowService.describeWorkerDeployment({
      namespace,
      deploymentName,
    });
    const current = info?.routingConfig?.currentDeploymentVersion?.buildId;
    return (info?.versionSummaries ?? []).map(({ deploymentVersion, drainageStatus }) => {
      const buildId = deploymentVersion?.buildId ?? '';
      return { buildId, state: stateOf(buildId === current, drainageStatus ?? 0), own: buildId === own };
    });
  } catch (error) {
    if ((error as { code?: number }).code === notFound) return [];
    throw error;
  }
}

/**
 * What begins from now on goes to the control workers that run this code; what runs stays with those of the code that it began with.
 * May be repeated. Answers with the build id that was current before. No such worker runs yet: `ServiceUnreachable`, nothing is changed.
 */
export async function promoteOwnVersion(
  client: Client,
  namespace: string,
  deployment: DeploymentConfiguration,
): Promise<{ buildId: string; before: string | null }> {
  const { deploymentName, buildId } = await ownVersion(deployment);
  const versions = await controlVersions(client, namespace, deployment);
  const before = versions.find(({ state }) => state === 'current')?.buildId ?? null;
  if (!versions.some((version) => version.own)) {
    const message = `No control worker of deployment ${deploymentName} runs this code (build ${buildId}). Start one: ferry worker control`;
    throw new FerryError('ServiceUnreachable', message, { deployment: deploymentName, buildId });
  }
  await client.workflowService.setWorkerDeploymentCurrentVersion({ namespace, deploymentName, buildId });
  return { buildId, before };
}

function stateOf(isCurrent: boolean, status: number): ControlVersion['state'] {
  if (isCurrent) return 'current';
  if (status === drainage.draining) return 'draining';
  return status === drainage.drained ? 'drained' : 'inactive';
}
