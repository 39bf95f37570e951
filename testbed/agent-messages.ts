/** What the agent in a storage node is asked and answers; JSON over HTTP. */

export const agentPort = 7000;

export interface ExecRequest {
  argv: readonly string[];
  /** Base64. */
  stdin?: string;
  env?: Readonly<Record<string, string>>;
  /** Milliseconds after which the command and its children are killed. */
  timeout: number;
}

export interface ExecAnswer {
  /** Exit code; null when a signal ended it, 127 when it could not be started. */
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface SpawnRequest {
  argv: readonly string[];
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** File in the node that gets stdout and stderr, appended. */
  log?: string;
}

export interface SpawnAnswer {
  pid: number | null;
  error: string | null;
}

export interface KillRequest {
  pid: number;
  signal: NodeJS.Signals;
  /** Milliseconds to wait for the process to end. */
  wait: number;
}

export interface KillAnswer {
  /** Whether the process has ended (or was gone already). */
  ended: boolean;
}
