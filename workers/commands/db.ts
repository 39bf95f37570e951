import type { Command } from 'commander';
import { loadConfiguration, requireDatabaseUrl } from '../../configuration/load.ts';
import { provideRoles, roleStatements } from '../../registry/database-roles.ts';
import { openRegistry } from '../../registry/open-registry.ts';

/** `ferry db`: brings the registry's schema up to date, as workers do when they start, and makes the roles of its users. */
export function addDbCommand(program: Command): void {
  const db = program.command('db').description("the registry's database");
  db.command('migrate')
    .description('bring the schema up to date; may be repeated')
    .action(async () => {
      const registry = await openRegistry(requireDatabaseUrl(await loadConfiguration(process.env)));
      await registry.close();
      console.log("The registry's schema is up to date.");
    });
  db.command('roles')
    .description('make the roles ferry_control, _storage, _compute, _api and _reader, without a login; may be repeated')
    .option('--print', 'print the SQL instead, for who may make roles')
    .addHelpText(
      'after',
      '\nThe configured databaseUrl must be that of who owns the schema and may make roles. Then make a login for each part of Ferry:\n' +
        "  CREATE ROLE server1 LOGIN PASSWORD '…' IN ROLE ferry_storage;",
    )
    .action(async ({ print }: { print?: true }) => {
      if (print) {
        const { roles, grants } = await roleStatements();
        process.stdout.write(`${roles}\n${grants}`);
        return;
      }
      const databaseUrl = requireDatabaseUrl(await loadConfiguration(process.env));
      await (await openRegistry(databaseUrl)).close();
      await provideRoles(databaseUrl);
      console.log('The roles are there, each with its rights.');
    });
}
