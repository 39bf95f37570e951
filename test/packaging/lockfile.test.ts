import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closure, lockfile } from '../../packaging/lockfile.ts';

const lock = (packages: Record<string, object>) => lockfile.parse({ lockfileVersion: 3, packages });

test('a package brings what it needs, the nested version before the outer one', () => {
  const packages = lock({
    'node_modules/a': { dependencies: { b: '1' } },
    'node_modules/a/node_modules/b': { dependencies: { c: '1' } },
    'node_modules/b': {},
    'node_modules/c': { dependencies: { a: '1' } },
    'node_modules/unneeded': {},
  });
  assert.deepEqual(closure(packages, ['a']), ['node_modules/a', 'node_modules/a/node_modules/b', 'node_modules/c']);
});

test('a peer counts as needed unless it is optional; what is optional may be missing', () => {
  const packages = lock({
    'node_modules/a': {
      optionalDependencies: { 'for-another-platform': '1', here: '1' },
      peerDependencies: { peer: '1', 'optional-peer': '1' },
      peerDependenciesMeta: { 'optional-peer': { optional: true } },
    },
    'node_modules/here': {},
    'node_modules/peer': {},
  });
  assert.deepEqual(closure(packages, ['a']), ['node_modules/a', 'node_modules/here', 'node_modules/peer']);
  const broken = lock({ 'node_modules/a': { dependencies: { missing: '1' } } });
  assert.throws(() => closure(broken, ['a']), /no missing, which node_modules\/a needs/);
});

test('what is left out is not followed, but comes when something else needs it', () => {
  const packages = lock({
    'node_modules/a': { dependencies: { bundler: '1', shared: '1' } },
    'node_modules/bundler': { dependencies: { shared: '1', big: '1' } },
    'node_modules/shared': {},
    'node_modules/big': {},
  });
  const without = new Set(['bundler']);
  assert.deepEqual(closure(packages, ['a'], without), ['node_modules/a', 'node_modules/shared']);
});
