import { connect } from 'node:net';
import { formatSeconds } from '../../model/sizes.ts';
import type { CutConnection } from './cut-connection.ts';
import type { DiskSource } from './disk-source.ts';

/** What every NBD server says first, before TLS too. */
const greeting = 'NBDMAGIC';

/** A server that answers does so in milliseconds. */
const answersWithinMs = 3_000;

/** How long QEMU may take to open a disk that has just been found reachable: for so long all of the guest may stand still. Milliseconds. */
const openedWithinMs = 2_000;

/**
 * Why the source cannot be opened from here, in words; null: it can. QEMU is not to find out: it opens a disk in its main loop, and all of
 * the guest would wait with it. A server that greets has accepted, so it runs, and its one place is free; a frozen one, or one that is
 * taken, accepts nobody.
 */
export async function whyUnreachable(source: DiskSource, withinMs = answersWithinMs): Promise<string | null> {
  if (source.kind !== 'nbd') return null;
  const { host, port, exportName } = source.address;
  const at = `the export ${exportName} at ${host}:${port}`;
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let heard = '';
    const end = (why: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(why);
    };
    const timer = setTimeout(
      () =>
        end(
          `${at} does not answer within ${formatSeconds(withinMs / 1000)}: its node hangs or cannot be reached, or somebody else is connected`,
        ),
      withinMs,
    );
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      if (heard.length < greeting.length) return;
      end(heard.startsWith(greeting) ? null : `${at} is no NBD server`);
    });
    socket.on('error', (error) => end(`${at} cannot be reached: ${error.message}`));
    socket.on('close', () => end(`${at} hangs up`));
  });
}

/**
 * Lets QEMU open the source. What was reachable a moment ago may hang now: then the connection is cut, `open` fails, and the guest goes on.
 */
export async function whileOpening<T>(
  { cut }: { cut: CutConnection },
  source: DiskSource,
  open: () => Promise<T>,
): Promise<T> {
  // What a cut brings about, or why it failed, is in what `open` says.
  const timer = setInterval(() => void cut(source).catch(() => {}), openedWithinMs);
  try {
    return await open();
  } finally {
    clearInterval(timer);
  }
}
