import type { Command } from 'commander';
import { listenAddress, type ListenAddress } from '../../configuration/listen-address.ts';
import { checked } from './arguments.ts';

/** `ferry api`: the Block Storage API, for stock clients. */
export function addApi(program: Command): void {
  program
    .command('api')
    .description(
      "serve Cinder's Block Storage API v3 on top of Ferry; any number may run; stops cleanly on SIGTERM or Ctrl-C",
    )
    .option(
      '--listen <host:port>',
      'where to listen, if not where "api": {"listen": ...} of the configuration says (else 127.0.0.1:8776)',
      checked('listen', listenAddress),
    )
    .action(async ({ listen }: { listen?: ListenAddress }) => (await import('../api/run-api.ts')).runApi(listen));
}
