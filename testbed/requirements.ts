import { accessSync, constants } from 'node:fs';
import { findNodeKernel, type NodeKernel } from '../setup/node-kernel.mjs';
import { findProgram, systemPath } from '../setup/find-program.mjs';

export { systemPath };

/** Thrown when storage nodes cannot run on this machine; the message says why and what to do. */
export class NodesUnavailable extends Error {
  override readonly name = 'NodesUnavailable';
  constructor(reason: string, cause?: unknown) {
    super(`Storage nodes (user-mode Linux with LVM) cannot run here: ${reason}`, { cause });
  }
}

/** Those of guest-init.sh too: a node has the programs of this machine, and dies at its first command when that is not there. */
const programs = ['lvm', 'gcc', 'busybox', 'ip', 'insmod', 'unshare', 'setpriv', 'taskset', 'mount'];

/**
 * The kernel of storage nodes, where they can run.
 * @throws {NodesUnavailable}
 */
export function checkRequirements(): NodeKernel {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NodesUnavailable(`they need Linux on x86-64, this is ${process.platform} on ${process.arch}.`);
  }
  const kernel = findNodeKernel();
  const missing = [...(kernel ? [] : ['linux.uml']), ...programs.filter((program) => !findProgram(program))];
  if (!kernel || missing.length)
    throw new NodesUnavailable(`missing ${missing.join(', ')}; \`npm test\` or \`npm run demo\` install them.`);
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new NodesUnavailable('/dev/net/tun is not there or not open to this user.', error);
  }
  return kernel;
}
