import { execa } from 'execa';
import type { Logger } from 'pino';

/** Three times before the watchdog's patience ends, as its manual advises at least twice. */
const beatsPerPatience = 3;

/** A worker or the API, as systemd sees it. Without systemd (no NOTIFY_SOCKET) nothing is told to anybody. */
export interface ServiceManager {
  /** It can do its work now. From then on the watchdog hears that this process still answers. */
  ready(): Promise<void>;
  stop(): void;
}

/**
 * Speaks through `systemd-notify`: Node has no datagrams of Unix sockets. The unit needs `NotifyAccess=all`. What systemd does not hear
 * is said in the log; then it ends the process in its time, and starts it again.
 */
export function serviceManager(env: NodeJS.ProcessEnv, log: Logger): ServiceManager {
  let watchdog: NodeJS.Timeout | undefined;
  const tell = async (...words: string[]) => {
    try {
      await execa('systemd-notify', words);
    } catch (error) {
      log.warn({ error }, 'systemd could not be told');
    }
  };
  return {
    async ready() {
      if (!env['NOTIFY_SOCKET']) return;
      await tell('--ready', '--status=ready');
      const patienceMs = Number(env['WATCHDOG_USEC'] ?? 0) / 1000;
      if (!(patienceMs > 0)) return;
      watchdog = setInterval(() => void tell('WATCHDOG=1'), patienceMs / beatsPerPatience);
      watchdog.unref();
    },
    stop: () => clearInterval(watchdog),
  };
}
