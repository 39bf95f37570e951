import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeystoneAway, type ValidToken } from '../../../../client/api/identity/keystone-client.ts';
import { TokenCache } from '../../../../client/api/identity/token-cache.ts';

/** A cache with a clock that the test moves, and a Keystone whose answer the test sets. Seconds. */
function stage({ recheck = 30, keep = 300, most = 10 } = {}) {
  let now = 1_000_000_000_000;
  const expires = (seconds: number) => now + seconds * 1000;
  const token = (seconds = 3600): ValidToken => ({
    userId: 'u',
    projectId: 'p',
    roles: ['member'],
    expiresAt: expires(seconds),
  });
  const keystone = { asked: 0, answer: (): ValidToken | null => token() };
  const times = { recheckMs: recheck * 1000, keepMs: keep * 1000 };
  const cache = new TokenCache({ times, most, now: () => now });
  return {
    cache,
    keystone,
    token,
    wait: (seconds: number) => (now += seconds * 1000),
    find: (name = 'gAAAA', allowExpired = false) =>
      cache.find(name, allowExpired, async () => {
        keystone.asked++;
        await Promise.resolve();
        return keystone.answer();
      }),
  };
}

const away = (forAll = true) => {
  throw new KeystoneAway('Keystone is away', { forAll });
};

test('Keystone is asked once within the time, and a token that was revoked is refused after it', async () => {
  const { keystone, find, wait } = stage();
  assert.ok(await find());
  keystone.answer = () => null;
  wait(29);
  assert.ok(await find());
  assert.equal(keystone.asked, 1);
  wait(1);
  assert.equal(await find(), null);
  assert.equal(await find(), null, 'and stays refused, whatever was known before');
});

test('with no time to keep answers, every request is asked about', async () => {
  const { keystone, find } = stage({ recheck: 0 });
  await find();
  await find();
  assert.equal(keystone.asked, 2);
});

test('no answer outlives the token, though Keystone was just asked', async () => {
  const { keystone, token, find, wait } = stage();
  keystone.answer = () => token(10);
  assert.ok(await find());
  const known = token(10);
  keystone.answer = () => known;
  wait(10);
  assert.equal(await find(), null, 'nor does Keystone let a token in that has ended by our clock');
  keystone.answer = away;
  await assert.rejects(find(), KeystoneAway);
});

test('while Keystone is away those go on whom it knew lately, and nobody else', async () => {
  const { keystone, find, wait } = stage();
  assert.ok(await find('alice'));
  keystone.answer = away;
  wait(299);
  assert.ok(await find('alice'));
  await assert.rejects(find('bob'), KeystoneAway);
  wait(1);
  await assert.rejects(find('alice'), KeystoneAway);
});

test('a Keystone that is away is not asked by every request, and found again when it is back', async () => {
  const { keystone, token, find, wait } = stage();
  keystone.answer = away;
  await assert.rejects(find('a'), KeystoneAway);
  await assert.rejects(find('b'), KeystoneAway);
  assert.equal(keystone.asked, 1);
  keystone.answer = () => token();
  wait(1);
  assert.ok(await find('b'));
});

test('a Keystone that stumbles over one token is asked about the others', async () => {
  const { keystone, token, find } = stage();
  keystone.answer = () => away(false);
  await assert.rejects(find('odd'), KeystoneAway);
  keystone.answer = () => token();
  assert.ok(await find('good'));
});

test('the most recently used are kept, so many and no more; bad tokens push none out', async () => {
  const { cache, keystone, token, find } = stage({ most: 3 });
  for (const name of ['a', 'b', 'c', 'a', 'd']) await find(name);
  assert.equal(cache.size, 3);
  const before = keystone.asked;
  await find('a');
  assert.equal(keystone.asked, before, 'a was used after b');
  await find('b');
  assert.equal(keystone.asked, before + 1);
  keystone.answer = () => null;
  for (let n = 0; n < 50; n++) await find(`bad-${n}`);
  keystone.answer = () => token();
  const asked = keystone.asked;
  await find('b');
  assert.deepEqual([keystone.asked, cache.size], [asked, 3]);
});

test('many requests with one token are one question', async () => {
  const { keystone, find } = stage();
  const answers = await Promise.all(Array.from({ length: 200 }, () => find()));
  assert.ok(answers.every((each) => each?.userId === 'u'));
  assert.equal(keystone.asked, 1);
});

test('an expired token that a service carries is not good without the service', async () => {
  const { keystone, token, find } = stage();
  keystone.answer = () => token(-60);
  assert.ok(await find('gAAAA', true));
  assert.equal(await find('gAAAA', false), null);
});
