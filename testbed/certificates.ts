import { copyFile, mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';

/**
 * Makes a folder with an authority of its own, and with certificates for a server of the given addresses and names and for a client that
 * is all of these machines, named as QEMU wants them. They are good for two days.
 */
export async function makeCertificates(
  folder: string,
  addresses: readonly string[] = ['127.0.0.1'],
  clients: readonly string[] = ['client'],
): Promise<{ directory: string; client: { ca: string; cert: string; key: string } }> {
  await mkdir(folder, { recursive: true });
  await openssl(folder, 'ca', ['ca'], [...extensions('keyUsage=critical,keyCertSign')]);
  await makeServerCertificate(folder, folder, addresses);
  await makeClientCertificate(folder, folder, clients);
  const at = (name: string) => join(folder, name);
  return {
    directory: folder,
    client: { ca: at('ca-cert.pem'), cert: at('client-cert.pem'), key: at('client-key.pem') },
  };
}

/** A server's certificate for those addresses and names, by the authority of `from`, put into `folder`. */
export async function makeServerCertificate(from: string, folder: string, addresses: readonly string[]): Promise<void> {
  const names = `subjectAltName=${addresses.map((address) => `${isIP(address) ? 'IP' : 'DNS'}:${address}`).join(',')}`;
  await openssl(folder, 'server', ['server'], [...authorityOf(from), ...extensions(...usage('server'), names)]);
}

/** A client's certificate with those names, by the authority of `from`, put into `folder`. */
export async function makeClientCertificate(from: string, folder: string, names: readonly string[]): Promise<void> {
  await openssl(folder, 'client', names, [...authorityOf(from), ...extensions(...usage('client'))]);
}

/** A folder with the authority of `from` and a client's certificate with those names, as QEMU wants to have it. */
export async function makeClientFolder(from: string, folder: string, names: readonly string[]): Promise<void> {
  await mkdir(folder);
  await copyFile(join(from, 'ca-cert.pem'), join(folder, 'ca-cert.pem'));
  await makeClientCertificate(from, folder, names);
}

function authorityOf(folder: string): string[] {
  return ['-CA', join(folder, 'ca-cert.pem'), '-CAkey', join(folder, 'ca-key.pem')];
}

async function openssl(folder: string, file: string, names: readonly string[], args: readonly string[]): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
  const files = ['-keyout', `${file}-key.pem`, '-out', `${file}-cert.pem`];
  const subject = names.map((name) => `/CN=${name}`).join('');
  const all = ['req', '-x509', ...key, '-days', '2', '-subj', subject, ...files, ...args];
  await execa('openssl', all, { cwd: folder, env: { LC_ALL: 'C' } });
}

function usage(role: 'server' | 'client'): string[] {
  return ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature', `extendedKeyUsage=${role}Auth`];
}

function extensions(...lines: string[]): string[] {
  return lines.flatMap((line) => ['-addext', line]);
}
