import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { WorkflowHandle } from '@temporalio/client';
import { findTemporal } from '../../setup/find-temporal.mjs';
import { setLightStage, type LightStage } from './moving-volume.ts';

const root = join(import.meta.dirname, '../..');
const text = await readFile(join(root, 'docs/signalling.md'), 'utf8');
const examples = [...text.matchAll(/^```(sh|ts) example\n(.*?)^```\n+```text\n(.*?)^```/gms)].map(
  ([, language, code, output]) => ({
    language: language!,
    code: code!,
    output: output!,
  }),
);

let stage: LightStage;
let volumeId: string;
let handle: WorkflowHandle;
/** Has the CLI under the name that people know: the one that was fetched has its version in its own. */
let programs: string;
before(async () => {
  programs = await mkdtemp(join(tmpdir(), 'ferry-programs-'));
  await symlink(findTemporal()!, join(programs, 'temporal'));
  stage = await setLightStage();
  volumeId = await stage.volume();
  handle = await stage.moving(volumeId);
});
after(async () => {
  await stage?.strike();
  await rm(programs, { recursive: true, force: true });
});

/** Runs a program in the project's folder, as somebody who follows the documentation would. */
async function run(command: string, args: readonly string[]): Promise<{ code: unknown; output: string }> {
  const env = {
    ...process.env,
    PATH: `${programs}:${process.env['PATH']}`,
    VOLUME: volumeId,
    TEMPORAL_HTTP: stage.temporal.httpUrl,
    TEMPORAL_ADDRESS: stage.temporal.address,
  };
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** The output as the documentation has it: `…` is anything, and the ends of lines are no matter. */
function pattern(expected: string): RegExp {
  const parts = expected
    .trim()
    .split('…')
    .map((part) => RegExp.escape(part.trim()));
  return new RegExp(`^\\s*${parts.join('.*')}\\s*$`, 's');
}

test('the documentation has its examples', () => {
  assert.deepEqual(
    examples.map(({ language }) => language),
    ['sh', 'sh', 'sh', 'ts'],
  );
});

for (const [i, { language, code, output }] of examples.entries()) {
  test(`example ${i + 1} of docs/signalling.md does what it says`, async () => {
    const args =
      language === 'sh' ? ['-euo', 'pipefail', '-c', code] : ['--input-type=module-typescript', '--eval', code];
    const ran = await run(language === 'sh' ? 'bash' : process.execPath, args);
    assert.equal(ran.code, 0, ran.output);
    assert.match(ran.output, pattern(output));
  });
}

test('the example service is refused, waits, and attaches the volume on its new host', async () => {
  const service = run(process.execPath, [
    'docs/examples/attach-service/attach-service.ts',
    volumeId,
    'instance-1',
    'hv1',
  ]);
  // It waits: only then the migration may end.
  while (!(await waiting(handle))) await new Promise((resolve) => setTimeout(resolve, 100));
  await stage.finish(handle);
  const { code, output } = await service;
  assert.equal(code, 0, output);
  assert.match(
    output,
    /^refused: Volume .* is migrating .*\nreleased: the volume is on server2@lvmstorage-2\nattached: .*"backEnd":"server2@lvmstorage-2"/s,
  );
});

/** Whether an update of the migration is accepted and not answered yet. */
async function waiting(of: WorkflowHandle): Promise<boolean> {
  const { events } = await of.fetchHistory();
  const accepted =
    events?.filter(
      (e) => e.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.name === 'whenReleased',
    ).length ?? 0;
  const answered = events?.filter((e) => e.workflowExecutionUpdateCompletedEventAttributes).length ?? 0;
  const others =
    events?.filter(
      (e) =>
        e.workflowExecutionUpdateAcceptedEventAttributes &&
        e.workflowExecutionUpdateAcceptedEventAttributes.acceptedRequest?.input?.name !== 'whenReleased',
    ).length ?? 0;
  return accepted > answered - others;
}
