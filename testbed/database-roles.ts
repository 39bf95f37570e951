import { type DatabaseRole, provideRoles } from '../registry/database-roles.ts';
import { openRegistry } from '../registry/open-registry.ts';

/** Makes the registry in a database, and the roles of its users: `ferry db migrate` and `ferry db roles`. */
export async function provideDatabase(databaseUrl: string): Promise<void> {
  await (await openRegistry(databaseUrl)).close();
  await provideRoles(databaseUrl);
}

/** The URL with which a part of Ferry has the rights of that role, for somebody who may take it on. */
export function asRole(databaseUrl: string, role: DatabaseRole): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('options', `-c role=${role}`);
  return url.href;
}
