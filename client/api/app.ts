import { randomUUID } from 'node:crypto';
import { Hono, type Context } from 'hono';
import { routePath } from 'hono/route';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Logger } from 'pino';
import { isAdmin as isFerryAdmin, type Identity } from '../identity.ts';
import type { OpenFerry } from '../open-ferry.ts';
import { logAccess } from './access-log.ts';
import type { Action, Answer, Asked, Call } from './call.ts';
import { calls, actions } from './calls.ts';
import { Fault, badRequest, faultOf, malformedBody, noSuchResource, policyForbids } from './fault.ts';
import { inputFault } from './input-fault.ts';
import type { Authentication, Caller } from './identity/authentication.ts';
import type { Policy } from './identity/policy.ts';
import { siteOf } from './links.ts';
import type { ApiMetrics } from './metrics.ts';
import { microversionOf, versionHeader } from './microversion.ts';
import { openApiDocument } from './open-api.ts';
import { textOf } from './request-body.ts';
import { versions } from './resources/versions.ts';

/** What the API is made of. */
export interface ApiParts {
  ferry: OpenFerry;
  authentication: Authentication;
  policy: Policy;
  log: Logger;
  /** See `api.defaultVolumeType` of the configuration. */
  defaultVolumeType: string;
  /** Where requests are counted; nowhere if not given. */
  metrics?: ApiMetrics;
}

type Variables = { requestId: string; caller?: Caller; microversion?: string };
type Here = Context<{ Variables: Variables }>;

/** The first parts of the paths that there are; any other is a project's id. */
const resources: ReadonlySet<string> = new Set([...calls, ...actions].map(({ path }) => path.split('/')[1]!));

/** The path without the project, which clients may write or leave out. */
function splitPath(request: Request): { path: string; project: string | null } {
  const { pathname } = new URL(request.url);
  // Of others it is part of the path: `/v3/volumes/` is a volume without an id, which is not there.
  const path = pathname.replace(/^(\/v3|)\/+$/, '$1') || '/';
  const [, version, first, ...rest] = path.split('/');
  if (version !== 'v3' || first === undefined || resources.has(first)) return { path, project: null };
  return rest.length === 0
    ? { path, project: null }
    : { path: `/v3/${rest.join('/')}`, project: decodeURIComponent(first) };
}

/** The Block Storage API on top of Ferry's client library. It keeps nothing: any number may run. */
export function createApi(parts: ApiParts): Hono<{ Variables: Variables }> {
  const app = new Hono<{ Variables: Variables }>({
    getPath: (request) => splitPath(request).path,
  });

  app.use('*', async (c, next) => {
    const began = performance.now();
    const requestId = `req-${randomUUID()}`;
    c.set('requestId', requestId);
    await next();
    c.res.headers.set('X-Openstack-Request-Id', requestId);
    c.res.headers.set('X-Compute-Request-Id', requestId);
    const { pathname } = new URL(c.req.url);
    if (pathname === '/healthz') return;
    const { method } = c.req;
    const milliseconds = performance.now() - began;
    const path = routePath(c, -1);
    const route = path.includes('*') ? 'none' : path;
    parts.metrics?.count({ method, route, status: c.res.status, seconds: milliseconds / 1000 });
    logAccess(parts.log, {
      requestId,
      method,
      path: pathname,
      status: c.res.status,
      milliseconds: Math.round(milliseconds),
      projectId: c.get('caller')?.projectId,
      userId: c.get('caller')?.userId,
      microversion: c.get('microversion'),
    });
  });
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/openapi.json', (c) => c.json(openApiDocument(calls, actions)));
  app.get('/', (c) => c.json(versions(siteOf(c.req.raw, null)), 300));
  app.get('/v3', (c) => c.json(versions(siteOf(c.req.raw, null))));

  app.use('/v3/*', async (c, next) => {
    const { project } = splitPath(c.req.raw);
    const caller = await parts.authentication.authenticate(c.req.raw, project);
    c.set('caller', caller);
    if (project !== null && project !== caller.projectId) throw badRequest('Malformed request url');
    await next();
  });

  for (const [path, methods] of byPath(calls)) {
    for (const [method, versioned] of methods) {
      app.on(method.toUpperCase(), routeOf(path), (c) => answer(parts, c, (minor) => versioned.find(inForce(minor))));
    }
  }
  for (const path of new Set(actions.map((each) => each.path))) {
    const here = actions.filter((each) => each.path === path);
    app.post(routeOf(path), (c) => answerAction(parts, c, here));
  }

  app.notFound((c) => faultAnswer(c, noSuchResource()));
  app.onError((error, c) => {
    const fault = faultOf(error);
    if (fault.status >= 500) parts.log.error({ err: error, requestId: c.get('requestId') }, 'request failed');
    return faultAnswer(c, fault);
  });
  return app;
}

function byPath(all: readonly Call[]): Map<string, Map<Call['method'], Call[]>> {
  const paths = new Map<string, Map<Call['method'], Call[]>>();
  for (const each of all) {
    const methods = paths.get(each.path) ?? new Map<Call['method'], Call[]>();
    paths.set(each.path, methods);
    methods.set(each.method, [...(methods.get(each.method) ?? []), each]);
  }
  return paths;
}

function routeOf(path: string): string {
  return `/v3${path.replace(/\{(\w+)\}/g, ':$1')}`;
}

const inForce =
  (minor: number) =>
  ({ since = 0, until = Infinity }: { since?: number; until?: number }) =>
    since <= minor && minor <= until;

async function answer(parts: ApiParts, c: Here, find: (minor: number) => Call | undefined): Promise<Response> {
  const minor = versionOf(c);
  const found = find(minor);
  if (!found) throw noSuchResource();
  announce(c, minor);
  const body = found.body === undefined ? undefined : await jsonBody(c);
  return carryOut(parts, c, { minor, found, body, within: [] });
}

async function answerAction(parts: ApiParts, c: Here, here: readonly Action[]): Promise<Response> {
  const minor = versionOf(c);
  announce(c, minor);
  const whole = await jsonBody(c);
  const [name, ...others] =
    typeof whole === 'object' && whole !== null && !Array.isArray(whole) ? Object.keys(whole) : [];
  if (name === undefined || others.length > 0) throw malformedBody();
  const found = here.find((each) => each.action === name && inForce(minor)(each));
  if (!found) {
    throw badRequest(
      `There is no such action: ${name}. Verify the request body and Content-Type header and try again.`,
    );
  }
  return carryOut(parts, c, { minor, found, body: (whole as Record<string, unknown>)[name], within: [name] });
}

async function carryOut(
  parts: ApiParts,
  c: Here,
  { minor, found, body, within }: { minor: number; found: Call | Action; body: unknown; within: string[] },
): Promise<Response> {
  const caller = c.get('caller')!;
  try {
    const schema = typeof found.body === 'function' ? found.body(minor) : found.body;
    const parsed = schema?.safeParse(body, { reportInput: true });
    if (parsed && !parsed.success) throw inputFault(parsed.error, body, within);
    if (found.rule !== null && !parts.policy.mayDo(found.rule, caller)) throw policyForbids(found.rule);
    const asked = askedOf(parts, c, { minor, caller, body: parsed?.data });
    return respond(c, found.status, await found.handle(asked));
  } catch (error) {
    throw error instanceof Fault || found.refusals === undefined
      ? error
      : faultOf(error, found.refusals, { body, params: c.req.param() });
  }
}

function askedOf(
  parts: ApiParts,
  c: Here,
  { minor, caller, body }: { minor: number; caller: Caller; body: unknown },
): Asked {
  const identity: Identity = {
    name: caller.userId,
    tenant: caller.projectId,
    userId: caller.userId,
    roles: [parts.policy.isAdmin(caller) ? 'admin' : 'member'],
  };
  const { path, project } = splitPath(c.req.raw);
  return {
    params: c.req.param(),
    query: new URL(c.req.url).searchParams,
    body,
    caller,
    isAdmin: isFerryAdmin(identity),
    mayDo: (rule) => parts.policy.mayDo(rule, caller),
    ferry: parts.ferry.as(identity),
    get admin() {
      return parts.ferry.as({ ...identity, roles: ['admin'] });
    },
    minor,
    site: siteOf(c.req.raw, project),
    defaultVolumeType: parts.defaultVolumeType,
    path: path.slice('/v3/'.length),
  };
}

function versionOf(c: Here): number {
  const minor = microversionOf(c.req.header(versionHeader) ?? null);
  c.set('microversion', `3.${minor}`);
  return minor;
}

/** Also a refusal says by which version it was judged. */
function announce(c: Here, minor: number): void {
  c.header(versionHeader, `volume 3.${minor}`);
  c.header('Vary', versionHeader);
}

async function jsonBody(c: Here): Promise<unknown> {
  const text = await textOf(c.req.raw);
  if (text.trim() === '') throw malformedBody();
  const type = c.req.header('content-type')?.split(';')[0]?.trim() ?? 'application/json';
  if (type !== 'application/json') throw new Fault(415, 'Unsupported Content-Type');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw malformedBody();
  }
}

function respond(c: Here, usual: number, { status = usual, body }: Answer): Response {
  c.header('Content-Type', 'application/json');
  if (status === 204) return c.body(null, 204);
  return c.body(body === undefined ? '' : JSON.stringify(body), status as ContentfulStatusCode);
}

function faultAnswer(c: Here, fault: Fault): Response {
  for (const [name, value] of Object.entries(fault.headers)) c.header(name, value);
  c.header('Content-Type', 'application/json');
  return c.body(JSON.stringify(fault.body), fault.status as ContentfulStatusCode);
}
