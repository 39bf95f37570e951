import { readFile } from 'node:fs/promises';
import { runCommand } from './run-command.ts';
import { goneOrForbidden } from './system-errors.ts';

/** What is looked for: a file, under one of its paths, or a block device by its number. */
export type Opened = OpenedFile | { readonly rdev: bigint };
export interface OpenedFile {
  readonly path: string;
  readonly stat: { readonly dev: bigint; readonly ino: bigint };
}

/** A descriptor of a process, both as /proc names them. */
export interface OpenDescriptor {
  readonly pid: string;
  readonly fd: string;
}

/** Who has it open, as far as it can be told. */
export interface Openers {
  /** By what processes have it open, as far as this user may look into them. */
  readonly descriptors: readonly OpenDescriptor[];
  /**
   * The kernel knows of somebody of whom no descriptor was found: a mapping alone, or a process that cannot be seen from here. QEMU locks its
   * images.
   */
  readonly unseen: boolean;
}

/**
 * Asks the kernel, and looks through all descriptors of all processes. It is a look, not a lock: who must know that nobody has it open keeps
 * others from opening it first. Throws `ToolFailed`.
 */
export async function openersOf(opened: Opened): Promise<Openers> {
  const operands = 'rdev' in opened ? [opened.rdev] : [opened.stat.dev, opened.stat.ino, opened.path];
  const { stdout } = await runCommand(['perl', '-w', '-e', look, '--', ...operands.map(String)]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  const [first] = lines;
  if (first === 'nobody') return { descriptors: [], unseen: false };
  const seen = lines.filter((line) => line !== 'unseen').map((line) => line.split(' ') as [string, string]);
  const descriptors = seen.map(([pid, fd]) => ({ pid, fd }));
  const unseen = lines.includes('unseen') || (seen.length === 0 && 'stat' in opened && (await isLocked(opened)));
  return { descriptors, unseen };
}

/**
 * Whether anybody has a lock on the file, also who cannot be looked into. The last question: the kernel takes 10 ms to make up the list, and
 * keeps everybody from locking meanwhile.
 */
async function isLocked({ stat: { dev, ino } }: OpenedFile): Promise<boolean> {
  const hex = (n: bigint) => n.toString(16).padStart(2, '0');
  const identity = ` ${majorAndMinor(dev).map(hex).join(':')}:${ino} `;
  const locks = await readFile('/proc/locks', 'utf8').catch(goneOrForbidden);
  return locks?.includes(identity) ?? false;
}

/** The kernel's dev_t as stat gives it: minor in bits 0-7 and 20-43, major in 8-19 and 44-63. */
export function majorAndMinor(dev: bigint): [major: bigint, minor: bigint] {
  return [((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn), (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn)];
}

/**
 * Of a file the kernel knows how often it is open: it grants a write lease on it only to whose descriptor is the only one (fcntl(2),
 * F_SETLEASE), and then there is nothing to look for. The lease ends with the program. Only the file's owner or root may have one, and not
 * every file system gives any.
 *
 * What a descriptor's link says (proc(5)) tells most of them apart without a question to any file system: `socket:[812]` has no path. In
 * Perl, as Node has no fcntl, and takes ten times as long for a hundred thousand descriptors. What is imported by name, and the module
 * `warnings`, would take longer to load than a usual look takes.
 */
const look = String.raw`
use strict; use Errno; use Fcntl ();
my ($device, $inode, $path) = @ARGV;
sub isIt { my @stat = @_; defined $inode ? $stat[0] == $device && $stat[1] == $inode : Fcntl::S_ISBLK($stat[2]) && $stat[6] == $device }
# Processes and descriptors come and go while they are looked at, and some are other users'.
sub skip { my ($what) = @_; return if grep { $!{$_} } qw(ENOENT ESRCH EACCES EPERM ENOTDIR ENXIO EINVAL); die "$what: $!\n" }

my ($file, $knows);
$SIG{IO} = 'IGNORE';
if (defined $path && sysopen($file, $path, Fcntl::O_RDONLY | Fcntl::O_NOFOLLOW | Fcntl::O_NONBLOCK)) { $knows = isIt(stat $file) }
# Whether others have it open: 0, 1, or undefined where the kernel does not tell.
sub isOpenElsewhere {
  return undef unless $knows;
  if (fcntl($file, Fcntl::F_SETLEASE, Fcntl::F_WRLCK)) { fcntl($file, Fcntl::F_SETLEASE, Fcntl::F_UNLCK); return 0 }
  return $!{EAGAIN} ? 1 : undef;
}

my $elsewhere = isOpenElsewhere();
if (defined $elsewhere && !$elsewhere) { print "nobody\n"; exit 0 }
my $found = 0;
opendir(my $processes, '/proc') or die "/proc: $!\n";
for my $pid (grep { /^\d+$/ && $_ != $$ } readdir $processes) {
  my $folder = "/proc/$pid/fd";
  opendir(my $descriptors, $folder) or do { skip($folder); next };
  for my $fd (grep { /^\d+$/ } readdir $descriptors) {
    my $link = readlink "$folder/$fd";
    next if defined $link && $link =~ /^[a-z_]+:/;
    my @stat = stat "$folder/$fd" or do { skip("$folder/$fd"); next };
    next unless isIt(@stat);
    print "$pid $fd\n";
    $found = 1;
  }
}
# Who had it open may have closed it meanwhile.
print "unseen\n" if $elsewhere && !$found && isOpenElsewhere();
`;
