import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { attachDisk } from '../../../activities/compute/attach-disk.ts';
import { detachDisk } from '../../../activities/compute/detach-disk.ts';
import type { DiskSource } from '../../../activities/compute/disk-source.ts';
import { findHold } from '../../../activities/compute/domain-job.ts';
import { inspectDisk } from '../../../activities/compute/inspect-disk.ts';
import { createVirsh, type Virsh } from '../../../activities/compute/virsh.ts';
import { FerryError } from '../../../model/errors.ts';

const uuid = '0b3c1f52-7a0e-4f6e-9a44-0d6f3f4c2b11';
const source: DiskSource = { kind: 'block', path: '/dev/group/volume-a' };

/** What libvirt 9.0 answers; a text for an error is what virsh writes about it. */
interface Answers {
  domjobinfo: string | { error: string };
  /** `state/reason` of the domain. */
  state?: string;
  list?: string | { error: string };
}

const unbounded = (operation: string) => `Job type:         Unbounded   \nOperation:        ${operation}\n`;
const none = 'Job type:         None        \n';
const comingIn = {
  error: 'error: Operation not supported: migration statistics are available only on the source host',
};

/** A virsh that plays a libvirt with one guest, and what it was told. */
function playing({ domjobinfo, state = '1/1', list = ` ${uuid}   wanderer\n` }: Answers): {
  virsh: Virsh;
  told: string[];
} {
  const told: string[] = [];
  const [number, reason] = state.split('/');
  const answers: Record<string, Answers['domjobinfo']> = {
    list,
    domjobinfo,
    domstats: `Domain: 'wanderer'\n  state.state=${number}\n  state.reason=${reason}\n`,
    dumpxml: `<domain type='qemu' id='1'><name>wanderer</name><uuid>${uuid}</uuid><devices/></domain>`,
  };
  const virsh = createVirsh({
    uri: 'qemu:///played',
    run: async (argv) => {
      const command = argv[4]!;
      told.push(command);
      const answer = argv.includes('--with-managed-save') ? '' : answers[command];
      if (typeof answer === 'string') return { stdout: answer, stderr: '' };
      throw new FerryError('ToolFailed', 'exit code 1', {
        stderr: answer?.error ?? `played: nothing is known of ${command}`,
      });
    },
  });
  return { virsh, told };
}

const at = { instance: 'wanderer', volumeId: randomUUID() };
const holdIn = async (answers: Answers, instance = 'wanderer') =>
  (await findHold(playing(answers).virsh, { ...at, instance }))?.job ?? null;

describe('a guest is held', () => {
  const held: readonly [string, Answers, string][] = [
    ['by its migration to elsewhere', { domjobinfo: unbounded('Outgoing migration') }, 'Outgoing migration'],
    ['by its migration to here', { domjobinfo: comingIn, state: '3/2' }, 'Incoming migration'],
    ['while its memory is saved', { domjobinfo: unbounded('Save') }, 'Save'],
    ['while its memory is dumped', { domjobinfo: unbounded('Dump') }, 'Dump'],
    ['when it stands still for a migration', { domjobinfo: none, state: '3/2' }, 'Live migration'],
    ['when the second half of its migration failed', { domjobinfo: none, state: '3/13' }, 'Live migration'],
  ];
  for (const [how, answers, job] of held) it(how, async () => assert.equal(await holdIn(answers), job));

  const free: readonly [string, Answers, string?][] = [
    ['that only runs', { domjobinfo: none }],
    ['with a backup', { domjobinfo: unbounded('Backup') }],
    ['that somebody paused', { domjobinfo: none, state: '3/1' }],
    ['that an I/O error paused', { domjobinfo: none, state: '3/5' }],
    ['that is another one', { domjobinfo: unbounded('Outgoing migration') }, 'wander'],
    [
      'of which a dead libvirtd says nothing',
      { domjobinfo: none, list: { error: 'error: failed to connect to the hypervisor' } },
    ],
    ['that has just ended', { domjobinfo: { error: 'error: failed to get domain' } }],
  ];
  for (const [which, answers, instance] of free)
    it(`not if it is one ${which}`, async () => assert.equal(await holdIn(answers, instance), null));

  it('which is not taken for granted when libvirt refuses for a reason of its own', () =>
    assert.rejects(holdIn({ domjobinfo: { error: 'error: internal error: played' } }), { type: 'ToolFailed' }));
});

describe('of a guest that is held', () => {
  const tools = (virsh: Virsh) => ({ virsh, findQemuProcess: async () => null, cut: async () => {} });
  const doings = {
    mirrored: (virsh: Virsh) => inspectDisk(tools(virsh), { ...at, source, sizeBytes: 1 }),
    attached: (virsh: Virsh) => attachDisk(tools(virsh), { ...at, source, device: null, mode: 'rw' }),
    detached: (virsh: Virsh) => detachDisk(tools(virsh), { ...at, source }),
  };
  const refusal = (job: RegExp) => (error: unknown) => {
    assert.ok(error instanceof FerryError, String(error));
    assert.deepEqual([error.type, error.details['because']], ['InstanceNotReady', 'foreign-job']);
    assert.match(error.message, job);
    return true;
  };
  for (const [done, doing] of Object.entries(doings)) {
    for (const [domjobinfo, job] of [
      [unbounded('Outgoing migration'), /Outgoing migration/],
      [comingIn, /Incoming migration/],
    ] as const) {
      it(`no disk is ${done}, and its QEMU not even asked: ${job.source}`, async () => {
        const { virsh, told } = playing({ domjobinfo });
        await assert.rejects(doing(virsh), refusal(job));
        assert.deepEqual([...new Set(told)].toSorted(), ['domjobinfo', 'list']);
      });
    }
  }

  it('an attach that was refused for that is taken back: nothing came, and nothing is queued', async () => {
    const { virsh, told } = playing({ domjobinfo: unbounded('Outgoing migration') });
    await detachDisk(tools(virsh), { ...at, source, takesBack: true }, 1);
    assert.ok(!told.includes('detach-disk'));
  });
});
