import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { execaSync } from 'execa';
import { cacheFolder } from '../../setup/cache-folder.mjs';

/** The versions by which ids.tsv was measured against a real Cinder 29. */
const packages = ['tempest==47.0.0', 'cinder-tempest-plugin==1.23.0'];

/**
 * Tempest's program, with a `python3` beside it that has its libraries: FERRY_TEMPEST if that is set, else one of our own from PyPI, which
 * is installed once (a minute).
 */
export function tempestProgram(): string {
  const given = process.env['FERRY_TEMPEST'];
  if (given) return given;
  const folder = join(cacheFolder(), packages.join('+').replaceAll('==', '-'));
  const program = join(folder, 'bin/tempest');
  if (existsSync(program)) return program;
  console.error(`installing ${packages.join(' and ')} from PyPI into ${folder}`);
  const options = { stdio: ['ignore', 'ignore', 'inherit'] } as const;
  execaSync('/usr/bin/python3', ['-m', 'venv', '--clear', folder], options);
  execaSync(join(folder, 'bin/pip'), ['install', '--quiet', ...packages], options);
  return program;
}
