import { FerryError } from '../model/errors.ts';

/** Host, port and database of a URL, for messages: never its password. */
export function databaseAddress(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  return `${url.hostname || 'localhost'}:${url.port || '5432'}${url.pathname}`;
}

/**
 * SQLSTATEs by which Postgres says that it does not serve us now: connections, authorization, resources, shutdown, its own system, no
 * such database.
 */
const refusesToServe = /^(08|28|53|57P|58|3D000)/;

/** It answers, but takes no writes: a standby, or a primary that is being changed. */
const readOnly = '25006';

/** The role with which we are connected lacks a right. */
const forbidden = '42501';

/** Our own statement timeout. */
const tookTooLong = '57014';

/** What Node and pg throw when there is no connection, or none any more. */
const noConnection =
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENOENT|EACCES)$/;
const noConnectionMessage =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|not queryable|server does not support SSL/i;

/** Runs `work`; what means that Postgres does not answer becomes `ServiceUnreachable`, in one line. All else is thrown as it is. */
export async function reachable<T>(address: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) === readOnly) throw takesNoWrites(address, error as Error);
    if (codeOf(error) === forbidden) throw lacksRight(address, error as Error);
    const why = whyUnreachable(error);
    if (why === null) throw error;
    throw new FerryError(
      'ServiceUnreachable',
      `Postgres at ${address} cannot be reached: ${why}. Check that it runs, and the configured databaseUrl.`,
      { service: 'postgres', address },
      { cause: error },
    );
  }
}

function takesNoWrites(address: string, cause: Error): FerryError {
  return new FerryError(
    'ServiceUnreachable',
    `Postgres at ${address} takes no writes now (${cause.message}): it is a standby, or its primary is being changed. ` +
      'Try again when there is a primary, and check that the configured databaseUrl leads to it.',
    { service: 'postgres', address, readOnly: true },
    { cause },
  );
}

function lacksRight(address: string, cause: Error): FerryError {
  return new FerryError(
    'ServiceUnreachable',
    `Postgres at ${address} does not let us: ${cause.message}. The role of the configured databaseUrl is not for this; ` +
      'if it should be, the owner of the schema gives all roles their rights: ferry db roles.',
    { service: 'postgres', address, forbidden: true },
    { cause },
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function whyUnreachable(error: unknown): string | null {
  // Node tries every address of a name and collects what each said.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error)) return null;
  const code = codeOf(first);
  const known =
    refusesToServe.test(code) ||
    code === tookTooLong ||
    noConnection.test(code) ||
    noConnectionMessage.test(first.message);
  return known ? first.message.replace(/\s*\n\s*/g, ' ') : null;
}
