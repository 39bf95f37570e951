import type { TestContext } from 'node:test';
import type { CopyJob, DigestJob, SourceExport } from '../../../../activities/storage/copy-job.ts';
import { createCopier, type DisposableCopier } from '../../../../activities/storage/copier/create-copier.ts';
import { copyStart } from '../../../../model/migration.ts';
import { cleanUp } from './cleanup.ts';

export function copier(t: TestContext): DisposableCopier {
  const made = createCopier();
  cleanUp(t, () => made.dispose());
  return made;
}

export function copyJob(
  source: SourceExport,
  destination: string,
  sizeBytes: number,
  change: Partial<CopyJob> = {},
): CopyJob {
  return {
    kind: 'copy',
    source,
    tls: null,
    destination: { path: destination, sizeBytes, readsZero: true },
    from: copyStart,
    bandwidth: null,
    digest: true,
    ...change,
  };
}

export function digestJob(path: string, sizeBytes: number, change: Partial<DigestJob> = {}): DigestJob {
  return { kind: 'digest', device: { path, sizeBytes }, from: copyStart, bandwidth: null, ...change };
}

/** For a run that is left alone. */
export const undisturbed = { signal: new AbortController().signal, onProgress: () => undefined };
