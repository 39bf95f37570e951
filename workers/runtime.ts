import { DefaultLogger, Runtime, type LogLevel, type RuntimeOptions } from '@temporalio/worker';
import { pino, type Logger, type LoggerOptions } from 'pino';
import { metrics, phaseBuckets } from '../model/metrics.ts';

const pinoLevel = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
} as const satisfies Record<LogLevel, string>;

/** The SDK's own metrics keep the names and units that its dashboards know. */
const prometheus = (bindAddress: string) => ({
  bindAddress,
  histogramBucketOverrides: { [metrics.phaseSeconds]: phaseBuckets },
});

/** Times as people and collectors read them; errors with their type, stack, fields and causes, under whichever key. */
export function logOptions(level: string): LoggerOptions {
  const serializers = { error: pino.stdSerializers.errWithCause, err: pino.stdSerializers.errWithCause };
  return { name: 'ferry', level, timestamp: pino.stdTimeFunctions.isoTime, serializers };
}

/**
 * Logger and metrics of this process's Temporal runtime; once per process, before the first connection. Logs are JSON lines on
 * standard error: standard output belongs to commands.
 */
export function installRuntime(options: { logLevel: string; metricsAddress?: string | undefined }): Logger {
  const log = pino(logOptions(options.logLevel), pino.destination(2));
  const telemetry: RuntimeOptions['telemetryOptions'] = {
    logging: { forward: {}, filter: { core: 'WARN', other: 'ERROR' } },
    ...(options.metricsAddress ? { metrics: { prometheus: prometheus(options.metricsAddress) } } : {}),
  };
  Runtime.install({
    logger: new DefaultLogger('DEBUG', (entry) => log[pinoLevel[entry.level]]({ ...entry.meta }, entry.message)),
    telemetryOptions: telemetry,
    shutdownSignals: [],
  });
  return log;
}
