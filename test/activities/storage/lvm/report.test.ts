import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseThinPool, parseVolumes } from '../../../../activities/storage/lvm/report.ts';

/** A row as lvm2 2.03.16 reports it. */
const row = {
  lv_name: 'pool',
  lv_path: '',
  lv_size: '134217728',
  lv_tags: '',
  lv_device_open: '1',
  lv_active: 'active',
  lv_layout: 'thin,pool',
  lv_role: 'private',
  origin_size: '',
  pool_lv: '',
  data_percent: '6.25',
  metadata_percent: '10.94',
  lv_metadata_size: '4194304',
  chunk_size: '65536',
  zero: '1',
  discards: 'passdown',
  lv_health_status: '',
  lv_check_needed: '0',
  lv_uuid: 'f6rMfU-0000-0000-0000-0000-0000-pool00',
  vg_uuid: 'rHh1Ze-0000-0000-0000-0000-0000-group0',
  vg_tags: '',
  vg_seqno: '7',
};
const lvs = (...rows: Partial<typeof row>[]) =>
  JSON.stringify({ report: [{ lv: rows.map((changes) => ({ ...row, ...changes })) }] });
const pool = (changes: Partial<typeof row>) => parseThinPool('vg', 'pool', lvs(changes));

test('a pool is told with its fill; what is no thin pool is none', () => {
  assert.deepEqual(pool({}), {
    name: 'pool',
    sizeBytes: 134_217_728,
    chunkBytes: 65_536,
    dataPercent: 6.25,
    metadataBytes: 4_194_304,
    metadataPercent: 10.94,
    discards: true,
    fault: null,
    placementFault: null,
  });
  assert.equal(pool({ discards: 'ignore' })?.discards, false);
  assert.equal(pool({ lv_name: 'other' }), null);
  assert.equal(pool({ lv_layout: 'linear' }), null);
});

test('a pool that cannot be used says why, and what to do; one that is only full of data is well', () => {
  const faults: readonly (readonly [Partial<typeof row>, RegExp | null])[] = [
    [{ lv_health_status: 'out_of_data', data_percent: '100.00' }, null],
    [{ lv_health_status: 'metadata_read_only' }, /metadata is damaged.*lvconvert --repair vg\/pool/],
    [{ lv_health_status: 'failed', data_percent: '', metadata_percent: '' }, /failed.*lvconvert --repair vg\/pool/],
    [{ lv_check_needed: '1' }, /must be checked.*lvconvert --repair vg\/pool/],
    [{ metadata_percent: '93.75' }, /93\.75 % full.*lvextend --poolmetadatasize \+SIZE vg\/pool/],
    [{ data_percent: '', metadata_percent: '' }, /not active.*lvchange --activate y vg\/pool/],
    [{ zero: '0' }, /another volume's bytes.*lvchange --zero y vg\/pool/],
  ];
  for (const [changes, expected] of faults) {
    const fault = pool(changes)?.fault ?? pool(changes)?.placementFault ?? null;
    if (expected) assert.match(fault ?? 'well', expected);
    else assert.equal(fault, null);
  }
});

test('a thin volume is unwritten only if lvm2 says so; of a thin snapshot the size is its own', () => {
  const thin = { lv_layout: 'thin,sparse', lv_role: 'public', pool_lv: 'pool', lv_path: '/dev/vg/v' };
  const [fresh, written, asleep, snapshot, thick] = parseVolumes(
    'vg',
    lvs(
      { ...thin, data_percent: '0.00' },
      { ...thin, data_percent: '0.01' },
      { ...thin, data_percent: '', lv_active: '' },
      { ...thin, lv_role: 'public,snapshot,thinsnapshot' },
      { lv_layout: 'linear', lv_role: 'public,snapshot', origin_size: '4194304', data_percent: '0.00' },
    ),
  );
  assert.deepEqual(
    [fresh, written, asleep].map((each) => each?.unwritten),
    [true, false, false],
  );
  assert.deepEqual([snapshot?.sizeBytes, thick?.sizeBytes], [134_217_728, 4_194_304]);
  assert.deepEqual([fresh?.thinPool, thick?.thinPool, thick?.unwritten], ['pool', null, false]);
});
