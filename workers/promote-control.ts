import { Client, Connection } from '@temporalio/client';
import { loadConfiguration } from '../configuration/load.ts';
import type { DeploymentConfiguration } from '../configuration/schema.ts';
import { temporalSettings, temporalUnreachable } from '../configuration/temporal.ts';
import { FerryError } from '../model/errors.ts';
import { controlVersions, promoteOwnVersion } from './deployment.ts';

/** `ferry worker promote`. */
export async function promoteControl(json: boolean): Promise<void> {
  await asked(async (client, namespace, deployment) => {
    const { buildId, before } = await promoteOwnVersion(client, namespace, deployment);
    if (json) return console.log(JSON.stringify({ deployment: deployment.name, buildId, before }));
    const ended = before === null || before === buildId ? '' : ` What runs stays with ${before}: ferry worker versions`;
    console.log(`Build ${buildId} of ${deployment.name} is current: what begins from now on goes to it.${ended}`);
  });
}

/** `ferry worker versions`. */
export async function listControl(json: boolean): Promise<void> {
  await asked(async (client, namespace, deployment) => {
    const versions = await controlVersions(client, namespace, deployment);
    if (json) return console.log(JSON.stringify(versions));
    for (const { buildId, state, own } of versions)
      console.log(`${buildId}  ${state.padEnd(8)}${own ? '  this code' : ''}`);
    if (versions.length === 0) console.log(`Deployment ${deployment.name} has had no control worker yet.`);
  });
}

async function asked(
  question: (client: Client, namespace: string, deployment: DeploymentConfiguration) => Promise<void>,
): Promise<void> {
  const { deployment } = await loadConfiguration(process.env);
  if (deployment === undefined) {
    const message = 'Control workers have no versions: "deployment" is missing in the file that FERRY_CONFIG names.';
    throw new FerryError('InvalidInput', message);
  }
  const { connectionOptions, address, namespace } = temporalSettings();
  const connection = await Connection.connect(connectionOptions).catch((error: unknown) => {
    throw temporalUnreachable(address, (error as Error).message, error);
  });
  try {
    await question(new Client({ connection, namespace }), namespace, deployment);
  } finally {
    await connection.close();
  }
}
