import { openersOf, type OpenedFile } from '../open-descriptors.ts';

/**
 * Whether anybody has the file open: a process that this user may look into, or one that the kernel knows. It is a look, not a lock: the
 * caller keeps others from opening it.
 */
export async function isOpen(file: OpenedFile): Promise<boolean> {
  const { descriptors, unseen } = await openersOf(file);
  return unseen || descriptors.length > 0;
}
