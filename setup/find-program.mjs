import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A user's PATH often lacks the folders of administrators' programs; these need no administrator to run. */
export const systemPath = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin']
  .filter(Boolean)
  .join(delimiter);

/**
 * The path of a program, looked up in PATH and the folders of administrators' programs.
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  return systemPath
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** @param {string} file */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
