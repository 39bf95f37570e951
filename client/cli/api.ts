import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';

/** `ferry api`: the Block Storage API, for stock clients. */
export function addApi(program: Command): void {
  program
    .command('api')
    .description(
      "serve Cinder's Block Storage API v3 on top of Ferry; any number may run; stops cleanly on SIGTERM or Ctrl-C",
    )
    .option('--listen <host:port>', 'where to listen', address, { host: '127.0.0.1', port: 8776 })
    .action(async ({ listen }: { listen: Address }) => (await import('../api/run-api.ts')).runApi(listen));
}

interface Address {
  host: string;
  port: number;
}

function address(text: string): Address {
  const parts = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[3]);
  if (!parts || port > 65_535)
    throw new InvalidArgumentError('It is not an address (host:port, e.g. 127.0.0.1:8776 or [::1]:8776).');
  return { host: parts[1] ?? parts[2]!, port };
}
