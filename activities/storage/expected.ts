import { FerryError } from '../../model/errors.ts';
import { checkTags } from './device-name.ts';
import type { Device, Expected } from './driver.ts';

// What lvm2 and this driver's own identities are made of; a selection must not be able to say more than a value.
const identityPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Throws `InvalidInput` unless it can be looked for. */
export function checkExpected({ identity, tags, not = [] }: Expected): void {
  checkTags([...tags, ...not]);
  if (identity === undefined || identityPattern.test(identity)) return;
  throw new FerryError('InvalidInput', `${JSON.stringify(identity.slice(0, 60))} cannot be a device's identity`);
}

/** Why the device is not the expected one; null when it is. */
export function whyUnexpected(device: Pick<Device, 'name' | 'path' | 'tags' | 'identity'>, expected: Expected) {
  const { name, path, tags, identity } = device;
  if (expected.identity !== undefined && expected.identity !== identity) return wrongDevice(device, expected.identity);
  const missing = expected.tags.find((tag) => !tags.includes(tag));
  if (missing !== undefined)
    return new FerryError('NotOwned', `${path} does not carry ${missing}: it is left alone`, { name, tags, identity });
  const forbidden = expected.not?.find((tag) => tags.includes(tag));
  if (forbidden === undefined) return null;
  return new FerryError('NotOwned', `${path} carries ${forbidden}: it is left alone`, { name, tags, identity });
}

/** Throws unless the device is the expected one. */
export function checkIsExpected(device: Pick<Device, 'name' | 'path' | 'tags' | 'identity'>, expected: Expected): void {
  const why = whyUnexpected(device, expected);
  if (why) throw why;
}

function wrongDevice(
  { name, path, identity }: Pick<Device, 'name' | 'path' | 'identity'>,
  expected: string,
): FerryError {
  return new FerryError(
    'WrongDevice',
    `${path} is another device (${identity}) than the one that is meant (${expected}): it is left alone. See: ferry repair --dry-run`,
    { name, identity, expected },
  );
}
