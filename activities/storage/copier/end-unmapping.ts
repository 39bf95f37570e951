import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { inspectDevice } from './block-device.ts';
import { lockDevice } from './device-lock.ts';

/**
 * When it resolves, no job that was given `mark` as its `unless` unmaps anything any more: one under way is ended, a later one finds the mark. May
 * be repeated. The mark outlives all who could come late: those of this boot of the machine.
 */
export async function endUnmapping(device: { path: string; sizeBytes: number }, mark: string): Promise<void> {
  const facts = await inspectDevice(device.path, device.sizeBytes);
  await mkdir(path.dirname(mark), { recursive: true });
  const lock = await lockDevice(facts.identity);
  try {
    await writeFile(mark, '');
  } finally {
    lock.release();
  }
}
