import { Argument, type Command } from 'commander';
import { backEndName } from '../../model/ids.ts';
import type { StrangeStorage } from '../storages.ts';
import { checked } from './arguments.ts';
import { withFerry } from './session.ts';

/** `ferry back-end adopt`: this storage is that back end now. */
export function addBackEndAdopt(backEnd: Command): void {
  backEnd
    .command('adopt')
    .description(
      'say that the volume group, pool or directory in the place of a back end is its storage now: it gets a new mark',
    )
    .addArgument(new Argument('<host>', 'the back end, node@name').argParser(checked('host', backEndName)))
    .option('--dry-run', 'only show what is there, and what could be lost')
    .option('--yes', 'also when something could be lost by it')
    .action((name: string, options: { dryRun?: true; yes?: true }, command: Command) =>
      withFerry(command, async ({ ferry, answer, json }) => {
        const shown = await ferry.inspectStorage(name);
        if (options.dryRun || !shown.found) return answer(shown, strangeStorageText(shown));
        if (!json) process.stderr.write(`${strangeStorageText(shown)}\n`);
        const adopted = await ferry.adoptStorage({ backEnd: name, yes: options.yes ?? false });
        answer(adopted, `${name} has it as its storage now.`);
      }),
    );
}

export function strangeStorageText({ backEnd, found, risks }: StrangeStorage): string {
  if (!found) return `${backEnd} has its own storage; nothing is to be adopted.`;
  const { seen, contents } = found;
  return [
    `In the place of ${backEnd}: ${found.why}.`,
    `  mark: ${seen.mark ? `${seen.mark.id}, of back end ${seen.mark.backEnd}, registry ${seen.mark.registry}` : 'none'}`,
    ...(seen.uuid === null ? [] : [`  UUID: ${seen.uuid}`]),
    ...(seen.mountPoint === null ? [] : [`  mounted at: ${seen.mountPoint}`]),
    `  devices of the registry's that are there: ${contents.matched}, that are not: ${contents.missing.length}; unknown ones: ${contents.unknown.length}`,
    ...(risks.length === 0 ? [] : ['  could be lost:', ...risks.map((risk) => `  - ${risk}`)]),
  ].join('\n');
}
