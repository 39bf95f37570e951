import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { execa } from 'execa';

const root = join(import.meta.dirname, '../..');
type Import = [room: string, statement: string];

const refused: Import[] = [
  ['model', `import { thing } from 'node:fs';`],
  ['model', `import { thing } from 'pg';`],
  ['model/deep', `import { thing } from '../../registry/b.ts';`],
  ['model', `import type { thing } from '../activities/b.ts';`],
  ['configuration', `import { thing } from '../registry/b.ts';`],
  ['registry/sql', `import { thing } from '../../workflows/b.ts';`],
  ['workflows', `import { thing } from '../activities/b.ts';`],
  ['workflows', `import { thing } from 'execa';`],
  ['workflows', `import { thing } from '@temporalio/client';`],
  ['workflows', `import { thing } from 'node:crypto';`],
  ['activities/storage', `import { thing } from '../../workers/b.ts';`],
  ['activities', `import { thing } from '../configuration/b.ts';`],
  ['workers', `import { thing } from '../client/b.ts';`],
  ['workers/embedded', `import { thing } from '../../testbed/b.ts';`],
  ['client/cli', `import { thing } from '../../activities/storage/b.ts';`],
  ['client', `import { thing } from '../workflows/b.ts';`],
  ['testbed', `import { thing } from '../test/b.ts';`],
];
const allowed: Import[] = [
  ['model', `import * as thing from 'zod';`],
  ['model/deep', `import { thing } from '../volume.ts';`],
  ['registry', `import { thing } from 'pg';`],
  ['workflows', `import type { thing } from '../activities/b.ts';`],
  ['workflows', `import { thing } from '@temporalio/workflow';`],
  ['activities/storage', `import { thing } from '../../registry/b.ts';`],
  ['activities', `import type { thing } from '../configuration/b.ts';`],
  ['workers', `import { thing } from '../activities/b.ts';`],
  ['client/cli', `import { thing } from '../../registry/b.ts';`],
  ['client', `import type { thing } from '../workflows/b.ts';`],
];

/** Where in an otherwise empty tree the file with that import is planted. */
const fileOf = ([room, statement]: Import) =>
  `${room}/file-${[...refused, ...allowed].findIndex((each) => each[0] === room && each[1] === statement)}.ts`;
let complaints: string;

before(async () => {
  const planted = await mkdtemp(join(tmpdir(), 'ferry-test-'));
  try {
    await cp(join(root, '.oxlintrc.json'), join(planted, '.oxlintrc.json'));
    await symlink(join(root, 'node_modules'), join(planted, 'node_modules'));
    for (const each of [...refused, ...allowed]) {
      const path = join(planted, fileOf(each));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, `${each[1]}\nexport const used = thing as unknown as Thing;\n`);
    }
    const { stdout } = await execa(join(root, 'node_modules/.bin/oxlint'), ['--format', 'unix'], {
      cwd: planted,
      reject: false,
    });
    complaints = stdout;
  } finally {
    await rm(planted, { recursive: true, force: true });
  }
});

const complains = (each: Import) =>
  complaints.split('\n').some((line) => line.startsWith(`${fileOf(each)}:`) && line.includes('no-restricted-imports'));

for (const each of refused) {
  test(`${each[0]} is refused: ${each[1]}`, () => assert.ok(complains(each), complaints));
}
for (const each of allowed) {
  test(`${each[0]} is allowed: ${each[1]}`, () => assert.ok(!complains(each), complaints));
}
