/** Everything a control worker can run: one workflow a file. */
export { cleanUp } from './clean-up.ts';
export { createVolume } from './create-volume.ts';
export { migrateVolume } from './migrate-volume.ts';
export { attachVolume } from './operations/attach-volume.ts';
export { createSnapshot } from './operations/create-snapshot.ts';
export { deleteSnapshot } from './operations/delete-snapshot.ts';
export { deleteVolume } from './operations/delete-volume.ts';
export { detachVolume } from './operations/detach-volume.ts';
export { discoverDevices } from './operations/discover-devices.ts';
export { extendVolume } from './operations/extend-volume.ts';
export { manageVolume } from './operations/manage-volume.ts';
export { unmanageVolume } from './operations/unmanage-volume.ts';
export { reconcile } from './reconcile.ts';
export { repairVolume } from './repair-volume.ts';
