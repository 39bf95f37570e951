import { readFileSync } from 'node:fs';

const places = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];

/**
 * Where this machine has its Debian packages from, without a slash at the end; undefined: it has none.
 * @returns {string | undefined}
 */
export function debianMirror() {
  for (const place of places) {
    const [, mirror] = /^(?:URIs:|deb)\s+(?:\[.*?\]\s*)?(http\S+?)\/?(?:\s|$)/m.exec(textOf(place)) ?? [];
    if (mirror) return mirror;
  }
  return undefined;
}

/** @param {string} file */
function textOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
