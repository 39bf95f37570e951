import { cleanUpOrHandOver } from '../clean-up-or-hand-over.ts';

/**
 * Gives the device of a volume that never came to be back to nobody, under `name`, or the name that it has: now, or by a clean-up when its
 * node is back. Only after the volume's row has gone: nothing can make a volume of it meanwhile.
 */
export async function disownVolume(of: { volumeId: string; backEnd: string; name: string | null }): Promise<void> {
  const { volumeId } = of;
  const after = `the attempt to manage a device as volume ${volumeId}`;
  await cleanUpOrHandOver({ id: volumeId, volumeId, after }, [{ kind: 'disownVolume', ...of }]);
}
