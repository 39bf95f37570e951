import { FerryError } from '../../model/errors.ts';

// Strict enough to be one path component, one lvm2 name and no option: no slash, no leading dot or dash, ASCII only.
// lvm2 takes 128 characters for group and volume together.
const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$/;
// What lvm2 takes as a tag, less what means something to its own command line and selections.
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.+/=!:#-]{0,254}$/;

/** Throws `InvalidInput` unless `name` can name a device or an export: 1 to 100 of letters, digits, `_ . + -`. */
export function checkName(name: string, what = 'device'): void {
  if (namePattern.test(name)) return;
  throw new FerryError(
    'InvalidInput',
    `${quote(name)} cannot name a ${what}: expected 1 to 100 letters, digits, "_", ".", "+" or "-", starting with a letter, digit or "_"`,
  );
}

/** Throws `InvalidInput` unless all can be tags. */
export function checkTags(tags: readonly string[]): void {
  const bad = tags.find((tag) => !tagPattern.test(tag));
  if (bad !== undefined)
    throw new FerryError(
      'InvalidInput',
      `${quote(bad)} cannot be a tag: expected 1 to 255 letters, digits or any of "_.+/=!:#-"`,
    );
}

/** Throws `InvalidInput` unless a device can be made so. A device without a tag would belong to nobody, so one is needed. */
export function checkSpec({
  name,
  sizeBytes,
  tags,
}: {
  name: string;
  sizeBytes: number;
  tags: readonly string[];
}): void {
  checkName(name);
  checkTags(tags);
  if (tags.length === 0) throw new FerryError('InvalidInput', `device ${name} needs a tag that says whose it is`);
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return;
  throw new FerryError('InvalidInput', `${sizeBytes} is not a size in bytes`);
}

/** For messages: shortened, and without control characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
