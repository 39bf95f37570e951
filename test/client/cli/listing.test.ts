import assert from 'node:assert/strict';
import { test } from 'node:test';
import { volumeTable } from '../../../client/cli/list.ts';
import { textWidth } from '../../../client/cli/text-width.ts';
import { seedVolume } from './sample-volume.ts';

const header = (text: string) => text.split('\n')[1]!.replaceAll(/[| ]+/g, ' ').trim();
const widest = (text: string) => Math.max(...text.split('\n').map(textWidth));
const volumes = [seedVolume, { ...seedVolume, id: '70000000-0000-4000-8000-000000000000', name: 'データ' }];

test('a list in a narrow terminal leaves out what can be spared, then shortens ids; it never wraps', () => {
  const all = 'ID Status Name Size Bootable Tenant Host Migration';
  assert.equal(header(volumeTable(volumes, true, { width: Number.POSITIVE_INFINITY })), all);
  const narrower = volumeTable(volumes, true, { width: 130 });
  assert.ok(widest(narrower) <= 130);
  assert.equal(header(narrower), 'ID Status Name Size Host Migration');
  const narrow = volumeTable(volumes, true, { width: 80 });
  assert.ok(widest(narrow) <= 80);
  assert.equal(header(narrow), 'ID Status Name Size Host');
  assert.match(narrow, /\| 6088f80a \| in-use \| test /);
  assert.equal(header(volumeTable(volumes, false, { width: 80 })), 'ID Status Name Size Bootable');
});

test('a list has the columns that are asked for, however wide; one that there is not is told', () => {
  const text = volumeTable(volumes, true, { columns: 'host, ID,tenant', width: 20 });
  assert.equal(header(text), 'Host ID Tenant');
  assert.match(text, new RegExp(seedVolume.id));
  assert.throws(() => volumeTable(volumes, false, { columns: 'id,host', width: 80 }), {
    type: 'InvalidInput',
    message: 'columns: there is no column "host"; there are id, status, name, size, bootable',
  });
});
