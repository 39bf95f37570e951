// Makes and deletes devices in a directory until it is killed.
import { createDirectoryDriver } from '../../../../activities/storage/directory/directory-driver.ts';

const driver = createDirectoryDriver({ path: process.argv[2]! });
const tag = 'ferry.volume=v1';
await driver.list();
process.send!('ready');
for (let i = 0; ; i += 1) {
  const name = `volume-${i % 3}`;
  await driver.create({ name, sizeBytes: 4 * 1024 ** 2, tags: [tag], zero: true });
  await driver.delete(name, { tags: [tag] });
}
