import { extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { FerryError } from '../../../model/errors.ts';
import { authorization } from './authorization.ts';

/** What a server is told with its arguments, and can be asked about by them for as long as it runs. */
export interface ServerSettings {
  readonly exportName: string;
  readonly path: string;
  readonly writable: boolean;
  readonly address: string;
  readonly port: number;
  /** Folder with ca-cert.pem, server-cert.pem and server-key.pem; null is no TLS. */
  readonly tlsDirectory: string | null;
  /** The machines that it is for, by their certificates; null: any whose certificate is good, or nobody has one. */
  readonly peers: readonly string[] | null;
}

/**
 * What a server needs to serve beside another one of the same export, with a client of its own: while libvirt migrates a guest, two QEMUs have
 * its disk. See docs/decisions/039-two-qemus-while-a-guest-is-migrated.md.
 */
export interface Joined {
  /** The device is one, and no file. */
  readonly isBlock: boolean;
  /** Of the two names that the servers of an export may have their pid files by, the one that the other has not. */
  readonly pidFile: string;
}

export type Aio = 'io_uring' | 'threads';

/** As many readers as a migration may ever need at once: the copier's connections and a second look at the source. */
const readers = 8;

/** QEMU's options are a comma-separated list; a comma in a value is doubled. */
const optionValue = (text: string) => text.replaceAll(',', ',,');

/** The file by which a server is known as one of this folder's: it holds a lock on it, so there is one a name. */
export function pidFile(folder: string, exportName: string): string {
  return join(folder, `${exportName}.pid`);
}

/** All that the servers of an export may have, two at a time while its guest is migrated. */
export function pidFiles(folder: string, exportName: string): [string, string] {
  return [pidFile(folder, exportName), join(folder, `${exportName}.joined.pid`)];
}

/**
 * A client that died without a word, with its hypervisor or behind a partition, holds the one place of a writable export. It is let go
 * after this many seconds without a sign of its kernel; one that lives is cut off with it, and can write only by a new connection.
 */
const silence = { idleSeconds: 10, probeSeconds: 5, probes: 3 };

/** The end of both scripts below: the program is handed the socket of that descriptor, as service managers hand one over. */
const handOver = (descriptor: string) => `
if (${descriptor} != 3) { require POSIX; POSIX::dup2(${descriptor}, 3) or die "dup2: $!\n"; }
$ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$;
exec { $program[0] } @program or die "cannot run $program[0]: $!\n";
`;

/**
 * Listens on ADDRESS PORT with keep-alive, and becomes the program that is named after them, which is handed the socket as service managers
 * hand one over. Every connection inherits the socket's options. Neither qemu-nbd nor Node can set them.
 */
const listener = `
use strict; use Socket qw(:DEFAULT :addrinfo IPPROTO_TCP SO_KEEPALIVE SO_REUSEADDR);
my ($address, $port, $userTimeout, @program) = @ARGV;
my ($error, $found) = getaddrinfo($address, $port, { flags => AI_PASSIVE, socktype => SOCK_STREAM });
die "cannot listen on $address: $error\n" if $error;
$^F = 3;
socket(my $socket, $found->{family}, SOCK_STREAM, 0) or die "socket: $!\n";
my @options = ([4, ${silence.idleSeconds}], [5, ${silence.probeSeconds}], [6, ${silence.probes}]); # TCP_KEEPIDLE, -INTVL, -CNT
push @options, [18, $userTimeout] if $userTimeout > 0; # TCP_USER_TIMEOUT
setsockopt($socket, SOL_SOCKET, $_, pack("i", 1)) or die "setsockopt: $!\n" for SO_REUSEADDR, SO_KEEPALIVE;
setsockopt($socket, IPPROTO_TCP, $_->[0], pack("i", $_->[1])) or die "setsockopt: $!\n" for @options;
bind($socket, $found->{addr}) or die "cannot listen on $address, port $port: $!\n";
listen($socket, 8) or die "cannot listen on $address, port $port: $!\n";
${handOver('fileno($socket)')}`;

/** The command that listens, and then becomes the server. */
export function listeningServerCommand(folder: string, settings: ServerSettings, aio: Aio): [string, ...string[]] {
  const { address, port, writable } = settings;
  // Readers may leave their answers unread for as long as they like: it is the one writer that keeps others out.
  const userTimeoutMs = writable ? (silence.idleSeconds + silence.probeSeconds * silence.probes) * 1000 : 0;
  const operands = [address, port, userTimeoutMs].map(String);
  return ['perl', '-e', listener, '--', ...operands, ...serverCommand(folder, settings, aio)];
}

/**
 * Takes the listening socket of the server PID, and becomes the program that is named after it, which is handed that socket too: the next
 * client in its queue is taken by the server that has nobody.
 */
const joiner = `
use strict; my ($pid, @program) = @ARGV;
$^F = 3;
my $process = syscall(434, $pid + 0, 0); # pidfd_open
die "process $pid: $!\n" if $process < 0;
my $socket = syscall(438, $process, 3, 0); # pidfd_getfd
die "the socket of process $pid: $!\n" if $socket < 0;
${handOver('$socket')}`;

/** The command that takes the socket of a server that was handed its own, and then becomes one beside it. */
export function joiningServerCommand(
  folder: string,
  settings: ServerSettings,
  { pid, aio, joined }: { pid: number; aio: Aio; joined: Joined },
): [string, ...string[]] {
  return ['perl', '-e', joiner, '--', `${pid}`, ...serverCommand(folder, settings, aio, joined)];
}

/** The name of the processes that serve for reading, as the system has it. */
export const readerName = 'ferry-nbd';

/** Beside this file, and of its kind: a release is JavaScript. */
const readerProgram = join(import.meta.dirname, `server/reader-process${extname(import.meta.filename)}`);

/** Of another release too, wherever that was. */
const anyReader = /\/exports\/server\/reader-process\.[jt]s$/;

/** The command of a server of our own, which reads only. It stays in the foreground. */
export function readerCommand(folder: string, settings: Omit<ServerSettings, 'writable'>): [string, ...string[]] {
  const { exportName, path, address, port, tlsDirectory, peers } = settings;
  return [
    process.execPath,
    readerProgram,
    '--read-only',
    ...(tlsDirectory === null ? [] : [`--tls-directory=${tlsDirectory}`]),
    ...(peers === null ? [] : [`--peers=${peers.join(',')}`]),
    `--export-name=${exportName}`,
    `--bind=${address}`,
    `--port=${port}`,
    `--pid-file=${pidFile(folder, exportName)}`,
    '--',
    path,
  ];
}

/** What a process started by `readerCommand` is to serve. */
export function parseReaderArguments(
  args: readonly string[],
): Omit<ServerSettings, 'writable'> & { readonly pidFile: string } {
  const { values, positionals } = parseArgs({ ...parsed, args: [...args] });
  const { 'export-name': exportName, 'pid-file': file, bind: address, port, 'tls-directory': tls = null } = values;
  const { peers } = values;
  const [path] = positionals;
  if (typeof exportName !== 'string' || typeof file !== 'string' || typeof address !== 'string' || path === undefined)
    throw new FerryError('InvalidInput', 'It is not told what to serve');
  return {
    exportName,
    path,
    address,
    port: Number(port),
    tlsDirectory: tls as string | null,
    peers: readPeers(peers),
    pidFile: file,
  };
}

const parsed = {
  strict: false,
  allowPositionals: true,
  options: {
    'export-name': { type: 'string' },
    'pid-file': { type: 'string' },
    description: { type: 'string' },
    bind: { type: 'string' },
    port: { type: 'string' },
    'read-only': { type: 'boolean' },
    object: { type: 'string', multiple: true },
    'image-opts': { type: 'boolean' },
    'tls-directory': { type: 'string' },
    peers: { type: 'string' },
  },
} as const;

function readPeers(said: unknown): readonly string[] | null {
  return typeof said === 'string' ? said.split(',') : null;
}

/** The command of a server that is handed its socket, and goes into the background. */
export function serverCommand(
  folder: string,
  settings: ServerSettings,
  aio: Aio,
  joined?: Joined,
): [string, ...string[]] {
  const { exportName, path, writable, address, port, tlsDirectory, peers } = settings;
  return [
    'qemu-nbd',
    '--fork',
    '--persistent',
    ...(joined ? ['--image-opts'] : ['--format=raw', '--cache=none', `--aio=${aio}`]),
    // One client only: the fence against two writers.
    ...(writable ? ['--discard=unmap', '--shared=1'] : ['--read-only', `--shared=${readers}`]),
    ...(tlsDirectory === null
      ? []
      : [
          `--object=tls-creds-x509,id=tls,dir=${optionValue(tlsDirectory)},endpoint=server,verify-peer=on`,
          '--tls-creds=tls',
        ]),
    ...(peers === null ? [] : [`--object=${JSON.stringify(authorization('peers', peers))}`, '--tls-authz=peers']),
    `--export-name=${exportName}`,
    // It is handed its socket, and may not be told where that listens. This is for those who read its command line.
    `--description=${[address, port, ...(peers === null ? [] : [peers.join(',')])].join(' ')}`,
    `--pid-file=${joined?.pidFile ?? pidFile(folder, exportName)}`,
    '--',
    joined ? unlocked(path, joined, aio) : path,
  ];
}

/** The device as QEMU opens it beside who has locked it for himself: the two QEMUs that use it have a hand-over of their own. */
function unlocked(path: string, { isBlock }: Joined, aio: Aio): string {
  const file = `file.driver=${isBlock ? 'host_device' : 'file'},file.locking=off,file.aio=${aio}`;
  return `driver=raw,cache.direct=on,discard=unmap,${file},file.filename=${optionValue(path)}`;
}

/** What the server with this command line serves, and whether its digests too; null when it is none of this folder's. */
export function parseServerCommand(
  folder: string,
  argv: readonly string[],
): (ServerSettings & { readonly digests: boolean; readonly pidFile: string }) | null {
  // Node's first argument is its program.
  const isReader = anyReader.test(argv[1] ?? '');
  const { values, positionals } = parseArgs({ ...parsed, args: argv.slice(isReader ? 2 : 1) });
  const { 'export-name': exportName, 'pid-file': file, description, object, 'tls-directory': ownTls } = values;
  const isJoined = values['image-opts'] === true;
  const path = isJoined
    ? /file\.filename=(.*)$/.exec(positionals[0] ?? '')?.[1]?.replaceAll(',,', ',')
    : positionals[0];
  // Servers of an earlier version were told where to listen; they may run for as long as their guests do.
  const [address, port, peers] =
    typeof description === 'string' ? description.split(' ') : [values.bind, values.port, values.peers];
  if (typeof exportName !== 'string' || typeof address !== 'string' || path === undefined) return null;
  if (typeof file !== 'string' || !pidFiles(folder, exportName).includes(file)) return null;
  const objects = Array.isArray(object) ? object.map(String) : [];
  const dir = objects.map((each) => /^tls-creds-x509,.*?\bdir=((?:[^,]|,,)*)/.exec(each)?.[1]).find(Boolean);
  return {
    exportName,
    path,
    writable: values['read-only'] !== true,
    address,
    port: Number(port),
    tlsDirectory: typeof ownTls === 'string' ? ownTls : (dir?.replaceAll(',,', ',') ?? null),
    peers: readPeers(peers),
    digests: isReader,
    pidFile: file,
  };
}
