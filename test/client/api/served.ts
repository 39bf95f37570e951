import pino from 'pino';
import { createApi } from '../../../client/api/app.ts';
import type { Authentication } from '../../../client/api/identity/authentication.ts';
import { builtInPolicy } from '../../../client/api/identity/policy.ts';
import { serveApi } from '../../../client/api/serve.ts';
import { openForCallers } from '../../../client/open-ferry.ts';
import { configuration } from '../../../configuration/schema.ts';
import { asRole, provideDatabase } from '../../../testbed/database-roles.ts';

/** Tokens of the tests: `user:project:role`. */
const byToken: Authentication = {
  authenticate(request) {
    const [userId = '', projectId = '', role = ''] = (request.headers.get('x-auth-token') ?? '').split(':');
    // As Keystone says it: with what the role implies.
    const roles = ['admin', 'member', 'reader'];
    return Promise.resolve({
      userId,
      projectId,
      roles: roles.includes(role) ? roles.slice(roles.indexOf(role)) : [role],
    });
  },
};

export const admin = 'root:tenant-1:admin';
export const member = 'alice:tenant-1:member';
export const stranger = 'bob:tenant-2:member';

// oxlint-disable-next-line typescript/no-explicit-any -- only a test knows what is in a body, and fails when it is not
type Json = any;

export interface Answered {
  status: number;
  headers: Headers;
  body: Json;
}

/** The API over HTTP on the registry of that URL, with the rights of its role, and the Temporal of the process's environment. */
export async function startApi(databaseUrl: string, authentication: Authentication = byToken) {
  await provideDatabase(databaseUrl);
  const ferry = await openForCallers({
    configuration: configuration.parse({ databaseUrl: asRole(databaseUrl, 'ferry_api') }),
    answers: 'when begun',
    maxConnections: 4,
  });
  const app = createApi({
    ferry,
    authentication,
    policy: builtInPolicy,
    defaultVolumeType: '__DEFAULT__',
    log: pino({ level: 'silent' }),
  });
  const served = await serveApi(app, { host: '127.0.0.1', port: 0 });
  return {
    url: served.url,
    async ask(
      token: string,
      method: string,
      path: string,
      { body, minor = 71, headers = {} }: { body?: unknown; minor?: number; headers?: Record<string, string> } = {},
    ): Promise<Answered> {
      const response = await fetch(served.url + path, {
        method,
        headers: {
          'X-Auth-Token': token,
          'OpenStack-API-Version': `volume 3.${minor}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? null : JSON.parse(text),
      };
    },
    async close() {
      await served.close();
      await ferry.close();
    },
  };
}
