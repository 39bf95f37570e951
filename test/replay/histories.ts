import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A workflow's history, as `record.ts` wrote it. */
export interface RecordedHistory {
  readonly workflowId: string;
  readonly type: string;
  /** As Temporal's own JSON has it. */
  readonly history: unknown;
}

/** One a line. */
const file = join(import.meta.dirname, 'histories.ndjson');

export async function readHistories(): Promise<RecordedHistory[]> {
  const text = await readFile(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedHistory);
}

export async function writeHistories(histories: readonly RecordedHistory[]): Promise<void> {
  await writeFile(file, histories.map((each) => `${JSON.stringify(each, withoutMachine)}\n`).join(''));
}

/** What tells of the machine on which it was recorded is nobody's business, and not replayed. */
function withoutMachine(key: string, value: unknown): unknown {
  if (key === 'identity' || (typeof value === 'string' && /^\d+@/.test(value))) return 'worker';
  return key === 'stackTrace' ? '' : value;
}
