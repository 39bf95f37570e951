/**
 * Whether the name in a client's certificate is that of one of the machines an export is meant for: it is the name itself, or that
 * with a domain behind it. A certificate may have several.
 */
export function isNamed(commonNames: string | readonly string[] | undefined, peers: readonly string[]): boolean {
  const names = typeof commonNames === 'string' ? [commonNames] : (commonNames ?? []);
  return names.some((name) => peers.some((peer) => name === peer || name.startsWith(`${peer}.`)));
}
