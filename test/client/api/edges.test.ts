import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { type Fault, faultOf } from '../../../client/api/fault.ts';
import { flag, metadata, positiveInteger } from '../../../client/api/fields.ts';
import { inputFault, pythonText } from '../../../client/api/input-fault.ts';
import { siteOf, resourceLinks } from '../../../client/api/links.ts';
import { microversionOf } from '../../../client/api/microversion.ts';
import { openApiDocument } from '../../../client/api/open-api.ts';
import { actions, calls } from '../../../client/api/calls.ts';
import { cinderRules } from '../../../client/api/identity/cinder-rules.ts';
import { FerryError, ferryErrorTypes } from '../../../model/errors.ts';

test('a microversion is what the header says of volumes, or 3.0', () => {
  assert.equal(microversionOf(null), 0);
  assert.equal(microversionOf('volume 3.44'), 44);
  assert.equal(microversionOf('compute 2.1, volume 3.7'), 7);
  assert.equal(microversionOf('compute 2.1'), 0);
  assert.equal(microversionOf('volume latest'), 71);
  const refused = (header: string) => {
    try {
      return microversionOf(header);
    } catch (error) {
      return { status: (error as Fault).status, message: (error as Fault).message };
    }
  };
  assert.deepEqual(refused('volume 3.99'), {
    status: 406,
    message: 'Version 3.99 is not supported by the API. Minimum is 3.0 and maximum is 3.71.',
  });
  for (const version of ['2.0', '4.1', '3.72'])
    assert.equal((refused(`volume ${version}`) as { status: number }).status, 406);
  assert.deepEqual(refused('volume abc'), {
    status: 400,
    message: 'API Version String abc is of invalid format. Must be of format MajorNum.MinorNum.',
  });
});

test('every error of Ferry has a status and a fault body', () => {
  for (const type of ferryErrorTypes) {
    const fault = faultOf(new FerryError(type, 'why', { volumeId: 'v' }));
    const [[name, body] = []] = Object.entries(fault.body as Record<string, { code: number; message: string }>);
    assert.ok(name);
    assert.equal(body?.code, fault.status);
    assert.ok(body.message.length > 0);
  }
  assert.equal(faultOf(new Error('secret')).status, 500);
  assert.doesNotMatch(JSON.stringify(faultOf(new Error('secret')).body), /secret/);
  const away = faultOf(new FerryError('ServiceUnreachable', 'Postgres at db1 cannot be reached'));
  assert.equal(away.status, 503);
  assert.ok(away.headers['Retry-After']);
  assert.doesNotMatch(JSON.stringify(away.body), /db1/);
});

function said(schema: z.ZodType, body: unknown): string {
  const parsed = schema.safeParse(body, { reportInput: true });
  assert.ok(!parsed.success);
  return inputFault(parsed.error, body).message;
}

test("what is wrong with a body is said in the words of Cinder's validation", () => {
  const schema = z.object({ volume: z.strictObject({ size: positiveInteger.nullish(), name: z.string().nullish() }) });
  const of = (size: unknown) => said(schema, { volume: { size } });
  assert.equal(of(0), 'Invalid input for field/attribute size. Value: 0. 0 is less than the minimum of 1');
  assert.equal(of(-1), 'Invalid input for field/attribute size. Value: -1. -1 is less than the minimum of 1');
  assert.equal(of('#$%'), "Invalid input for field/attribute size. Value: #$%. '#$%' does not match '^[0-9]+$'");
  assert.equal(of(''), "Invalid input for field/attribute size. Value: . '' does not match '^[0-9]+$'");
  assert.equal(of(1.5), "Invalid input for field/attribute size. Value: 1.5. 1.5 is not of type 'integer', 'string'");
  assert.equal(
    said(schema, { volume: { size: 1, nonsense: 1 } }),
    "Invalid input for field/attribute volume. Value: {'size': 1, 'nonsense': 1}. Additional properties are not allowed ('nonsense' was unexpected)",
  );
  assert.equal(said(schema, {}), "Invalid input for field/attribute None. Value: {}. 'volume' is a required property");
  const long = 'k'.repeat(256);
  assert.equal(
    said(z.object({ metadata }), { metadata: { [long]: 'v' } }),
    `Invalid input for field/attribute metadata. Value: {'${long}': 'v'}. '${long}' does not match any of the regexes: '^[a-zA-Z0-9-_:. /]{1,255}$'`,
  );
});

test('numbers and flags may be words, as Python programs send them', () => {
  assert.equal(positiveInteger.parse('12'), 12);
  for (const yes of [true, 'True', '1', 'on', 'YES']) assert.equal(flag.parse(yes), true);
  for (const no of [false, 'False', '0', 'off', 'No']) assert.equal(flag.parse(no), false);
  for (const neither of ['maybe', 2, null, {}]) assert.equal(flag.safeParse(neither).success, false);
  assert.equal(pythonText({ a: [true, null, "it's"] }), `{'a': [True, None, "it's"]}`);
});

test('links are those of the address that the caller used', () => {
  const request = (headers: Record<string, string>) => new Request('http://127.0.0.1:8776/v3/p/volumes', { headers });
  assert.deepEqual(resourceLinks(siteOf(request({ host: 'cinder:8776' }), 'p'), 'volumes/1'), [
    { rel: 'self', href: 'http://cinder:8776/v3/p/volumes/1' },
    { rel: 'bookmark', href: 'http://cinder:8776/p/volumes/1' },
  ]);
  const proxied = {
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'cloud.example',
    'x-forwarded-prefix': '/volume/',
  };
  assert.equal(siteOf(request(proxied), null).origin, 'https://cloud.example/volume');
});

test('every call has a rule that the policy knows, and is in the OpenAPI document', () => {
  const known = new Set<string>([...Object.keys(cinderRules), 'ferry:migrations']);
  for (const { rule, summary } of [...calls, ...actions])
    assert.ok(rule === null || known.has(rule), `${summary}: ${rule}`);
  const document = openApiDocument(calls, actions) as { paths: Record<string, Record<string, object>> };
  for (const { path, method } of calls) assert.ok(document.paths[`/v3${path}`]?.[method]);
  for (const { path, action } of actions)
    assert.match(JSON.stringify(document.paths[`/v3${path}`]?.['post']), new RegExp(`"${action}"`));
  const seen = new Set<string>();
  for (const { method, path, since = 0, until = Infinity } of calls) {
    const name = `${method} ${path} ${since} ${until}`;
    assert.ok(!seen.has(name), `${name} is there twice`);
    seen.add(name);
  }
});
