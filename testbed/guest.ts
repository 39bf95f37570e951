import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentPort } from './agent-messages.ts';
import { panicIn } from './console-words.ts';
import { diskName, type KeeperSettings, type NodeSettings, nodeAddress } from './keeper-messages.ts';

/** How often the console is looked at for the kernel's last words. Milliseconds. */
const lookEveryMs = 500;

/** Longest boot: some seconds, tens on a machine under load. */
const bootSeconds = 300;

/** One node: a user-mode-linux process with its disks. */
export class Guest {
  readonly name: string;
  readonly address: string;
  readonly #settings: KeeperSettings;
  readonly #index: number;
  readonly #disks: readonly string[];
  #process: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | undefined;
  readonly #onPanic: (words: string) => void;

  /** `onPanic`: the node was up, and its kernel has panicked. It is off then. */
  constructor(settings: KeeperSettings, node: NodeSettings, index: number, onPanic: (words: string) => void) {
    this.#onPanic = onPanic;
    this.name = node.name;
    this.address = nodeAddress(index);
    this.#settings = settings;
    this.#index = index;
    const sizes = [...node.volumeGroups.map((group) => group.sizeMib), ...(node.extraDisksMib ?? [])];
    this.#disks = sizes.map((sizeMib, number) => {
      const disk = join(settings.runtime, 'disks', diskName(node.name, number));
      closeSync(openSync(disk, 'a'));
      truncateSync(disk, sizeMib * 2 ** 20);
      return disk;
    });
    writeFileSync(this.#settingsFile(), this.#settingsText(node));
  }

  async powerOn(): Promise<void> {
    await this.powerOff();
    const console = openSync(this.#consoleLog(), 'a');
    const from = fstatSync(console).size;
    const guest = spawn('taskset', this.#command(), {
      stdio: ['ignore', console, console],
      cwd: this.#settings.kernel.folder,
      env: { ...process.env, TMPDIR: join(this.#settings.runtime, 'memory') },
    });
    closeSync(console);
    this.#process = guest;
    this.#ended = new Promise((resolve) => {
      guest.once('exit', resolve).once('error', () => resolve());
    });
    await this.#answers(guest, from);
    this.#watch = setInterval(() => this.#lookForPanic(from), lookEveryMs);
  }

  /** Loss of power. When it resolves nothing of the node is left that could write to its disks. */
  async powerOff(): Promise<void> {
    clearInterval(this.#watch);
    // The kernel itself, not `unshare` around it: that ends once its child and all others in the namespace have.
    const kernel = this.#kernelPid();
    if (kernel) process.kill(kernel, 'SIGKILL');
    else this.#process?.kill('SIGKILL');
    this.#process = null;
    await this.#ended;
  }

  /** The node hangs, with its addresses and connections still there. */
  freeze(): void {
    this.#signalKernel('SIGSTOP');
  }

  thaw(): void {
    this.#signalKernel('SIGCONT');
  }

  /**
   * One cpu each (the first nodes of several testbeds not all the same): a system call in the guest is two switches between processes outside, and across cpus each costs a
   * wake-up. In a PID namespace of its own, because then the kernel ends the guest's helper processes with it: they
   * would go on writing to the disk beside the next boot.
   */
  #command(): string[] {
    const { runtime, memoryMib, kernel, shim } = this.#settings;
    // For the kernel alone: the programs around it have the machine's own libraries.
    const env = { ...kernel.env, ...(shim ? { LD_PRELOAD: shim } : {}) };
    const index = this.#index + 1;
    return [
      ...['-c', String(pickCpu(this.#index + process.pid))],
      ...['setpriv', '--pdeathsig', 'KILL'],
      ...['unshare', '--pid', '--fork', '--kill-child=SIGKILL'],
      ...['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), kernel.program],
      // Its programs run untraced where the kernel can do that.
      ...(kernel.isOld ? [] : ['seccomp=auto']),
      ...[`mem=${memoryMib}M`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'quiet', 'panic=1'],
      ...['con=null', 'con0=null,fd:1', `uml_dir=${runtime}/memory/`],
      ...[`init=${runtime}/guest-init.sh`, `FERRY_GUEST=${this.#settingsFile()}`],
      ...this.#disks.map((disk, number) => `ubd${number}=${disk}`),
      `vec0:transport=tap,ifname=tap${index},depth=128,gro=1,mac=02:00:0a:70:00:${hex(index)}`,
    ];
  }

  #settingsFile(): string {
    return join(this.#settings.runtime, `${this.name}.settings`);
  }

  #settingsText(node: NodeSettings): string {
    const values = {
      NODE_NAME: this.name,
      NODE_ADDRESS: this.address,
      NODE_HOSTS: this.#settings.nodes.map(({ name }, index) => `${nodeAddress(index)} ${name}\\n`).join(''),
      NODE_SHARE: this.#settings.share,
      NODE_SHARE_SOURCE: join(this.#settings.runtime, 'share'),
      NODE_VOLUME_GROUPS: node.volumeGroups.map(({ name }, number) => `${name}:/dev/ubd${letter(number)}`).join(' '),
      NODE_MODULES: this.#settings.kernel.modules,
      NODE_PROGRAM: process.execPath,
      NODE_AGENT: join(import.meta.dirname, 'agent.ts'),
    };
    return Object.entries(values)
      .map(([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'\n`)
      .join('');
  }

  /** The only child of `unshare`; its own children are traced and must not be stopped. Undefined when the node is off. */
  #kernelPid(): number | undefined {
    const { pid, exitCode, signalCode } = this.#process ?? {};
    if (!pid || exitCode !== null || signalCode !== null) return undefined;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]) || undefined;
  }

  #signalKernel(signal: NodeJS.Signals): void {
    const pid = this.#kernelPid();
    if (!pid) throw new Error(`${this.name} is off`);
    process.kill(pid, signal);
  }

  /** `from`: where this boot's words begin in the console's log. */
  async #answers(guest: ChildProcess, from: number): Promise<void> {
    for (const deadline = Date.now() + bootSeconds * 1000; Date.now() < deadline;) {
      if (this.#process !== guest) throw new Error(`${this.name} lost power while it was starting`);
      if (guest.exitCode !== null || guest.signalCode !== null)
        throw new Error(`${this.name} did not start${this.#lastWords(from)}`);
      const panic = panicIn(this.#said(from));
      if (panic !== null) {
        await this.powerOff();
        throw new Error(`${this.name} did not start: ${panic}`);
      }
      const answer = await fetch(`http://${this.address}:${agentPort}/`, { signal: AbortSignal.timeout(1000) }).catch(
        () => null,
      );
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${this.name} was not up after ${bootSeconds} s${this.#lastWords(from)}`);
  }

  #lookForPanic(from: number): void {
    const panic = panicIn(this.#said(from));
    if (panic === null) return;
    void this.powerOff();
    this.#onPanic(panic);
  }

  #lastWords(from: number): string {
    return `: ${this.#said(from).trim().split('\n').slice(-8).join(' | ')}`;
  }

  #said(from: number): string {
    return readFileSync(this.#consoleLog()).subarray(from).toString();
  }

  #consoleLog(): string {
    return join(this.#settings.logs, `${this.name}.console.log`);
  }
}

const letter = (number: number) => String.fromCharCode('a'.charCodeAt(0) + number);
const hex = (number: number) => number.toString(16).padStart(2, '0');

/** The cpus this process may use, in turn; a container often has not all of the machine's. */
function pickCpu(index: number): number {
  const ranges = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const cpus = ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
  return cpus[index % cpus.length] ?? 0;
}
