import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pauseMirror, resumeMirror, setMirrorBandwidth } from '../../../activities/compute/mirror-speed.ts';
import { createVirsh, type Virsh } from '../../../activities/compute/virsh.ts';
import { FerryError } from '../../../model/errors.ts';

/** A real mirror ends in the gap between two calls too seldom to be tested with. */
const at = { instance: 'vm-1', domain: '3e0a3c34-0000-4000-8000-000000000001', volumeId: 'volume-1' };
const job = (paused: boolean) =>
  JSON.stringify({
    return: [
      {
        device: 'copy-vda-libvirt-1-format',
        type: 'mirror',
        status: 'running',
        paused,
        offset: 0,
        len: 1,
        speed: 0,
      },
    ],
  });

/** Says that there is a mirror, and refuses what is asked of it in these words of QEMU's. */
function whileJobIs(paused: boolean, desc: string): Virsh {
  return async (command, ...operands) => {
    if (command === 'qemu-monitor-command' && operands.some((each) => each.includes('query-block-jobs')))
      return job(paused);
    return JSON.stringify({ error: { class: 'GenericError', desc } });
  };
}

/** virsh itself, refused by libvirt in these words. */
const refusing = (stderr: string): Virsh =>
  createVirsh({
    uri: 'qemu:///system',
    run: () => Promise.reject(new FerryError('ToolFailed', 'refused', { stderr })),
  });

const concluded = (verb: string) =>
  `Job 'copy-vda-libvirt-1-format' in state 'concluded' cannot accept command verb '${verb}'`;

describe('a word to a mirror that has just ended is no error', () => {
  it('when it is to rest', () => pauseMirror(whileJobIs(false, concluded('pause')), at, 'vda'));
  it('when it is to go on', () => resumeMirror(whileJobIs(true, concluded('resume')), at, 'vda'));
  it('when it is gone altogether', () =>
    resumeMirror(whileJobIs(true, "Block job 'copy-vda-libvirt-1-format' not found"), at, 'vda'));
  it('when its cap is changed', async () => {
    const words = [
      `error: internal error: unable to execute QEMU command 'block-job-set-speed': ${concluded('set-speed')}`,
      'error: invalid argument: disk vda does not have an active block job',
    ];
    for (const said of words) await setMirrorBandwidth(refusing(said), at, 'vda', 1);
  });
  it('and any other refusal is one', async () => {
    await assert.rejects(pauseMirror(whileJobIs(false, 'The command is not known'), at, 'vda'), { type: 'ToolFailed' });
    await assert.rejects(setMirrorBandwidth(refusing('error: something new'), at, 'vda', 1), { type: 'ToolFailed' });
  });
});
