// Adds one to the number in a file, so often, under the lock of a name: what is lost tells that two were inside at once.
import { readFile, writeFile } from 'node:fs/promises';
import { withNamedLock } from '../../../activities/storage/file-lock.ts';

const [folder, file, times] = process.argv.slice(2) as [string, string, string];
for (let i = 0; i < Number(times); i += 1) {
  await withNamedLock(folder, 'a volume', async () => {
    const number = Number(await readFile(file, 'utf8'));
    await writeFile(file, String(number + 1));
  });
}
