import { Connection } from '@temporalio/client';
import { temporalSettings } from '../../configuration/temporal.ts';
import { examineDatabase } from '../../registry/examine-database.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

/** Longer than a healthy service takes. Milliseconds. */
const answerMs = 10_000;

/** Nothing of Ferry's compares clocks, but certificates and people who read logs do. Milliseconds. */
const skewMs = 5_000;

/** Whether the registry's database can be used, and how safe it is. Changes nothing in it. */
export async function examinePostgres(databaseUrl: string | undefined): Promise<Finding[]> {
  const check = 'Postgres';
  if (databaseUrl === undefined)
    return [fault(check, 'no database is configured', 'set FERRY_DATABASE_URL, or FERRY_DATABASE_URL_FILE')];
  try {
    const { version, skew, schema, known, risks } = await examineDatabase(databaseUrl, answerMs);
    return [
      ok(check, `version ${version} answers`),
      Math.abs(skew) <= skewMs
        ? ok('clock', "is Postgres' own to within a few seconds")
        : warning(
            'clock',
            `is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} Postgres'`,
            'let both keep time (chrony, systemd-timesyncd)',
          ),
      schemaFinding(schema, known),
      ...risks.map((risk) => warning('commits', risk, 'see "Postgres" in docs/operations.md')),
    ];
  } catch (error) {
    return [fault(check, (error as Error).message, 'look at the address, the network and the password')];
  }
}

function schemaFinding(schema: number, known: number): Finding {
  if (schema === known) return ok('schema', `${schema}, as this Ferry has it`);
  if (schema > known)
    return fault(
      'schema',
      `is ${schema}, this Ferry knows ${known}`,
      "upgrade Ferry, or name another Ferry's database",
    );
  return warning('schema', `is ${schema}, this Ferry has ${known}`, 'bring it up to date: ferry db migrate');
}

/** Whether Temporal answers, and has the namespace. */
export async function examineTemporal(): Promise<Finding> {
  const check = 'Temporal';
  let connection: Connection | undefined;
  try {
    const { connectionOptions, address, namespace } = temporalSettings();
    try {
      connection = await Connection.connect({ ...connectionOptions, connectTimeout: answerMs });
      await connection.withDeadline(Date.now() + answerMs, async () =>
        connection!.workflowService.describeNamespace({ namespace }),
      );
      return ok(check, `${address} answers, and has the namespace ${namespace}`);
    } catch (error) {
      const why = (error as Error).message.replace(/\s+/g, ' ');
      return fault(
        check,
        `${address}, namespace ${namespace}: ${why}`,
        'see TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and TEMPORAL_TLS_*',
      );
    }
  } catch (error) {
    return fault(check, (error as Error).message, 'mend the settings');
  } finally {
    await connection?.close();
  }
}

/** Whether Keystone answers at all; whether it takes Ferry's password is seen at the first token. */
export async function examineKeystone(url: string): Promise<Finding> {
  const check = 'Keystone';
  try {
    const { status } = await fetch(new URL('v3', url.endsWith('/') ? url : `${url}/`), {
      signal: AbortSignal.timeout(answerMs),
    });
    if (status === 200) return ok(check, `${url} answers`);
    return fault(check, `${url} answers ${status}`, 'see api.keystone.url: it is the address without /v3');
  } catch (error) {
    const { cause } = error as Error;
    const why = cause instanceof Error ? cause.message : (error as Error).message;
    return fault(check, `${url} cannot be reached: ${why}`, 'see api.keystone.url');
  }
}
