import { FerryError } from '../../../model/errors.ts';
import { tellsHoles } from '../file-system.ts';
import { inspectDevice } from './block-device.ts';
import { fileHoles } from './file-holes.ts';
import type { NbdSource } from './nbd/connection.ts';
import { openDevice } from './open-device.ts';

/** A device of this node, open for reading as an export is: for copies that need no network. `SourceReadFailed` when it cannot be read. */
export async function openLocalSource(path: string, sizeBytes: number): Promise<NbdSource> {
  const failed = (why: string, details: Record<string, unknown>, cause?: unknown) =>
    new FerryError('SourceReadFailed', `The source ${path} cannot be read${why}`, { path, ...details }, { cause });
  const facts = await inspectDevice(path, sizeBytes);
  const { file } = await openDevice(facts, 'read').catch((error: Error) => {
    throw failed(`: ${error.message}`, {}, error);
  });
  const holes = (await tellsHoles(path)) ? fileHoles(path) : null;
  return {
    sizeBytes: facts.sizeBytes,
    tellsHoles: holes !== null,
    async read(offset, target) {
      for (let done = 0; done < target.length;) {
        const at = offset + done;
        const { bytesRead } = await file.read(target, done, target.length - done, at).catch((error: Error) => {
          throw failed(` at byte ${at}: ${error.message}`, { offset: at }, error);
        });
        if (bytesRead === 0) throw failed(` at byte ${at}: it ends there`, { offset: at });
        done += bytesRead;
      }
      return target.length;
    },
    extents: async (...question) => holes?.(...question),
    // Nothing is in flight when it is closed in good order; else the process ends with it.
    close: () => void file.close().catch(() => undefined),
  };
}
