import { FerryError } from '../model/errors.ts';

/** On whose behalf Ferry is asked. */
export interface Identity {
  /** For the audit record. */
  name: string;
  /** The tenant that the caller acts for; the owner of what is created. */
  tenant: string;
  /** By whom what is made was made; not given where nobody knows. */
  userId?: string;
  roles: readonly ('admin' | 'member')[];
}

export const administrator: Identity = { name: 'admin', tenant: 'admin', roles: ['admin'] };

export function isAdmin(identity: Identity): boolean {
  return identity.roles.includes('admin');
}

/** Whose volumes the caller sees: an administrator's view is not narrowed. */
export function visibleTo(identity: Identity): { tenantId?: string } {
  return isAdmin(identity) ? {} : { tenantId: identity.tenant };
}

/** Migrations and back ends are the administrator's. Throws `Forbidden` for everybody else. */
export function requireAdmin(identity: Identity, what: string): void {
  if (isAdmin(identity)) return;
  throw new FerryError('Forbidden', `Only an administrator may ${what}.`);
}
