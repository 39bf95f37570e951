import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { TlsFiles } from '../../../../activities/storage/copy-job.ts';

/** A certification authority of a test's own, with a server's and a client's certificate, named as QEMU wants them. */
export async function makeCertificates(
  folder: string,
  { serverNames = 'IP:127.0.0.1' } = {},
): Promise<{ directory: string; client: TlsFiles }> {
  await mkdir(folder, { recursive: true });
  const at = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) => execa('openssl', args, { env: { LC_ALL: 'C' } });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    at('ca-key.pem'),
    '-out',
    at('ca-cert.pem'),
    '-days',
    '2',
    '-subj',
    '/CN=test',
    ...authority,
  );
  for (const [role, names] of [
    ['server', serverNames],
    ['client', 'DNS:client'],
  ] as const) {
    await openssl('req', ...key, '-keyout', at(`${role}-key.pem`), '-out', at(`${role}.csr`), '-subj', `/CN=${role}`);
    await writeFile(
      at(`${role}.ext`),
      `subjectAltName=${names}\nextendedKeyUsage=${role}Auth\nkeyUsage=digitalSignature\n`,
    );
    const signer = ['-CA', at('ca-cert.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial'];
    await openssl(
      'x509',
      '-req',
      '-in',
      at(`${role}.csr`),
      ...signer,
      '-out',
      at(`${role}-cert.pem`),
      '-days',
      '2',
      '-extfile',
      at(`${role}.ext`),
    );
  }
  return {
    directory: folder,
    client: { ca: at('ca-cert.pem'), cert: at('client-cert.pem'), key: at('client-key.pem') },
  };
}
