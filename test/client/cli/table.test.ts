import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printableLines } from '../../../client/cli/text-width.ts';
import { columns, propertyTable, propertyText, table } from '../../../client/cli/table.ts';

test('a table frames its cells, left aligned, as wide as the widest', () => {
  assert.equal(
    table(
      ['ID', 'Name'],
      [
        ['1', 'a volume'],
        ['22', ''],
      ],
    ),
    `
+----+----------+
| ID | Name     |
+----+----------+
| 1  | a volume |
| 22 |          |
+----+----------+`.trim(),
  );
});

test('a table without rows is its header', () => {
  assert.equal(table(['ID'], []), '+----+\n| ID |\n+----+');
});

test('wide characters and emoji keep the frame straight', () => {
  assert.equal(
    propertyTable({ a: '磁盘', b: '🚢x' }),
    `
+----------+-------+
| Property | Value |
+----------+-------+
| a        | 磁盘  |
| b        | 🚢x   |
+----------+-------+`.trim(),
  );
});

test('control characters cannot break a table or move the cursor', () => {
  const text = table(['Name'], [['a\nb'], ['\u001b[2Jx'], ['\u202etxt'], ['\u200fa\u2028']]);
  assert.match(text, /\| a\\u000ab +\|/);
  assert.match(text, /\| \\u001b\[2Jx +\|/);
  assert.match(text, /\| \\u202etxt +\|/);
  assert.match(text, /\| \\u200fa\\u2028 \|/);
  assert.equal(text.split('\n').length, 8);
  assert.equal(printableLines('a\r\n\u2066b'), 'a\\u000d\n\\u2066b');
});

test('values show as Cinder shows them', () => {
  assert.equal(propertyText(null), 'None');
  assert.equal(propertyText(undefined), 'None');
  assert.equal(propertyText(true), 'True');
  assert.equal(propertyText(false), 'False');
  assert.equal(propertyText(2), '2');
  assert.equal(propertyText({}), '{}');
  assert.equal(propertyText(['a']), '["a"]');
  assert.equal(propertyText('in-use'), 'in-use');
});

test('columns are two blanks apart, without blanks at the end of a line', () => {
  assert.equal(
    columns([
      ['server1@lvmstorage-1', 'zone1'],
      ['s2@b', 'zone1'],
      ['s3@b', ''],
    ]),
    'server1@lvmstorage-1  zone1\ns2@b                  zone1\ns3@b',
  );
});
