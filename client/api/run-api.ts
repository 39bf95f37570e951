import pino from 'pino';
import { loadConfiguration } from '../../configuration/load.ts';
import { openForCallers } from '../open-ferry.ts';
import { createApi } from './app.ts';
import { configuredIdentity } from './identity/configured.ts';
import { ApiMetrics } from './metrics.ts';
import { serveApi } from './serve.ts';

/** A request holds a connection to the registry for milliseconds. */
const maxConnections = 10;

/** Serves the Block Storage API, as configured, until the process is told to stop. */
export async function runApi(listen: { host: string; port: number }): Promise<void> {
  const configuration = await loadConfiguration(process.env);
  const log = pino({ level: configuration.logLevel }).child({ part: 'api' });
  const identity = await configuredIdentity(configuration, { host: listen.host, log });
  const { tls } = configuration.api;
  await using ends = new AsyncDisposableStack();
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
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  await served.close();
}
