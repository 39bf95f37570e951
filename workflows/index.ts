/** Everything a control worker can run: one workflow a file. */
export { cleanUp } from './clean-up.ts';
export { createVolume } from './create-volume.ts';
export { migrateVolume } from './migrate-volume.ts';
export { reconcile } from './reconcile.ts';
export { repairVolume } from './repair-volume.ts';
