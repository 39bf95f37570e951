import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isNamed } from '../../model/named-peers.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

/** So long before its end somebody is told. Days. */
const soonDays = 14;
const dayMs = 86_400_000;

const docs = 'see "Configuration of a storage node" in docs/operations.md';

/** The files by which exports are encrypted, as QEMU names them: whether they are there, belong together, and until when they are good. */
export async function examineCertificates(directory: string, now = new Date()): Promise<Finding[]> {
  const authority = await readCertificate(directory, 'ca-cert.pem');
  if (authority instanceof Error) return [unreadable('ca-cert.pem', authority)];
  const roles = await Promise.all(['server', 'client'].map((role) => examineRole(directory, role, authority, now)));
  return [dates('ca-cert.pem', authority, now), ...roles.flat()];
}

/** Whether the client's certificate lets a machine of that name in where exports ask for the names of their peers. */
export async function examineClientName(directory: string, machine: string): Promise<Finding[]> {
  const certificate = await readCertificate(directory, 'client-cert.pem');
  // That it cannot be read is told already.
  if (certificate instanceof Error) return [];
  const names = [certificate.toLegacyObject().subject.CN].flat().filter((name) => name !== undefined);
  if (isNamed(names, [machine])) return [ok("client's name", names.join(', '))];
  return [
    fault(
      "client's name",
      `client-cert.pem is that of ${names.join(', ') || 'nobody'}, and other nodes let ${machine} in`,
      `make it anew with the common name ${machine}, or say "peers": "any" in node.tls everywhere; ${docs}`,
    ),
  ];
}

async function examineRole(directory: string, role: string, authority: X509Certificate, now: Date): Promise<Finding[]> {
  const [name, keyName] = [`${role}-cert.pem`, `${role}-key.pem`];
  const certificate = await readCertificate(directory, name);
  if (certificate instanceof Error) return [unreadable(name, certificate)];
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey))
    return [fault(name, 'is not signed by ca-cert.pem', `make it anew with that authority; ${docs}`)];
  return [dates(name, certificate, now), await examineKey(directory, keyName, certificate)];
}

async function examineKey(directory: string, name: string, certificate: X509Certificate): Promise<Finding> {
  const file = join(directory, name);
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(await readFile(file))))
      return fault(
        name,
        'is not the key of the certificate beside it',
        `put the pair there that belongs together; ${docs}`,
      );
    const { mode } = await stat(file);
    if ((mode & 0o007) !== 0) return fault(name, 'can be read by everybody on this machine', `chmod o= ${file}`);
  } catch (error) {
    return unreadable(name, error as Error);
  }
  return ok(name, 'belongs to its certificate');
}

function dates(name: string, certificate: X509Certificate, now: Date): Finding {
  const { validFromDate, validToDate } = certificate;
  const until = validToDate.toISOString().slice(0, 10);
  if (now < validFromDate)
    return fault(name, `is good only from ${validFromDate.toISOString()} on`, "look at this machine's clock");
  if (now > validToDate) return fault(name, `ran out on ${until}`, `replace it; ${docs}`);
  const days = Math.floor((validToDate.getTime() - now.getTime()) / dayMs);
  if (days < soonDays) return warning(name, `runs out on ${until}, in ${days} days`, `replace it soon; ${docs}`);
  return ok(name, `good until ${until}`);
}

async function readCertificate(directory: string, name: string): Promise<X509Certificate | Error> {
  try {
    return new X509Certificate(await readFile(join(directory, name)));
  } catch (error) {
    return error as Error;
  }
}

const unreadable = (name: string, error: Error) => fault(name, `cannot be read: ${error.message}`, docs);
