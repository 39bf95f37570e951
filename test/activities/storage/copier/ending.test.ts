import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { createCopier } from '../../../../activities/storage/copier/create-copier.ts';
import { copyStart } from '../../../../model/migration.ts';
import { cleanUp } from './cleanup.ts';
import { digestJob, undisturbed } from './jobs.ts';

test('a job is over when its process has told so and only does not end', { timeout: 20_000 }, async (t) => {
  const copier = createCopier({ program: path.join(import.meta.dirname, 'endless-copier.ts') });
  cleanUp(t, () => copier.dispose());
  assert.deepEqual(await copier.run(digestJob('/dev/null', 0), undisturbed), { checkpoint: copyStart, finished: true });
});
