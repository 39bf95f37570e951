import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError } from '@temporalio/client';
import type { FerryErrorType } from '../../model/errors.ts';
import { controlQueue, operationWorkflowId } from '../../model/names.ts';
import { listAttachments } from '../../registry/attachments.ts';
import { reportComputeNode } from '../../registry/compute-nodes.ts';
import { findVolume } from '../../registry/volumes.ts';
import { putBackEnd, putVolume, source } from '../registry/world.ts';
import { playedDomain, PlayedNodes } from './played-nodes.ts';

let nodes: PlayedNodes;
before(async () => {
  nodes = await PlayedNodes.start();
});
after(() => nodes?.stop());

/** An available volume on the played storage node. */
async function available(): Promise<string> {
  await nodes.attached(); // the nodes report
  await putBackEnd(nodes.registry, source);
  await reportComputeNode(nodes.registry, 'hv1');
  nodes.calm();
  return putVolume(nodes.registry, { status: 'available' });
}

async function operate(workflow: 'attachVolume' | 'detachVolume', volumeId: string, input: object): Promise<string> {
  const name = workflow === 'attachVolume' ? 'attach' : 'detach';
  const handle = await nodes.client.workflow.start(workflow, {
    taskQueue: controlQueue,
    workflowId: operationWorkflowId(name, volumeId),
    args: [{ volumeId, ...input }],
  });
  try {
    await handle.result();
    return 'success';
  } catch (error) {
    assert.ok(error instanceof WorkflowFailedError);
    const { type, message } = error.cause as { type?: string; message: string };
    return `${type}: ${message}`;
  }
}

const attach = async (volumeId: string) => {
  const attachmentId = randomUUID();
  const ended = await operate('attachVolume', volumeId, { attachmentId, instanceId: 'vm-1', computeHost: 'hv1' });
  return { attachmentId, ended };
};

async function standing(volumeId: string) {
  const { status } = await findVolume(nodes.registry, volumeId);
  const attachments = await listAttachments(nodes.registry, { volumeId });
  return [status, attachments.map((a) => a.status).join()];
}

async function until(volumeId: string, status: string): Promise<void> {
  for (let tries = 0; (await standing(volumeId))[0] !== status; tries += 1) {
    assert.ok(tries < 150, `it does not become ${status}`);
    await sleep(1_000);
  }
}

describe('an attach', () => {
  test('notes which domain has the volume, and a detach asks for that one', async () => {
    const id = await available();
    const { attachmentId, ended } = await attach(id);
    assert.equal(ended, 'success');
    const [made] = await listAttachments(nodes.registry, { volumeId: id });
    assert.equal(made?.connection?.['domain'], playedDomain);
    let asked: object = {};
    nodes.during('detachDisk', (input: object) => void (asked = input));
    assert.equal(await operate('detachVolume', id, { attachmentId }), 'success');
    assert.partialDeepStrictEqual(asked, { domain: playedDomain, source: { kind: 'nbd' }, evenIfRenamed: false });
    assert.deepEqual(await standing(id), ['available', '']);
  });

  test('that fails is taken back at the hypervisor and at the storage node before the volume is available', async () => {
    const id = await available();
    nodes.steps.length = 0;
    nodes.next('attachDisk', 'InstanceNotFound');
    assert.match((await attach(id)).ended, /^InstanceNotFound/);
    assert.deepEqual(nodes.steps, ['exportVolume', 'attachDisk', 'detachDisk', 'removeExport']);
    assert.deepEqual(await standing(id), ['available', '']);
  });

  for (const away of ['detachDisk', 'removeExport'] as const) {
    test(`that fails, while ${away} does not answer, leaves no volume that is available, until it does`, async () => {
      const id = await available();
      nodes.next('attachDisk', 'InstanceNotReady');
      // Refused at once: an answer that does not come would be waited for.
      nodes.next(away, ...Array<'InstanceNotReady'>(2).fill('InstanceNotReady'));
      const { ended } = await attach(id);
      assert.match(ended, /^InstanceNotReady: .*stays "attaching"/);
      assert.deepEqual(await standing(id), ['attaching', 'reserved']);
      assert.match((await attach(id)).ended, /^VolumeBusy|^VolumeStatusRefused/);
      await until(id, 'available');
    });
  }
});

describe('a detach', () => {
  const attached = async () => {
    const id = await available();
    const { attachmentId } = await attach(id);
    nodes.steps.length = 0;
    return { id, detach: () => operate('detachVolume', id, { attachmentId }) };
  };

  test('asks no guest while the storage node does not answer, and all stays as it was', async () => {
    const { id, detach } = await attached();
    nodes.next('locateVolume', ...Array<'ServiceUnreachable'>(500).fill('ServiceUnreachable'));
    assert.match(await detach(), /^(NodeUnavailable|ServiceUnreachable)/);
    assert.ok(!nodes.steps.includes('detachDisk'));
    assert.deepEqual(await standing(id), ['in-use', 'attached']);
  });

  test('is no matter of a device that is gone', async () => {
    const { id, detach } = await attached();
    nodes.next('locateVolume', 'DeviceMissing');
    assert.equal(await detach(), 'success');
    assert.deepEqual(await standing(id), ['available', '']);
  });

  test('whose guest does not let go says so at once, and all stays as it was', async () => {
    const { id, detach } = await attached();
    nodes.next('detachDisk', 'DeviceInUse');
    assert.match(await detach(), /^DeviceInUse/);
    assert.deepEqual(nodes.steps, ['locateVolume', 'detachDisk']);
    assert.deepEqual(await standing(id), ['in-use', 'attached']);
  });

  test('whose guest has let go is carried to its end', async () => {
    const { id, detach } = await attached();
    nodes.next('removeExport', 'InvalidInput', 'InvalidInput');
    assert.equal(await detach(), 'success');
    assert.deepEqual(nodes.steps, ['locateVolume', 'detachDisk', ...Array<string>(3).fill('removeExport')]);
    assert.deepEqual(await standing(id), ['available', '']);
  });

  test('to whose export somebody else is connected by then says so, cuts nobody off, and can be asked for again', async () => {
    const { id, detach } = await attached();
    // The node was away when it was asked who uses the device.
    nodes.next('removeExport', 'ServiceUnreachable', 'VolumeInUse');
    assert.match(await detach(), /^VolumeInUse/);
    assert.deepEqual(nodes.steps.slice(-2), ['removeExport', 'removeExport']);
    assert.deepEqual(await standing(id), ['in-use', 'attached']);
    assert.equal(await detach(), 'success');
    assert.deepEqual(await standing(id), ['available', '']);
  });
});

describe('a hypervisor that is gone for good', () => {
  const detachWithout = async (hypervisorGone: 'unless-connected' | 'even-if-connected', ...told: FerryErrorType[]) => {
    const id = await available();
    const { attachmentId } = await attach(id);
    nodes.steps.length = 0;
    nodes.next('checkUnused', ...told);
    const ended = await operate('detachVolume', id, { attachmentId, hypervisorGone });
    return { ended, steps: nodes.steps, standing: await standing(id) };
  };

  test('is not asked: where nobody is connected, the export ends and the volume is available', async () => {
    assert.deepEqual(await detachWithout('unless-connected'), {
      ended: 'success',
      steps: ['removeExport'],
      standing: ['available', ''],
    });
  });

  for (const told of ['VolumeInUse', 'InvalidInput'] as const) {
    test(`keeps its export when the storage node says ${told}`, async () => {
      const { ended, ...left } = await detachWithout('unless-connected', told);
      assert.match(ended, new RegExp(`^${told}`));
      assert.deepEqual(left, { steps: [], standing: ['in-use', 'attached'] });
    });
  }

  test('loses its export though somebody is connected, if the operator says so; not while somebody is left', async () => {
    const done = { steps: ['removeExport'], standing: ['available', ''] };
    assert.deepEqual(await detachWithout('even-if-connected'), { ended: 'success', ...done });
    const { ended, ...left } = await detachWithout('even-if-connected', 'VolumeInUse');
    assert.match(ended, /^VolumeInUse/);
    assert.deepEqual(left, { steps: ['removeExport'], standing: ['in-use', 'attached'] });
  });
});
