import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listenAddress } from '../../configuration/listen-address.ts';
import { configuration } from '../../configuration/schema.ts';

test('an address is a host and a port', () => {
  assert.deepEqual(listenAddress.parse('127.0.0.1:8776'), { host: '127.0.0.1', port: 8776 });
  assert.deepEqual(listenAddress.parse('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(listenAddress.parse('api.example.org:65535'), { host: 'api.example.org', port: 65_535 });
  for (const wrong of ['', '8776', 'localhost', '127.0.0.1:', '127.0.0.1:65536', '::1:8776', 'http://a:1', 'a/b:1'])
    assert.ok(!listenAddress.safeParse(wrong).success, wrong);
});

test('the API listens on loopback until the configuration says otherwise', () => {
  assert.deepEqual(configuration.parse({}).api.listen, { host: '127.0.0.1', port: 8776 });
  assert.deepEqual(configuration.parse({ api: { listen: '0.0.0.0:80' } }).api.listen, { host: '0.0.0.0', port: 80 });
  assert.ok(!configuration.safeParse({ api: { listen: 'everywhere' } }).success);
});
