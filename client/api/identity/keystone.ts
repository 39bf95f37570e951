import type { Logger } from 'pino';
import { tenantId } from '../../../model/ids.ts';
import { Fault } from '../fault.ts';
import type { Authentication, Caller } from './authentication.ts';
import { KeystoneAway, KeystoneClient, type KeystoneUser, type ValidToken } from './keystone-client.ts';
import { TokenCache, type CacheTimes } from './token-cache.ts';

/** Where Keystone is and how it is asked. */
export interface KeystoneOptions {
  /** Where Ferry reaches Keystone. */
  url: string;
  /** Where clients reach it, which a refusal tells them. */
  publicUrl: string;
  user: KeystoneUser;
  /** For one answer of Keystone's. Milliseconds. */
  timeoutMs: number;
  times: CacheTimes;
  log: Logger;
  now?: () => number;
}

/** How many tokens' answers are kept: about 10 MB. */
const mostTokens = 10_000;

/** The role by which Keystone tells a service's user from a person's. */
const serviceRole = 'service';

const retryAfterSeconds = 5;

/**
 * Who calls, as Keystone says: a token is good while Keystone says so. With a service's token beside it (`X-Service-Token`), the user's
 * may have expired meanwhile. When Keystone cannot be asked nobody is let in whom it did not vouch for lately.
 */
export function keystoneAuthentication({
  url,
  publicUrl,
  user,
  timeoutMs,
  times,
  log,
  now,
}: KeystoneOptions): Authentication {
  const keystone = new KeystoneClient({ url, user, timeoutMs });
  const cache = new TokenCache({ times, most: mostTokens, ...(now && { now }) });

  async function validated(token: string, allowExpired: boolean): Promise<ValidToken> {
    const found = isToken(token)
      ? await cache.find(token, allowExpired, () => keystone.validate(token, { allowExpired }))
      : null;
    if (!found) throw unauthorized(publicUrl);
    return found;
  }

  async function caller(request: Request): Promise<Caller> {
    const serviceToken = request.headers.get('x-service-token');
    const service = serviceToken === null ? null : await validated(serviceToken, false);
    if (service && !service.roles.includes(serviceRole)) {
      log.warn({ userId: service.userId }, `an X-Service-Token without the role ${serviceRole} is refused`);
      throw unauthorized(publicUrl);
    }
    const token = await validated(request.headers.get('x-auth-token') ?? '', service !== null);
    const { userId, roles } = token;
    const projectId = tenantId.safeParse(token.projectId);
    if (!projectId.success) throw new Fault(403, 'The token is for no project: ask for one that is.');
    return { userId, projectId: projectId.data, roles, isService: service !== null };
  }

  return {
    async authenticate(request) {
      try {
        return await caller(request);
      } catch (error) {
        if (!(error instanceof KeystoneAway)) throw error;
        log.error({ keystone: url }, error.message);
        throw new Fault(503, 'The identity service cannot be asked who you are. Try again later.', {
          headers: { 'Retry-After': String(retryAfterSeconds) },
        });
      }
    },
  };
}

/** Whatever else it is, no token has such characters: Keystone is not asked. */
function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

function unauthorized(publicUrl: string): Fault {
  const message = 'The request you have made requires authentication.';
  return new Fault(401, message, {
    headers: { 'WWW-Authenticate': `Keystone uri="${publicUrl}"` },
    body: { error: { code: 401, title: 'Unauthorized', message } },
  });
}
