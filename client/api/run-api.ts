import pino from 'pino';
import type { ListenAddress } from '../../configuration/listen-address.ts';
import { loadConfiguration } from '../../configuration/load.ts';
import { serviceManager } from '../../configuration/service-manager.ts';
import { openForCallers } from '../open-ferry.ts';
import { createApi } from './app.ts';
import { configuredIdentity } from './identity/configured.ts';
import { ApiMetrics } from './metrics.ts';
import { serveApi } from './serve.ts';

/** A request holds a connection to the registry for milliseconds. */
const maxConnections = 10;

/** Serves the Block Storage API, as configured, until the process is told to stop. `at`: where it listens, if not where the configuration says. */
export async function runApi(at?: ListenAddress): Promise<void> {
  const configuration = await loadConfiguration(process.env);
  const { tls, listen: configured } = configuration.api;
  const listen = at ?? configured;
  const log = pino({ level: configuration.logLevel }).child({ part: 'api' });
  const identity = await configuredIdentity(configuration, { host: listen.host, log });
  await using ends = new AsyncDisposableStack();
  const manager = serviceManager(process.env, log);
  ends.defer(() => manager.stop());
  const metrics = new ApiMetrics();
  if (configuration.metricsAddress !== undefined) {
    const shown = await metrics.serve(configuration.metricsAddress);
    ends.defer(() => shown.stop());
  }
  const ferry = await openForCallers({ configuration, answers: 'when begun', maxConnections });
  ends.defer(() => ferry.close());
  const app = createApi({ ferry, ...identity, log, metrics });
  const served = await serveApi(app, { ...listen, tls: tls && { ...tls, log } });
  log.info({ url: served.url }, 'ready');
  await manager.ready();
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await served.close();
}
