import type { Command } from 'commander';
import { loadConfiguration, requireDatabaseUrl } from '../../configuration/load.ts';
import { openRegistry } from '../../registry/open-registry.ts';

/** `ferry db migrate`: brings the registry's schema up to date; workers do the same when they start. */
export function addDbCommand(program: Command): void {
  program
    .command('db')
    .description("the registry's database")
    .command('migrate')
    .description('bring the schema up to date; may be repeated')
    .action(async () => {
      const registry = await openRegistry(requireDatabaseUrl(await loadConfiguration(process.env)));
      await registry.close();
      console.log("The registry's schema is up to date.");
    });
}
