import assert from 'node:assert/strict';
import { server1, type Stage } from './stage.ts';

/** What a refused command says with `--json`. */
export interface Refusal {
  type: string;
  message: string;
  details: Record<string, unknown>;
}

/** The `ferry` command against a stage; which one is asked for at each call. */
export function stageCli(stage: () => Stage) {
  /** Runs `ferry ... --json`; its answer. */
  async function ferry<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { exitCode, stdout, stderr } = await stage().ferry(...args, '--json');
    assert.equal(exitCode, 0, `ferry ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }
  return {
    ferry,
    /** Runs `ferry ... --json`, which must be refused; the error. */
    refused: async (...args: string[]): Promise<Refusal> => {
      const { exitCode, stdout, stderr } = await stage().ferry(...args, '--json');
      assert.notEqual(exitCode, 0, `ferry ${args.join(' ')} was not refused: ${stdout}`);
      return (JSON.parse(stderr) as { error: Refusal }).error;
    },
    /** Makes a volume of 64 MiB on server1; its id. */
    create: async (...options: string[]): Promise<string> =>
      (await ferry<{ id: string }>('create', '--size', '64MiB', '--host', server1, ...options)).id,
    status: async (id: string): Promise<string> => (await ferry<{ status: string }>('show', id)).status,
  };
}
