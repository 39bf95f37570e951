import { open } from 'node:fs/promises';
import * as z from 'zod';
import { FerryError } from '../model/errors.ts';
import { configuration, type Configuration } from './schema.ts';

/** Environment variables and what they set; the environment wins over the file. Secrets (the database's URL, passwords) belong here. */
const fromEnvironment = {
  FERRY_DATABASE_URL: 'databaseUrl',
  FERRY_KEYSTONE_PASSWORD: 'keystonePassword',
  FERRY_METRICS_ADDRESS: 'metricsAddress',
  FERRY_HEALTH_ADDRESS: 'healthAddress',
  FERRY_LOG_LEVEL: 'logLevel',
} as const;

/** Variables that name a file with the value of another variable in it: for credentials of systemd and secrets of containers. */
const filesOfVariables = { FERRY_DATABASE_URL_FILE: 'FERRY_DATABASE_URL' } as const;

/**
 * Ferry's configuration: the JSON file that `file` or FERRY_CONFIG names (none is fine), overlaid with the environment.
 * Anything wrong is `InvalidInput` and names the file and the field.
 */
export async function loadConfiguration(env: NodeJS.ProcessEnv, file = env['FERRY_CONFIG']): Promise<Configuration> {
  const written = file ? await readText(file) : null;
  const values = written ? parseJson(written.text, file) : {};
  refuseSharedSecret(written, hasPassword(values));
  for (const [variable, named] of Object.entries(filesOfVariables)) {
    const place = env[variable];
    if (!place || env[named]) continue;
    const found = await readText(place);
    refuseSharedSecret(found, isWithPassword(found.text));
    values[fromEnvironment[named]] = found.text.trim();
  }
  for (const [variable, field] of Object.entries(fromEnvironment)) {
    if (env[variable]) values[field] = env[variable];
  }
  const parsed = configuration.safeParse(values);
  if (parsed.success) return parsed.data;
  throw new FerryError(
    'InvalidInput',
    `The configuration ${file ? `${file} ` : ''}is not right:\n${z.prettifyError(parsed.error)}`,
  );
}

/** The database's URL, or an error that says where to put it. */
export function requireDatabaseUrl(c: Configuration): string {
  if (c.databaseUrl) return c.databaseUrl;
  throw new FerryError(
    'InvalidInput',
    'No database is configured: set FERRY_DATABASE_URL (or FERRY_DATABASE_URL_FILE, a file with it), or "databaseUrl" in the file that FERRY_CONFIG names.',
  );
}

/** What everybody on this machine may do with a file, as its mode says. */
const [othersRead, othersWrite] = [0o004, 0o002];

interface Written {
  readonly file: string;
  readonly text: string;
  readonly mode: number;
}

/** Refuses what others could have written. */
async function readText(file: string): Promise<Written> {
  let text: string;
  let mode: number;
  try {
    await using opened = await open(file);
    const stat = await opened.stat();
    mode = stat.isFile() ? stat.mode : 0;
    text = await opened.readFile('utf8');
  } catch (error) {
    throw new FerryError('InvalidInput', `The configuration ${file} cannot be read: ${(error as Error).message}`);
  }
  if ((mode & othersWrite) === 0) return { file, text, mode };
  throw new FerryError('InvalidInput', `Everybody on this machine can write to ${file}. Mend it: chmod o-w ${file}`);
}

/** Refuses a file that others can read although a password is in it. */
function refuseSharedSecret(written: Written | null, isSecret: boolean): void {
  if (!written || !isSecret || (written.mode & othersRead) === 0) return;
  const { file } = written;
  throw new FerryError(
    'InvalidInput',
    `Everybody on this machine can read ${file}, and a password is in it. Mend it: chmod o= ${file}`,
  );
}

function hasPassword({ databaseUrl, keystonePassword }: Record<string, unknown>): boolean {
  return keystonePassword !== undefined || (typeof databaseUrl === 'string' && isWithPassword(databaseUrl));
}

function isWithPassword(databaseUrl: string): boolean {
  const url = URL.parse(databaseUrl.trim());
  return url !== null && (url.password !== '' || url.searchParams.has('password'));
}

function parseJson(text: string, file: string | undefined): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (error) {
    throw new FerryError('InvalidInput', `The configuration ${file} is not a JSON object: ${(error as Error).message}`);
  }
}
