import { Client, Connection } from '@temporalio/client';
import { temporalSettings, temporalUnreachable } from '../configuration/temporal.ts';
import { boundedMessages } from './bounded-messages.ts';
import { explainFailure } from './temporal-failures.ts';

/** The client's way to Temporal. */
export interface Temporal {
  readonly address: string;
  readonly namespace: string;
  /**
   * Runs `work`; every request in it is answered by the deadline or fails. What goes wrong is thrown as a `FerryError` where Ferry
   * knows it: `ServiceUnreachable`, or the typed failure of a workflow or update.
   */
  call<T>(
    work: (client: Client) => Promise<T>,
    options?: { deadlineMs?: number; signal?: AbortSignal | undefined },
  ): Promise<T>;
  close(): Promise<void>;
}

/** Longer than a healthy server needs for anything but a long poll, and short enough for somebody who waits. */
const patienceMs = 10_000;

/** Connects, or throws `ServiceUnreachable` after a few seconds. */
export async function connectToTemporal(): Promise<Temporal> {
  const { connectionOptions, address, namespace } = temporalSettings();
  const { tls, apiKey, metadata } = connectionOptions;
  const connection = Connection.lazy({
    address,
    ...(tls === undefined ? {} : { tls }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(metadata === undefined ? {} : { metadata }),
    connectTimeout: '5s',
  });
  try {
    await connection.ensureConnected();
  } catch (error) {
    await connection.close();
    throw explainFailure(error, address) ?? temporalUnreachable(address, (error as Error).message, error);
  }
  const client = new Client({ connection, namespace, interceptors: { workflow: [boundedMessages] } });
  return {
    address,
    namespace,
    async call(work, { deadlineMs = patienceMs, signal } = {}) {
      const run = () => connection.withDeadline(Date.now() + deadlineMs, () => work(client));
      try {
        return await (signal ? connection.withAbortSignal(signal, run) : run());
      } catch (error) {
        throw explainFailure(error, address) ?? error;
      }
    },
    close: () => connection.close(),
  };
}
