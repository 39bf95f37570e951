import { mkdir } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';

/**
 * Makes a folder with an authority of its own, and with certificates for a server of the given addresses and names and for a client, named as QEMU
 * wants them. They are good for two days.
 */
export async function makeCertificates(
  folder: string,
  addresses: readonly string[] = ['127.0.0.1'],
): Promise<{ directory: string; client: { ca: string; cert: string; key: string } }> {
  await mkdir(folder, { recursive: true });
  const request = async (name: string, ...args: string[]) => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];
    const files = ['-keyout', `${name}-key.pem`, '-out', `${name}-cert.pem`];
    const all = ['req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`, ...files, ...args];
    await execa('openssl', all, { cwd: folder, env: { LC_ALL: 'C' } });
  };
  const extensions = (...lines: string[]) => lines.flatMap((line) => ['-addext', line]);
  await request('ca', ...extensions('keyUsage=critical,keyCertSign'));
  for (const role of ['server', 'client']) {
    await request(
      role,
      ...['-CA', 'ca-cert.pem', '-CAkey', 'ca-key.pem'],
      ...extensions(
        'basicConstraints=critical,CA:FALSE',
        'keyUsage=critical,digitalSignature',
        `extendedKeyUsage=${role}Auth`,
        `subjectAltName=${addresses.map((address) => `${isIP(address) ? 'IP' : 'DNS'}:${address}`).join(',')}`,
      ),
    );
  }
  const at = (name: string) => join(folder, name);
  return {
    directory: folder,
    client: { ca: at('ca-cert.pem'), cert: at('client-cert.pem'), key: at('client-key.pem') },
  };
}
