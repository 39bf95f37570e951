import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { FerryError } from '../../model/errors.ts';

/** Where the API's certificate (with the chain up to its authority) and its key are; PEM. */
export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A certificate and its key as they are in their files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A renewed certificate is taken into use within this time. Milliseconds. */
const lookEveryMs = 10_000;

/** Reads both. `InvalidInput` when a file cannot be read, or the two do not belong together. */
export async function readCertificate({ certificateFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const read = async (file: string, name: string) => {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      throw new FerryError('InvalidInput', `"api": {"tls": {"${name}"}} cannot be read: ${(error as Error).message}`);
    }
  };
  const certificate = { cert: await read(certificateFile, 'certificateFile'), key: await read(keyFile, 'keyFile') };
  try {
    createSecureContext(certificate);
    if (!new X509Certificate(certificate.cert).checkPrivateKey(createPrivateKey(certificate.key)))
      throw new Error('the key is that of another certificate');
  } catch (error) {
    throw new FerryError(
      'InvalidInput',
      `${certificateFile} and ${keyFile} are no certificate with its key: ${(error as Error).message}. Both are PEM, the key without a password.`,
    );
  }
  return certificate;
}

/** Gives `use` what is in the files whenever that is another certificate; one that cannot be used is told, and the old one stays. */
export function watchCertificate(
  files: CertificateFiles,
  {
    first,
    use,
    log,
    everyMs = lookEveryMs,
  }: {
    first: Certificate;
    use: (certificate: Certificate) => void;
    log: Logger;
    everyMs?: number | undefined;
  },
): { stop: () => void } {
  let inUse = first;
  const look = async () => {
    try {
      const found = await readCertificate(files);
      if (found.cert === inUse.cert && found.key === inUse.key) return;
      use(found);
      inUse = found;
      log.info({ certificateFile: files.certificateFile }, 'a renewed certificate is in use');
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'the certificate that is in use stays');
    }
  };
  const timer = setInterval(() => void look(), everyMs);
  return { stop: () => clearInterval(timer) };
}
