import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hono } from 'hono';
import pino from 'pino';
import { type ServedApi, serveApi } from '../../../client/api/serve.ts';
import { siteOf } from '../../../client/api/links.ts';
import { makeCertificates } from '../../../testbed/certificates.ts';

const log = pino({ level: 'silent' });
const app = new Hono().get('/', (c) => c.text(siteOf(c.req.raw, null).origin));

/** What a client that trusts this authority gets. */
function get(url: string, ca: string, options: RequestOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { ca, agent: false, timeout: 10_000, ...options }, async (response) => {
      response.setEncoding('utf8');
      resolve((await response.toArray()).join(''));
    })
      .on('error', reject)
      .end();
  });
}

describe('the API over TLS', () => {
  let folder: string;
  let served: ServedApi;
  const at = (...names: string[]) => join(folder, ...names);
  const authority = (which: string) => readFile(at(which, 'ca-cert.pem'), 'utf8');
  const files = () => ({ certificateFile: at('api-cert.pem'), keyFile: at('api-key.pem') });
  const install = async (which: string) => {
    await copyFile(at(which, 'server-key.pem'), files().keyFile);
    await copyFile(at(which, 'server-cert.pem'), files().certificateFile);
  };
  const serve = (tls: { certificateFile: string; keyFile: string }) =>
    serveApi(app, { host: '127.0.0.1', port: 0, tls: { ...tls, log, lookEveryMs: 20 } });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ferry-api-tls-'));
    await makeCertificates(at('first'));
    await makeCertificates(at('second'));
    await install('first');
    served = await serve(files());
  });
  after(async () => {
    await served?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('is verified by its certificate, and its links are https', async () => {
    assert.match(served.url, /^https:/);
    assert.equal(await get(served.url, await authority('first')), served.url);
    await assert.rejects(get(served.url, await authority('second')), /certificate/);
  });

  test('speaks no TLS that is older than 1.2, and no HTTP', async () => {
    const ca = await authority('first');
    await assert.rejects(get(served.url, ca, { maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }));
    await assert.rejects(fetch(served.url.replace('https', 'http'), { signal: AbortSignal.timeout(10_000) }));
  });

  test('goes on with the certificate it has while the files hold another key, and takes a renewed one', async () => {
    await copyFile(at('second', 'server-key.pem'), files().keyFile);
    await sleep(200);
    assert.equal(await get(served.url, await authority('first')), served.url);
    await install('second');
    const ca = await authority('second');
    for (let tries = 0; ; tries += 1) {
      const answered = await get(served.url, ca).catch((error: unknown) => error);
      if (answered === served.url) break;
      assert.ok(tries < 250, `the renewed certificate is not used: ${String(answered)}`);
      await sleep(20);
    }
  });

  test('is not served with what is no certificate with its key, and says which file is wrong', async () => {
    const good = files();
    await assert.rejects(serve({ ...good, keyFile: at('nothing') }), { message: /"keyFile".*ENOENT.*nothing/ });
    await assert.rejects(serve({ ...good, keyFile: at('first', 'server-key.pem') }), { type: 'InvalidInput' });
    await writeFile(at('words'), 'no PEM');
    await assert.rejects(serve({ ...good, certificateFile: at('words') }), {
      message: /words and .* are no certificate/,
    });
  });
});
