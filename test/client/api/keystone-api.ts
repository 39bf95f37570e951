import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Keystone } from '../../../testbed/keystone.ts';
import { processWorker } from '../../../testbed/process-worker.ts';
import { freePorts } from '../../../workers/embedded/free-ports.ts';
import type { Stage } from '../../end-to-end/stage.ts';

/** `ferry api` with Keystone, as a process, in the catalogue as a cloud has it. */
export async function startKeystoneApi(keystone: Keystone, stage: Stage) {
  await keystone.user('ferry', { service: ['service'] });
  const [port] = await freePorts(1);
  const endpoint = `http://127.0.0.1:${port}/v3`;
  await keystone.service('cinderv3', 'volumev3', `${endpoint}/%(project_id)s`);
  await keystone.service('cinder', 'block-storage', endpoint);
  const file = join(stage.directory, 'api.json');
  // On a machine under load everything takes long; what a slow Keystone leads to is tested by itself.
  await writeFile(file, JSON.stringify({ api: { keystone: { url: keystone.url, timeoutSeconds: 60 } } }));
  const env = { ...stage.env, FERRY_CONFIG: file, FERRY_KEYSTONE_PASSWORD: 'password-ferry' };
  const log = join(stage.directory, 'api.log');
  const api = processWorker(['api', '--listen', `127.0.0.1:${port}`], env, log);
  await api.start();
  return { endpoint, log, stop: () => api.signal('SIGTERM') };
}
