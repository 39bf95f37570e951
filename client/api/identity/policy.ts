import type { Caller } from './authentication.ts';

/** What who may do. Rules have Cinder's names, e.g. `volume:create`. */
export interface Policy {
  mayDo(rule: string, caller: Caller): boolean;
  /** Sees what is an administrator's: all projects' objects, hosts, migrations. */
  isAdmin(caller: Caller): boolean;
}

/** Rules of Cinder 29 that are open to whoever is no administrator. */
const open: ReadonlySet<string> = new Set([
  'volume:create',
  'volume:get',
  'volume:get_all',
  'volume:update',
  'volume:delete',
]);

/** Cinder's classes as they are, with no operator's file on top. */
export const builtInPolicy: Policy = {
  mayDo: (rule, caller) => builtInPolicy.isAdmin(caller) || open.has(rule),
  isAdmin: ({ roles }) => roles.includes('admin'),
};
