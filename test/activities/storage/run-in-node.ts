import { type RunCommand, toolFailed } from '../../../activities/storage/run-command.ts';
import type { StorageNodes } from '../../../testbed/nodes.ts';

/** Runs a driver's programs in a storage node of the testbed, through its agent, with the same errors as at home. */
export function runInNode(nodes: StorageNodes, node: string): RunCommand {
  return async (argv, { timeoutMs = 0 } = {}) => {
    const { code, signal, stdout, stderr } = await nodes.exec(node, argv, {
      env: { LC_ALL: 'C' },
      reject: false,
      timeout: timeoutMs || 300_000,
    });
    if (code !== 0) throw toolFailed(argv, { exitCode: code, signal, stderr });
    return { stdout: stdout.trimEnd() };
  };
}
