import { join } from 'node:path';
import { execa } from 'execa';

/** Runs a command as root in a Debian in a folder, with this machine's network: packages come through it. Throws when it fails. */
export async function inRoot(root: string, argv: readonly string[]): Promise<void> {
  await execa('bash', [join(import.meta.dirname, 'enter-root.sh'), root, 'root', ...argv], { stdin: 'ignore' });
}

/** `apt-get install` there, of these and what they cannot do without. */
export async function installPackages(
  root: string,
  packages: readonly string[],
  options: readonly string[] = [],
): Promise<void> {
  const apt = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...options, ...packages];
  await inRoot(root, ['env', 'DEBIAN_FRONTEND=noninteractive', ...apt]);
}
