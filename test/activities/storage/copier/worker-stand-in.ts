import { createCopier } from '../../../../activities/storage/copier/create-copier.ts';
import type { Job } from '../../../../activities/storage/copy-job.ts';

// A worker that does nothing but run the job in its argument, and says how far it is: made to be killed.
const job = JSON.parse(process.argv[2]!) as Job;
const copier = createCopier();
await copier.run(job, {
  signal: new AbortController().signal,
  onProgress: (_checkpoint, position) => void process.stdout.write(`${position}\n`),
});
await copier.dispose();
