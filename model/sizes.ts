import * as z from 'zod';

export const gib = 1024 ** 3;

const units: Record<string, number> = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  kb: 1000,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  mb: 1000 ** 2,
  g: gib,
  gib,
  gb: 1000 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  tb: 1000 ** 4,
};

function bytesOf(text: string): number | null {
  const m = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = m && units[m[2]!.toLowerCase()];
  if (!m || !unit) return null;
  const bytes = Math.round(Number(m[1]) * unit);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
}

/** A rate for people: `100MiB/s`, `1.5GB/s`; `0`, `none` or `unlimited` mean no cap (null). In bytes a second. */
export const bandwidth = z.string().transform((text, ctx) => {
  if (/^(0|none|unlimited)$/i.test(text.trim())) return null;
  const bytes = bytesOf(text.replace(/\/s(ec)?$/i, ''));
  if (bytes !== null && bytes >= 64 * 1024) return bytes;
  ctx.addIssue({
    code: 'custom',
    message:
      bytes === null
        ? 'is not a rate (expected e.g. 100MiB/s, or "unlimited")'
        : 'is too low a rate (64KiB/s at least)',
  });
  return z.NEVER;
});

const sector = 512;
const mib = 1024 ** 2;
const tooLarge = 'is too large (65536 GiB at most)';

/** A volume's size in bytes: whole sectors of 512, at most 64 TiB. */
export const sizeBytes = z
  .number({ error: 'is not a size in bytes' })
  .int('is not a size in bytes')
  .positive('is no size')
  .multipleOf(sector, `is not a multiple of ${sector} bytes`)
  .max(65_536 * gib, tooLarge);

const sizeUnits: Record<string, number> = { kib: 1024, mib, gib, tib: 1024 * gib };

/** The size of a volume that people ask for, in bytes: `2` (GiB), `64MiB`, `1.5GiB`, `1TiB`; any whole MiB. */
export const volumeSize = z.string().transform((text, ctx) => {
  const refuse = (message: string) => {
    ctx.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  const m = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  const unit = m && (m[2] === '' ? gib : sizeUnits[m[2]!.toLowerCase()]);
  if (!m || !unit) {
    return refuse('is not a size in GiB (expected a whole number, or one with its unit: 64MiB, 2GiB, 1TiB)');
  }
  const bytes = Number(m[1]) * unit;
  if (bytes > 65_536 * gib) return refuse(tooLarge);
  if (m[2] === '' && bytes % gib !== 0) return refuse('is not a whole number of GiB');
  if (bytes % mib !== 0) return refuse('is not a whole number of MiB');
  return bytes < mib ? refuse('is too small (1 MiB at least)') : bytes;
});

/** A volume's size as people say it, exactly: `2` when it is whole GiB, else with its unit, as `volumeSize` takes it: `64MiB`. */
export function sizeText(bytes: number): string {
  if (bytes % gib === 0) return String(bytes / gib);
  if (bytes % mib === 0) return `${bytes / mib}MiB`;
  return bytes % 1024 === 0 ? `${bytes / 1024}KiB` : `${bytes}B`;
}

/** The same in a sentence: `2 GiB`, `64 MiB`. */
export function sizeWords(bytes: number): string {
  const text = sizeText(bytes);
  return /^\d+$/.test(text) ? `${text} GiB` : text.replace(/[A-Z]/, ' $&');
}

/** Bytes for people, in binary units: `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${names[unit]}`;
}

/** Seconds for people: `45s`, `3m05s`, `2h07m`. */
export function formatSeconds(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, '0')}s`;
  return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, '0')}m`;
}

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `90s`, `30m`, `4h`, `2d`, as seconds. */
export const durationSeconds = z
  .string()
  .regex(/^[1-9]\d{0,6}[smhd]$/, 'is not a duration (e.g. 90s, 30m, 4h, 2d)')
  .transform((text) => Number(text.slice(0, -1)) * unitSeconds[text.slice(-1) as keyof typeof unitSeconds]);
