// Takes the lock on a file and keeps it until it is killed.
import { withFileLock } from '../../../activities/storage/file-lock.ts';

await withFileLock(process.argv[2]!, async () => {
  process.send!('held');
  await new Promise(() => setInterval(() => {}, 1000));
});
