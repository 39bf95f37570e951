import { mkdir } from 'node:fs/promises';
import { execa } from 'execa';

/** Makes a folder with an authority of its own and certificates for a server on 127.0.0.1 and a client, named as QEMU wants them. */
export async function makeCertificates(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-days', '2'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-subj',
    '/CN=authority',
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca-cert.pem',
    '-addext',
    'keyUsage=critical,keyCertSign',
  );
  for (const [role, usage] of [
    ['server', 'serverAuth'],
    ['client', 'clientAuth'],
  ] as const) {
    await openssl(
      'req',
      '-x509',
      ...key,
      '-CA',
      'ca-cert.pem',
      '-CAkey',
      'ca-key.pem',
      '-subj',
      `/CN=${role}`,
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-addext',
      'keyUsage=critical,digitalSignature',
      '-addext',
      `extendedKeyUsage=${usage}`,
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      `${role}-key.pem`,
      '-out',
      `${role}-cert.pem`,
    );
  }
  return folder;
}
