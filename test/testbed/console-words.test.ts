import assert from 'node:assert/strict';
import { test } from 'node:test';
import { panicIn } from '../../testbed/console-words.ts';

test('a node whose init finds no insmod dies of that, not of its kernel', () => {
  // Debian 12 without kmod.
  const said = `/tmp/ferry-nodes-a1/guest-init.sh: 18: insmod: not found
mount: mounting overlay on /mnt/root failed: No such device
chroot: failed to run command '/bin/sh': No such file or directory
Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00
CPU: 0 PID: 1 Comm: chroot Not tainted 6.1.176 #1
Stack:
 a0883dc0 604b7a4d 00000000 00000000
`;
  assert.match(panicIn(said) ?? '', /insmod: not found; .*No such device; .*kernel panicked: Attempted to kill init/);
});

test("of a kernel's own trouble the reason is told, not the stack", () => {
  // User-mode Linux 6.12 with io_uring.
  const said = `BUG: Bad page map in process node  pte:00004000 pmd:0a4f7067
page: refcount:1 mapcount:-1 mapping:0000000000000000 index:0x0 pfn:0x4
addr:0000000040e5d000 vm_flags:0c0400fb anon_vma:0000000000000000 mapping:000000006a0c2e18 index:8000
file:[io_uring] fault:0x0 mmap:io_uring_mmap read_folio:0x0
[   12.345678] Call Trace:
 [<60021f4a>] ? show_stack+0x114/0x128
Kernel panic - not syncing: Segfault with no mm
`;
  assert.equal(panicIn(said), 'its kernel panicked: Segfault with no mm');
});

test('a node without a program to begin with says so', () =>
  assert.equal(
    panicIn('Kernel panic - not syncing: Requested init /nowhere failed (error -2).\n'),
    'its kernel panicked: Requested init /nowhere failed (error -2).',
  ));

test('one that only complains has not panicked', () => {
  for (const said of ['', 'vgcreate: warning\n', 'Out of memory: Killed process 12 (node)\n'])
    assert.equal(panicIn(said), null);
});
