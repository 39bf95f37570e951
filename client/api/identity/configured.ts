import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Configuration, KeystoneConfiguration } from '../../../configuration/schema.ts';
import { FerryError } from '../../../model/errors.ts';
import type { Authentication } from './authentication.ts';
import { keystoneAuthentication } from './keystone.ts';
import type { KeystoneUser } from './keystone-client.ts';
import { noauth } from './noauth.ts';
import { builtInPolicy, loadPolicy, type Policy } from './policy.ts';

/**
 * Who says who calls, and what they may do, as configured. `InvalidInput`: without Keystone everybody is an administrator, so the API is
 * not opened to other machines unless the configuration says that it may be.
 */
export async function configuredIdentity(
  { api, keystonePassword }: Pick<Configuration, 'api' | 'keystonePassword'>,
  { host, log }: { host: string; log: Logger },
): Promise<{ authentication: Authentication; policy: Policy }> {
  const policy = api.policyFile === undefined ? builtInPolicy : await loadPolicy(api.policyFile);
  if (api.keystone) return { policy, authentication: await withKeystone(api.keystone, keystonePassword, log) };
  if (!isLoopback(host) && !api.insecureNetwork)
    throw new FerryError(
      'InvalidInput',
      `Whoever reaches ${host} would be an administrator: no Keystone is configured. Set "api": {"keystone": {"url": …}}, listen at ` +
        '127.0.0.1, or set "api": {"insecureNetwork": true} where nobody else can reach it.',
    );
  return { policy, authentication: noauth };
}

async function withKeystone(
  keystone: KeystoneConfiguration,
  password: string | undefined,
  log: Logger,
): Promise<Authentication> {
  const { url, publicUrl = url, username, userDomainId, projectName, projectDomainId } = keystone;
  const user: KeystoneUser = {
    ...{ username, userDomainId, projectName, projectDomainId },
    password: () => passwordOf(keystone, password),
  };
  // A file that cannot be read is said now, not to the first caller.
  await user.password();
  return keystoneAuthentication({
    ...{ url, publicUrl, user, log },
    timeoutMs: keystone.timeoutSeconds * 1000,
    times: { recheckMs: keystone.recheckSeconds * 1000, keepMs: keystone.keepSeconds * 1000 },
  });
}

async function passwordOf({ passwordFile, username }: KeystoneConfiguration, fromEnvironment: string | undefined) {
  if (passwordFile === undefined) {
    if (fromEnvironment !== undefined) return fromEnvironment;
    throw new FerryError(
      'InvalidInput',
      `The password of ${username} in Keystone is not given: set FERRY_KEYSTONE_PASSWORD or "passwordFile".`,
    );
  }
  try {
    return (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new FerryError('InvalidInput', `The password file cannot be read: ${(error as Error).message}`);
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
