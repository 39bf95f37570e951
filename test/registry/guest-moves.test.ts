import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import * as z from 'zod';
import {
  admittedHosts,
  arrive,
  attachedElsewhere,
  forgetMove,
  guestMovesOf,
  noteArriving,
  noteLeaving,
} from '../../registry/guest-moves.ts';
import { beginOperation, finishOperation } from '../../registry/operations.ts';
import type { Registry } from '../../registry/open-registry.ts';
import { noColumns } from '../../registry/rows.ts';
import { testRegistry } from './database.ts';
import { anOwner, putAttachment, putBackEnd, putVolume, source } from './world.ts';

let registry: Registry;
before(async () => {
  registry = await testRegistry();
  await putBackEnd(registry, source);
});

/** A guest of `hv1` with an attached volume. */
async function guest(changes: Record<string, unknown> = {}) {
  const volumeId = await putVolume(registry, { status: 'in-use' });
  const domain = randomUUID();
  const exportName = `attachment-${volumeId}`;
  const connection = { protocol: 'nbd', exportName, backEnd: source, device: 'd', domain, ...changes };
  const attachmentId = await putAttachment(registry, volumeId, { compute_host: 'hv1', connection });
  const hostOf = async () => {
    const row = z.object({ computeHost: z.string() });
    const [found] = await registry.rows(row, 'SELECT compute_host FROM attachments WHERE id = $1', [attachmentId]);
    return found?.computeHost;
  };
  const admitted = async () =>
    (await admittedHosts(registry, [source])).flatMap((each) => (each.exportName === exportName ? [each.toHost] : []));
  const toHv2 = async () => (await guestMovesOf(registry, 'hv2')).find((each) => each.domain === domain);
  const fromHv1 = async () => (await guestMovesOf(registry, 'hv1')).find((each) => each.domain === domain);
  return { volumeId, domain, attachmentId, hostOf, admitted, toHv2, fromHv1 };
}

/** What a hypervisor's worker writes when it has these domains. */
async function has(host: string, domains: readonly string[], isComingIn = true): Promise<void> {
  for (const { attachmentId } of await attachedElsewhere(registry, host, domains))
    await noteArriving(registry, { attachmentId, toHost: host, isComingIn });
}

describe('a guest that is migrated by libvirt', () => {
  test('is let in where it comes to by the word of both hypervisors, for as long as both repeat it', async () => {
    const { domain, admitted, fromHv1 } = await guest();
    await has('hv2', [domain, randomUUID()]);
    assert.deepEqual(await admitted(), []);
    await noteLeaving(registry, (await fromHv1())!, 'leaving');
    assert.deepEqual(await admitted(), ['hv2']);
    for (const word of ['arriving_at', 'leaving_at']) {
      await registry.rows(noColumns, `UPDATE guest_moves SET ${word} = now() - interval '1 minute'`, []);
      assert.deepEqual(await admitted(), [], word);
      await has('hv2', [domain]);
      await noteLeaving(registry, (await fromHv1())!, 'leaving');
    }
    assert.deepEqual(await admitted(), ['hv2']);
    assert.deepEqual(await admittedHosts(registry, ['another@back-end']), []);
  });

  test('who only says that it has the guest is let in nowhere', async () => {
    const { domain, admitted, fromHv1 } = await guest();
    await has('hv2', [domain], false);
    await noteLeaving(registry, (await fromHv1())!, 'leaving');
    assert.deepEqual(await admitted(), []);
  });

  test('has its attachment there when it has left and come, and not before; not while something is done with it', async () => {
    const { volumeId, domain, hostOf, admitted, toHv2, fromHv1 } = await guest();
    await has('hv2', [domain]);
    const move = (await toHv2())!;
    for (const seen of ['leaving', 'here'] as const) {
      await noteLeaving(registry, move, seen);
      assert.equal(await arrive(registry, move), false, seen);
    }
    await noteLeaving(registry, move, 'gone');
    assert.equal((await toHv2())!.hasLeft, true);
    // It is on its way once more, and may be let go again.
    await has('hv2', [domain]);
    assert.equal(await arrive(registry, move), false);
    await noteLeaving(registry, (await fromHv1())!, 'gone');
    await noteLeaving(registry, (await fromHv1())!, 'here');
    assert.equal(await arrive(registry, move), false, 'it is back');
    await noteLeaving(registry, (await fromHv1())!, 'gone');
    await has('hv2', [domain], false);
    assert.deepEqual(await admitted(), []);
    const owner = anOwner('detach');
    await beginOperation(registry, 'detach', { volumeId, owner });
    assert.equal(await arrive(registry, move), false);
    await finishOperation(registry, 'detach', { volumeId, owner });
    assert.equal(await hostOf(), 'hv1');
    assert.equal(await arrive(registry, move), true);
    assert.equal(await hostOf(), 'hv2');
    assert.equal(await arrive(registry, move), false);
    assert.equal(await toHv2(), undefined);
  });

  test('may have come at once, where its export had nobody: then its old hypervisor has it no more', async () => {
    const { domain, hostOf, toHv2 } = await guest();
    await has('hv2', [domain], false);
    await noteLeaving(registry, (await toHv2())!, 'gone');
    assert.equal(await arrive(registry, (await toHv2())!), true);
    assert.equal(await hostOf(), 'hv2');
  });

  test('is nobody’s business where its volume has no export; and one that fails is forgotten', async () => {
    const local = await guest({ protocol: 'local', kind: 'block', path: '/dev/g/d' });
    await has('hv2', [local.domain]);
    assert.equal(await local.toHv2(), undefined);
    const { domain, toHv2, hostOf } = await guest();
    // By its own word it is there already.
    await has('hv1', [domain]);
    assert.deepEqual(
      (await guestMovesOf(registry, 'hv1')).filter(({ toHost }) => toHost === 'hv1'),
      [],
    );
    await has('hv2', [domain]);
    await forgetMove(registry, (await toHv2())!);
    assert.deepEqual([await toHv2(), await hostOf()], [undefined, 'hv1']);
  });
});
