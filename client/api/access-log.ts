import type { Logger } from 'pino';

/** One line for each request: who asked for what, and what came of it. No bodies, no tokens. */
export function logAccess(
  log: Logger,
  line: {
    requestId: string;
    method: string;
    path: string;
    status: number;
    milliseconds: number;
    projectId?: string | undefined;
    userId?: string | undefined;
    microversion?: string | undefined;
  },
): void {
  log.info(line, 'request');
}
