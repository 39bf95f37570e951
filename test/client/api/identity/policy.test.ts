import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { actions, calls } from '../../../../client/api/calls.ts';
import type { Caller } from '../../../../client/api/identity/authentication.ts';
import { builtInPolicy, loadPolicy, policyFile, policyOf } from '../../../../client/api/identity/policy.ts';

const who = (...roles: string[]): Caller => ({ userId: 'u', projectId: 'p', roles });
const member = who('member', 'reader');
const nova: Caller = { ...member, isService: true };

test('readers read, members write, administrators do all of it, and whoever has no such role nothing', () => {
  const expected: readonly (readonly [string, boolean, boolean, boolean])[] = [
    ['volume:get', true, true, true],
    ['volume:create', false, true, true],
    ['volume_extension:volume_admin_actions:migrate_volume', false, false, true],
    ['volume_extension:volume_host_attribute', false, false, true],
    ['volume_extension:volume_mig_status_attribute', false, false, true],
    ['volume_extension:volume_tenant_attribute', true, true, true],
    ['ferry:migrations', false, false, true],
  ];
  for (const [rule, reader, writer, admin] of expected) {
    const given = [who('reader'), member, who('admin')].map((each) => builtInPolicy.mayDo(rule, each));
    assert.deepEqual(given, [reader, writer, admin], rule);
    assert.equal(builtInPolicy.mayDo(rule, who('heat_stack_owner')), false, rule);
  }
  assert.deepEqual(
    [who('reader'), member, nova, who('service'), who('Admin')].map((each) => builtInPolicy.isAdmin(each)),
    [false, false, false, false, true],
  );
});

test('an operator gives a rule to another class, to roles of his own, to services or to nobody', () => {
  const policy = policyOf({
    'volume:create': 'admin',
    'volume_extension:hosts': ['auditor', 'admin'],
    'volume:attachment_delete': 'service',
    'volume:update': 'nobody',
  });
  const may = (rule: string, caller: Caller) => policy.mayDo(rule, caller);
  assert.deepEqual([may('volume:create', member), may('volume:create', who('admin'))], [false, true]);
  assert.deepEqual(
    [may('volume_extension:hosts', who('Auditor')), may('volume_extension:hosts', member)],
    [true, false],
  );
  assert.deepEqual([may('volume:attachment_delete', member), may('volume:attachment_delete', nova)], [false, true]);
  assert.equal(may('volume:update', who('admin', 'member')), false);
  assert.equal(may('volume:get', member), true, 'what is not in the file is as in Cinder');
});

test('a policy file that is not right is refused as a whole, with its name and the rule', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-policy-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'policy.json');
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{"volume:fly": "admin"}', /volume:fly/],
    ['{"volume:create": "admin", "volume:creat": "admin"}', /volume:creat/],
    ['{"volume:create": "adm"}', /volume:create/],
    ['{"volume:create": "role:admin or role:member"}', /volume:create/],
    ['{"volume:create": []}', /volume:create/],
    ['{"volume:create": [""]}', /volume:create/],
    ['{"toString": "admin"}', /toString/],
    ['["volume:create"]', /is not right/],
    ['volume:create: admin', /JSON/],
  ];
  for (const [text, says] of wrong) {
    await writeFile(file, text);
    await assert.rejects(loadPolicy(file), (error: Error & { type?: string }) => {
      assert.equal(error.type, 'InvalidInput', text);
      assert.match(error.message, says, text);
      assert.ok(error.message.includes(file), text);
      return true;
    });
  }
  await assert.rejects(loadPolicy(join(folder, 'none.json')), /none\.json/);
  await writeFile(file, '{"volume:create": "admin"}');
  assert.equal((await loadPolicy(file)).mayDo('volume:create', member), false);
});

test('every call of the API is decided by a rule of the table, or is for everybody', () => {
  const unknown = [...calls, ...actions]
    .flatMap(({ rule }) => (rule === null ? [] : [rule]))
    .filter((rule) => !policyFile.safeParse({ [rule]: 'admin' }).success);
  assert.deepEqual(unknown, []);
  assert.throws(() => builtInPolicy.mayDo('volume:fly', who('admin')), /no policy rule volume:fly/);
});
