import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilitiesOf } from '../../configuration/capabilities.ts';
import { configuration } from '../../configuration/schema.ts';
import { capabilities, capabilitiesText, reasonLacking, satisfies } from '../../model/volume-type.ts';

const ssd = { name: 'server2@ssd', capabilities: { media: 'ssd', tier: '1' } };
const asking = (extraSpecs: Record<string, string>) => ({ name: 'gold', extraSpecs });

test('a back end must have all that a type asks for, letter by letter; no type asks for nothing', () => {
  const answers: [Record<string, string>, boolean][] = [
    [{}, true],
    [{ media: 'ssd' }, true],
    [{ media: 'ssd', tier: '1' }, true],
    [{ media: 'SSD' }, false],
    [{ media: 'ssd', tier: '2' }, false],
    [{ room: 'a' }, false],
    [{ constructor: 'x' }, false],
  ];
  for (const [specs, wanted] of answers) assert.equal(satisfies(ssd, asking(specs)), wanted, JSON.stringify(specs));
  assert.equal(satisfies(ssd, null), true);
});

test('what is lacking is told with what there is instead', () => {
  const reason = reasonLacking(ssd, asking({ media: 'hdd', tier: '1', room: 'a', toString: 'x' }));
  assert.equal(
    reason?.message,
    'Back end server2@ssd lacks what volume type gold asks for: media=hdd (it has media=ssd), room=a (it has none), toString=x (it has none).',
  );
  assert.deepEqual(reason.details?.['missing'], { media: 'hdd', room: 'a', toString: 'x' });
  assert.equal(reasonLacking(ssd, asking({ tier: '1' })), null);
});

test("Cinder's scopes and operators, which would never match, are refused", () => {
  for (const wrong of [
    { 'capabilities:media': 'ssd' },
    { media: '<is> True' },
    { media: '' },
    { '': 'ssd' },
    { media: 'a\nb' },
  ])
    assert.equal(capabilities.safeParse(wrong).success, false, JSON.stringify(wrong));
});

test('capabilities are shown in the order of their names', () => {
  assert.equal(capabilitiesText({ tier: '1', media: 'ssd' }), 'media=ssd tier=1');
});

const nodeWith = (given?: Record<string, string>) =>
  configuration.safeParse({
    node: {
      name: 'n',
      backEnds: [{ name: 'fast', driver: 'lvm', volumeGroup: 'vg', ...(given ? { capabilities: given } : {}) }],
    },
  });

test('a back end has what is configured, and what is known by itself', () => {
  const of = (given?: Record<string, string>) =>
    capabilitiesOf(nodeWith(given).data!.node!.backEnds[0]!, { thin: true });
  const known = {
    volume_backend_name: 'fast',
    storage_protocol: 'nbd',
    vendor_name: 'Ferry',
    driver: 'lvm',
    thin_provisioning_support: 'true',
  };
  assert.deepEqual(of(), known);
  assert.deepEqual(of({ media: 'ssd', volume_backend_name: 'LVM' }), {
    ...known,
    media: 'ssd',
    volume_backend_name: 'LVM',
  });
});

test('what is known by itself is not configured', () => {
  assert.match(nodeWith({ driver: 'ceph' }).error?.message ?? '', /Ferry reports by itself: driver/);
});
