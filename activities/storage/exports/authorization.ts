/**
 * `isNamed` for QEMU, which is told patterns for the whole distinguished name as GnuTLS writes it. `peers`: checked names, without a sign
 * that means something in a pattern.
 */
export function authorization(id: string, peers: readonly string[]): object {
  const patterns = peers.flatMap((peer) =>
    ['', '*,'].flatMap((before) => ['', ',*', '.*'].map((after) => `${before}CN=${peer}${after}`)),
  );
  const rules = patterns.map((match) => ({ match, policy: 'allow', format: 'glob' }));
  return { 'qom-type': 'authz-list', id, policy: 'deny', rules };
}
