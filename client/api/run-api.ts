import pino, { type Logger } from 'pino';
import type { ListenAddress } from '../../configuration/listen-address.ts';
import { loadConfiguration } from '../../configuration/load.ts';
import type { Configuration } from '../../configuration/schema.ts';
import { serviceManager } from '../../configuration/service-manager.ts';
import { openForCallers } from '../open-ferry.ts';
import { createApi } from './app.ts';
import { configuredIdentity } from './identity/configured.ts';
import { ApiMetrics } from './metrics.ts';
import { serveApi, type ServedApi } from './serve.ts';

/** A request holds a connection to the registry for milliseconds. */
const maxConnections = 10;

/** Serves the Block Storage API, as configured, until the process is told to stop. `at`: where it listens, if not where the configuration says. */
export async function runApi(at?: ListenAddress): Promise<void> {
  const configuration = await loadConfiguration(process.env);
  const log = pino({ level: configuration.logLevel }).child({ part: 'api' });
  await using ends = new AsyncDisposableStack();
  const manager = serviceManager(process.env, log);
  ends.defer(() => manager.stop());
  const api = await startApi({ configuration, at: at ?? configuration.api.listen, log });
  log.info({ url: api.url }, 'ready');
  await manager.ready();
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await api.close();
}

/** Serves it until it is closed, on the Temporal of this process's environment. What is wrong with the configuration is `InvalidInput`. */
export async function startApi({
  configuration,
  at,
  log,
}: {
  configuration: Configuration;
  at: ListenAddress;
  log: Logger;
}): Promise<ServedApi> {
  const { tls, defaultVolumeType } = configuration.api;
  const identity = await configuredIdentity(configuration, { host: at.host, log });
  await using starting = new AsyncDisposableStack();
  const metrics = new ApiMetrics();
  if (configuration.metricsAddress !== undefined) {
    const shown = await metrics.serve(configuration.metricsAddress);
    starting.defer(() => shown.stop());
  }
  const ferry = await openForCallers({ configuration, answers: 'when begun', maxConnections });
  starting.defer(() => ferry.close());
  const app = createApi({ ferry, ...identity, log, metrics, defaultVolumeType });
  const served = await serveApi(app, { ...at, tls: tls && { ...tls, log } });
  const ends = starting.move();
  return {
    url: served.url,
    async close() {
      await served.close();
      await ends.disposeAsync();
    },
  };
}
