import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A real Keystone on loopback, of Debian's package, with users and projects of the domain `Default`. */
export interface Keystone {
  /** `http://127.0.0.1:…/v3` */
  url: string;
  /** The same, whose tokens are good for one second. */
  brieflyUrl: string;
  /** Makes a user with roles in projects; makes those that are not there. Its password is `password-<name>`. */
  user(name: string, roles: Readonly<Record<string, readonly string[]>>): Promise<{ id: string }>;
  /** Adds a service to the catalogue. `%(project_id)s` in its address is the project's. */
  service(name: string, type: string, url: string): Promise<void>;
  /** A token of a user for a project; null: for none. */
  logIn(user: string, project: string | null, at?: string): Promise<string>;
  /** Asks as an administrator; answers the body. Throws when it is refused. */
  ask<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
  idOfProject(name: string): Promise<string>;
  /** Ends a token before its time. */
  revoke(token: string): Promise<void>;
  stop(): Promise<void>;
}

const adminPassword = 'password-admin';

/** Debian's own Python: it has Debian's Keystone. */
const python = '/usr/bin/python3';

/** Starts one in about 3 s; it has nothing but `admin` and ends with this process. */
export async function startKeystone(): Promise<Keystone> {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-keystone-'));
  const errors = join(folder, 'errors');
  await using said = await open(errors, 'a');
  const program = join(import.meta.dirname, 'serve-keystone.py');
  const child = spawn(python, [program, folder, adminPassword], { stdio: ['ignore', 'pipe', said.fd] });
  const ended = once(child, 'exit');
  async function stop(): Promise<void> {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
  const line = await Promise.race([once(createInterface(child.stdout!), 'line'), ended]);
  if (typeof line[0] !== 'string' || !line[0].startsWith('{')) {
    const why = (await readFile(errors, 'utf8')).trim().split('\n').at(-1);
    await stop();
    throw new Error(`Keystone did not start: ${why}. Is python3-keystone installed? \`npm test\` does it.`);
  }
  const { url, brieflyUrl } = JSON.parse(line[0]) as { url: string; brieflyUrl: string };
  return { url, brieflyUrl, stop, ...commandsFor(url) };
}

function commandsFor(url: string): Omit<Keystone, 'url' | 'brieflyUrl' | 'stop'> {
  let adminToken: Promise<string> | undefined;
  const ids = new Map<string, string>();

  async function call(method: string, path: string, headers: Record<string, string>, body?: unknown) {
    const response = await fetch(path, {
      method,
      headers: { 'Content-Type': 'application/json', ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`Keystone: ${method} ${path}: ${response.status} ${text}`);
    return { headers: response.headers, body: text === '' ? null : (JSON.parse(text) as unknown) };
  }

  async function logIn(name: string, project: string | null, at = url): Promise<string> {
    const user = { name, domain: { id: 'default' }, password: `password-${name}` };
    const auth = {
      identity: { methods: ['password'], password: { user } },
      ...(project !== null && { scope: { project: { name: project, domain: { id: 'default' } } } }),
    };
    const { headers } = await call('POST', `${at}/auth/tokens`, {}, { auth });
    return headers.get('x-subject-token')!;
  }

  async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    adminToken ??= logIn('admin', 'admin');
    return (await call(method, url + path, { 'X-Auth-Token': await adminToken }, body)).body as T;
  }

  /** The id of what has that name; makes it when there is none. */
  async function idOf(kind: 'project' | 'role', name: string): Promise<string> {
    const known = ids.get(`${kind} ${name}`);
    if (known !== undefined) return known;
    const found = await ask<Record<string, { id: string }[]>>('GET', `/${kind}s?name=${encodeURIComponent(name)}`);
    const { id } =
      found[`${kind}s`]?.[0] ??
      (await ask<Record<typeof kind, { id: string }>>('POST', `/${kind}s`, { [kind]: { name } }))[kind];
    ids.set(`${kind} ${name}`, id);
    return id;
  }

  return {
    logIn,
    ask,
    idOfProject: (name) => idOf('project', name),
    async user(name, roles) {
      const { user } = await ask<{ user: { id: string } }>('POST', '/users', {
        user: { name, password: `password-${name}` },
      });
      for (const [project, given] of Object.entries(roles)) {
        for (const role of given) {
          const path = `/projects/${await idOf('project', project)}/users/${user.id}/roles/${await idOf('role', role)}`;
          await ask('PUT', path);
        }
      }
      return { id: user.id };
    },
    async service(name, type, address) {
      const { service } = await ask<{ service: { id: string } }>('POST', '/services', { service: { name, type } });
      const endpoint = { service_id: service.id, interface: 'public', region_id: 'RegionOne', url: address };
      await ask('POST', '/endpoints', { endpoint });
    },
    async revoke(token) {
      adminToken ??= logIn('admin', 'admin');
      const headers = { 'X-Auth-Token': await adminToken, 'X-Subject-Token': token };
      await call('DELETE', `${url}/auth/tokens`, headers);
    },
  };
}
