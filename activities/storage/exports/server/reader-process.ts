import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import net from 'node:net';
import { join } from 'node:path';
import { isNamed } from '../../../../model/named-peers.ts';
import { deviceFacts } from '../../copier/block-device.ts';
import { openMedium } from '../../copier/open-medium.ts';
import { tellsHoles } from '../../file-system.ts';
import { digestsOf } from '../digests-of.ts';
import { parseReaderArguments, readerName } from '../server-command.ts';
import { serveSource } from './served.ts';
import { serveClient, type StartTls } from './session.ts';

// The process that serves one device for reading. Started by `startReader`; it says one line when it listens, and outlives its worker.

/** As many connections as a migration may ever need at once, with those of a try that was lost. */
const mostConnections = 16;

async function main(): Promise<void> {
  const settings = parseReaderArguments(process.argv.slice(2));
  // By this name it is looked for; its arguments must stay as they are.
  writeFileSync('/proc/self/comm', readerName);
  const { exportName, path, address, port, tlsDirectory, peers, pidFile } = settings;
  // As qemu-nbd does, for who looks for the servers that a node has left.
  writeFileSync(pidFile, `${process.pid}\n`);
  const facts = await deviceFacts(path);
  const { file, medium } = await openMedium(facts);
  const { device, digests } = serveSource(file, { ...facts, tellsHoles: await tellsHoles(path) });
  // Digests are of the medium or of nothing.
  const proves = medium === 'direct';
  const offered = new Map([[exportName, device], ...(proves ? [[digestsOf(exportName), digests] as const] : [])]);
  const startTls = tlsDirectory === null ? null : await startTlsWith(tlsDirectory, peers);
  const server = net.createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 }, (socket) =>
    serveClient(socket, { offered, startTls }),
  );
  server.maxConnections = mostConnections;
  server.on('error', fail);
  // Nobody hears it: nobody knows of it either, and nobody would end it.
  process.stdout.on('error', fail);
  server.listen({ host: address, port }, () => {
    process.stdout.write('listening\n');
    // Such a process is ended by a signal, with which nothing is kept for the next one to start faster.
    setImmediate(flushCompileCache);
  });
}

async function startTlsWith(directory: string, peers: readonly string[] | null): Promise<StartTls> {
  // Loaded only where it is needed: everybody else starts faster.
  const { default: tls } = await import('node:tls');
  const [ca, cert, key] = await Promise.all(
    ['ca-cert.pem', 'server-cert.pem', 'server-key.pem'].map((name) => readFile(join(directory, name))),
  );
  const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  return (plain, onSecure) => {
    const server = tls.createServer(options, (secure) => {
      const isMeant = peers === null || isNamed(secure.getPeerCertificate().subject.CN, peers);
      if (isMeant) onSecure(secure);
      else plain.destroy();
    });
    server.on('tlsClientError', () => plain.destroy());
    server.emit('connection', plain);
  };
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
}

process.stderr.on('error', () => process.exit(1));
await main().catch(fail);
