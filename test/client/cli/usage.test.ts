import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from '../../../workers/embedded/free-ports.ts';
import { ferryIn } from './ferry-process.ts';

const id = '6088f80a-f116-4331-ad48-9afb0dfb196c';
const nowhere = ferryIn({});

const wrongUsage: [args: string[], message: RegExp][] = [
  [['show', ''], /^error: volume: "" names no volume\n$/],
  [
    ['migrate', id, 'server2'],
    /^error: host: "server2" is not a back end \(expected node@name, e\.g\. server2@lvmstorage-2\)\n$/,
  ],
  [['migrate', id], /^error: name either a host or --auto, not none\n$/],
  [['migrate', id, 'a@b', '--auto'], /^error: name either a host or --auto, not both\n$/],
  [['migrate', id, 'a@b', '--bandwidth', 'fast'], /^error: bandwidth: "fast" is not a rate/],
  [
    ['migrate', id, 'a@b', '--bandwidth', '1KiB/s'],
    /^error: bandwidth: "1KiB\/s" is too low a rate \(64KiB\/s at least\)\n$/,
  ],
  [['migrate', id, 'a@b', '--verify', 'twice'], /^error: verify: "twice" .*reread.*inline.*none/],
  [['migration', 'set-bandwidth', id, '-1'], /^error: rate: "-1" is not a rate/],
  [['migration', 'set-bandwidth', id, 'quick'], /^error: rate: "quick" is not a rate/],
  [['migration', 'cancel', 'x'.repeat(256)], /^error: volume: "x+" is too long for a name\n$/],
  [['migration', 'list', '--limit', '0'], /^error: limit: "0" /],
  [['migration', 'list', '--outcome', 'fine'], /^error: outcome: "fine" .*success/],
  [['create'], /^error: required option '--size <size>' not specified\n$/],
  [['create', '--size', '1.5'], /^error: size: "1\.5" is not a whole number of GiB\n$/],
  [['create', '--size', '0'], /^error: size: "0" is too small \(1 MiB at least\)\n$/],
  [['create', '--size', 'big'], /^error: size: "big" is not a size in GiB/],
  [['create', '--size', '64MB'], /^error: size: "64MB" is not a size in GiB .*: 64MiB/],
  [['create', '--size', '100KiB'], /^error: size: "100KiB" is not a whole number of MiB\n$/],
  [['create', '--size', '0MiB'], /^error: size: "0MiB" is too small \(1 MiB at least\)\n$/],
  [['create', '--size', '65TiB'], /^error: size: "65TiB" is too large/],
  [['create', '--size', '1', '--metadata', 'x'], /^error: metadata: "x" is not key=value\n$/],
  [['create', '--size', '1', '--name', 'n'.repeat(256)], /^error: name: "n+" is too long/],
  [['host', 'disable', 'x y@z'], /^error: host: "x y@z" is neither a node .* nor a back end/],
  [['host', 'evacuate', 'server1', '--max-concurrent', '0'], /^error: max-concurrent: "0"/],
  [['host', 'evacuate', 'server1', '--window', 'soon'], /^error: window: "soon" is not a duration/],
  [['host', 'evacuate', 'server1', '--to', 'server2'], /^error: to: "server2" is not a back end/],
  [['host', 'decommission', 'server1@a'], /^error: node: "server1@a" is not a node name/],
  [['balance', '--threshold', '0'], /^error: threshold: "0" must be 1 to 100/],
  [['list', '--status', 'lost'], /^error: status: "lost" /],
  [['list', '--as', '-'], /^error: as: "-" is not a tenant id/],
  [
    ['retype', id, 'fast', '--migration-policy', 'always'],
    /^error: migration-policy: "always" is neither never nor on-demand\n$/,
  ],
  [['type', 'create', 'fast', '--spec', 'ssd'], /^error: spec: "ssd" is not key=value\n$/],
  [['type', 'unset', 'fast', 'a b'], /^error: key: "a b" is not the name of what a type may ask for/],
  [
    ['import', 'cinder', '--database', 'mysql://c:p@h/cinder'],
    /^error: required option '--back-end <host=back end>' not specified/,
  ],
  [
    ['import', 'cinder', '--database', 'mysql://c:p@h/cinder', '--back-end', 'a@b=n@b', '--back-end', 'a@b=n@c'],
    /^error: back-end: "a@b=n@c" names a host that was named before\n$/,
  ],
  [['shwo', id], /^error: unknown command 'shwo'\n\(Did you mean show\?\)\n$/],
];

for (const [args, message] of wrongUsage) {
  test(`wrong usage exits with 2 and says what is wrong: ferry ${args.join(' ').slice(0, 80)}`, async () => {
    const { code, stdout, stderr } = await nowhere.run(...args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, '']);
  });
}

test('help tells the exit codes, and how --json tells errors', async () => {
  const { code, stdout } = await nowhere.run('--help');
  assert.equal(code, 0);
  assert.match(
    stdout,
    /0 done, 1 refused or failed, 2 wrong usage or configuration, 3 Temporal, Postgres or the workers\ncannot be reached/,
  );
  assert.match(stdout, /"error":\{type,message,details\}/);
  const unfinished = await nowhere.run('migration');
  assert.match(unfinished.stderr, /Usage: ferry migration/);
  assert.equal(unfinished.code, 2);
});

test('without a configured database it is said where to put it', async () => {
  const { code, stderr } = await nowhere.run('list');
  assert.match(stderr, /^error: No database is configured: set FERRY_DATABASE_URL/);
  assert.equal(code, 2);
});

test('an unreachable Postgres is one line with its address, never its password', async () => {
  const [port] = await freePorts(1);
  const away = ferryIn({ FERRY_DATABASE_URL: `postgres://ferry:secret@127.0.0.1:${port}/ferry` });
  const { code, stdout, stderr } = await away.run('list');
  assert.match(stderr, new RegExp(`^error: Postgres at 127\\.0\\.0\\.1:${port}/ferry cannot be reached: [^\\n]*\\n$`));
  assert.doesNotMatch(stderr, /secret/);
  assert.deepEqual([code, stdout], [3, '']);
  const inJson = await away.run('list', '--json');
  assert.deepEqual([inJson.code, inJson.stdout], [3, '']);
  const { error } = JSON.parse(inJson.stderr) as { error: { type: string; details: object } };
  assert.equal(error.type, 'ServiceUnreachable');
  assert.deepEqual(error.details, { service: 'postgres', address: `127.0.0.1:${port}/ferry` });
});
