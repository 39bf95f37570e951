import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allNeeds, mendOfKernels, purposes } from '../../setup/needs.mjs';
import { candidatesIn, planInstall, stillPossible } from '../../setup/plan-install.mjs';

/** As on a machine that has nothing at all. */
const everything = allNeeds().map(({ what, packages, parts }) => ({ what, packages, parts, there: false }));
/** What Ubuntu 24.04 has no package of. */
const notInUbuntu = ['user-mode-linux', 'chromium', 'linux-image-cloud-amd64'];
const inUbuntu = (name: string) => !notInUbuntu.includes(name);
const anywhere = () => true;

describe('what is installed', () => {
  test('all that a purpose needs, in one go', () => {
    const { needed, better, hopeless } = planInstall(everything, 'test', anywhere);
    for (const name of ['kmod', 'curl', 'e2fsprogs', 'user-mode-linux', 'chromium'])
      assert.ok(needed.includes(name), name);
    assert.deepEqual({ better, hopeless }, { better: [], hopeless: [] });
  });

  test('what shows more is kept apart from what is needed, so that it cannot harm it', () => {
    const { needed, better } = planInstall(everything, 'demo', anywhere);
    assert.ok(needed.includes('qemu-utils') && !needed.includes('user-mode-linux'));
    assert.ok(better.includes('user-mode-linux') && better.includes('kmod') && !better.includes('qemu-utils'));
  });

  test('on a system without user-mode-linux the demo gets what it needs, and nothing for nodes that cannot be', () => {
    const { needed, better, hopeless } = planInstall(everything, 'demo', inUbuntu);
    assert.ok(needed.includes('qemu-utils'));
    assert.deepEqual(better, []);
    assert.ok(hopeless.some(({ what }) => what === 'linux.uml'));
  });

  test('a package that has another name there is taken by it', () => {
    const { needed, hopeless } = planInstall(everything, 'demo -- --attached', inUbuntu);
    assert.ok(needed.includes('linux-image-virtual') && !needed.includes('linux-image-cloud-amd64'));
    assert.ok(!hopeless.some(({ parts }) => parts.includes('hypervisor')));
  });

  test('a purpose that is told of what it cannot have, is told what it can', () => {
    const { hopeless } = planInstall(everything, 'test', inUbuntu);
    const possible = stillPossible(hopeless);
    for (const each of ['demo', 'demo -- --attached', 'test:unit', 'test:registry'] as const)
      assert.ok(possible.includes(each), each);
    for (const each of ['test', 'test:nodes', 'demo -- --require-lvm'] as const)
      assert.ok(!possible.includes(each), each);
  });

  test('no kernel is installed where there is one that cannot be read', () => {
    const mend = 'make it readable';
    const needs = everything.map((need) => (need.what.startsWith('a kernel') ? { ...need, mend } : need));
    const { needed, hopeless } = planInstall(needs, 'demo -- --attached', anywhere);
    assert.ok(!needed.some((name) => name.startsWith('linux-image')));
    assert.deepEqual(
      hopeless.map((need) => need.mend),
      [mend],
    );
  });

  test('each purpose needs parts that have something', () => {
    const parts = new Set(everything.flatMap((need) => need.parts));
    for (const { needed, better = [] } of Object.values(purposes))
      for (const part of [...needed, ...better]) assert.ok(parts.has(part), part);
  });
});

describe('the kernels of a machine', () => {
  const image = '/boot/vmlinuz-6.8.0-31-generic';
  test('one that only root may read is named, with the command', () => {
    const mend = mendOfKernels([{ image, readable: false, hasModules: true }]);
    assert.match(mend ?? '', /only root may read it: sudo chmod a\+r \/boot\/vmlinuz-6/);
  });
  test('one without its modules is named', () => {
    assert.match(mendOfKernels([{ image, readable: true, hasModules: false }]) ?? '', /its modules are not in/);
  });
  test('where there is none, one may be installed', () => assert.equal(mendOfKernels([]), null));
});

test('what apt says of packages: only those that it can install', () => {
  // apt-cache policy qemu-utils no-such user-mode-linux chromium:amd64, on a system that has the first and the last.
  const said = `qemu-utils:
  Installed: (none)
  Candidate: 1:8.2.2+ds-0ubuntu1
  Version table:
     1:8.2.2+ds-0ubuntu1 500
        500 http://archive.example/ubuntu noble/main amd64 Packages
user-mode-linux:
  Installed: (none)
  Candidate: (none)
  Version table:
chromium:amd64:
  Installed: 1
  Candidate: 1
`;
  assert.deepEqual([...candidatesIn(said)], ['qemu-utils', 'chromium']);
});
