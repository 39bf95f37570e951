import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { FerryError } from '../../../model/errors.ts';
import type { Caller } from './authentication.ts';
import { cinderRules, type PolicyClass } from './cinder-rules.ts';

/** What who may do. Rules have Cinder's names, e.g. `volume:create`. */
export interface Policy {
  mayDo(rule: string, caller: Caller): boolean;
  /** Sees what is an administrator's: all projects' objects, hosts, migrations. */
  isAdmin(caller: Caller): boolean;
}

/** The rule that says who is an administrator at all, as Cinder calls it. */
const adminRule = 'context_is_admin';

/** Rules of Ferry's own: for what Cinder does not have. */
const ferryRules = { [adminRule]: 'admin', 'ferry:migrations': 'admin' } as const;

const rules: Readonly<Record<string, PolicyClass>> = { ...cinderRules, ...ferryRules };

/**
 * The roles of a class, one of which is enough. Keystone adds what a role implies: an administrator's token says member and reader too.
 */
const rolesOf: Readonly<Record<PolicyClass, readonly string[]>> = {
  reader: ['reader', 'admin'],
  member: ['member', 'admin'],
  service: ['service', 'admin'],
  admin: ['admin'],
};

const role = z.string().regex(/^[\w.:-]{1,255}$/, 'is not the name of a role');
const allowed = z.union([z.enum(['reader', 'member', 'service', 'admin', 'nobody']), z.array(role).min(1)], {
  error: 'is neither reader, member, service, admin, nobody nor a list of roles, one of which is enough',
});
type Allowed = z.output<typeof allowed>;

/** What an operator wants otherwise: `{"volume:create": "admin", "volume_extension:hosts": ["admin", "auditor"]}`. */
export const policyFile = z.record(
  z.string().refine((rule) => Object.hasOwn(rules, rule), { error: 'is no rule of Ferry or Cinder 29' }),
  allowed,
);

/**
 * Cinder 29's policy, with an operator's wishes on top. Whoever asks with the token of a service beside the user's has the role `service`
 * too. That an object is the caller's own project's is not decided here: to others it is not there.
 */
export function policyOf(overrides: Readonly<Record<string, Allowed>> = {}): Policy {
  const roles = new Map(Object.entries({ ...rules, ...overrides }).map(([rule, who]) => [rule, asRoles(who)]));
  function mayDo(rule: string, caller: Caller): boolean {
    const enough = roles.get(rule);
    // A rule that is not in the table is a mistake in a call's description, not something to allow.
    if (!enough) throw new Error(`There is no policy rule ${rule}.`);
    return (
      caller.roles.some((each) => enough.has(each.toLowerCase())) ||
      (caller.isService === true && enough.has('service'))
    );
  }
  return { mayDo, isAdmin: (caller) => mayDo(adminRule, caller) };
}

function asRoles(who: Allowed): ReadonlySet<string> {
  if (who === 'nobody') return new Set();
  return new Set(typeof who === 'string' ? rolesOf[who] : who.map((each) => each.toLowerCase()));
}

/** Cinder's policy as it is. */
export const builtInPolicy: Policy = policyOf();

/** Cinder's policy with what the JSON file says on top. Anything wrong is `InvalidInput` and names the file and the rule. */
export async function loadPolicy(file: string): Promise<Policy> {
  const parsed = policyFile.safeParse(await readJson(file));
  if (parsed.success) return policyOf(parsed.data);
  throw new FerryError('InvalidInput', `The policy ${file} is not right:\n${z.prettifyError(parsed.error)}`);
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    throw new FerryError('InvalidInput', `The policy ${file} cannot be read as JSON: ${(error as Error).message}`);
  }
}
