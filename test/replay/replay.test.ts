import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { workflowBundle } from '../../workers/bundle.ts';
import { readHistories, type RecordedHistory } from './histories.ts';

Runtime.install({ logger: new DefaultLogger('ERROR') });

const histories = await readHistories();

/** Every path that a workflow can take has a history: a type that has none is not kept from breaking. */
const index = await readFile(join(import.meta.dirname, '../../workflows/index.ts'), 'utf8');
const types = [...index.matchAll(/^export \{ (\w+) \}/gm)].map(([, type]) => type!).toSorted();

async function replay({ workflowId, history }: RecordedHistory, codePath: string): Promise<void> {
  await Worker.runReplayHistory({ workflowBundle: { codePath } }, history, workflowId);
}

describe('a workflow that began before goes on with the workflows of today', () => {
  test('every type of workflow has a recorded history', () => {
    assert.deepEqual([...new Set(histories.map(({ type }) => type))].toSorted(), types);
  });

  for (const [index, recorded] of histories.entries()) {
    test(`${recorded.type}, ${index + 1}`, async () => {
      const { codePath } = await workflowBundle();
      await replay(recorded, codePath);
    });
  }

  test('a change that running workflows could not follow is found', async () => {
    const { codePath } = await workflowBundle();
    const folder = await mkdtemp(join(tmpdir(), 'ferry-replay-'));
    try {
      const code = await readFile(codePath, 'utf8');
      const planted = code.replaceAll('.switchVolume.executeWithOptions', '.releaseVolume.executeWithOptions');
      assert.notEqual(planted, code);
      const changed = join(folder, 'workflows.js');
      await writeFile(changed, planted);
      const success = histories.find(
        ({ type, history }) => type === 'migrateVolume' && JSON.stringify(history).includes('"switchVolume"'),
      );
      await assert.rejects(replay(success!, changed), { name: 'DeterminismViolationError' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
