/** What `ferry doctor` found out about one precondition. */
export interface Finding {
  /** What was looked at, e.g. `qemu-nbd`, `node.tls`, `Postgres`. */
  readonly check: string;
  /** `fault`: a worker cannot do its work like this. `warning`: it can, and somebody should look. */
  readonly state: 'ok' | 'warning' | 'fault';
  /** What was found, in one line. */
  readonly found: string;
  /** What to do; null when all is well. */
  readonly remedy: string | null;
}

export const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found, remedy: null });
export const warning = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: 'warning',
  found,
  remedy,
});
export const fault = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: 'fault',
  found,
  remedy,
});
