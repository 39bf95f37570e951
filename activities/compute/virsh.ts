import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FerryError } from '../../model/errors.ts';
import type { RunCommand } from '../storage/run-command.ts';

/** What a refusal of virsh means; its exit code is 1 for all of them. */
export type VirshRefusal =
  | 'libvirtd-down'
  | 'no-domain'
  | 'not-running'
  | 'no-job'
  | 'job-ended' // it is over, by itself or by somebody else's word, and QEMU has not put it away yet, or just has
  | 'job-exists'
  | 'not-ready'
  | 'busy' // another call holds the domain: it may hang
  | 'already-so' // what was asked for is so
  | 'other';

const phrases: readonly (readonly [RegExp, VirshRefusal])[] = [
  [
    /failed to connect to the hypervisor|Failed to connect socket|End of file while reading data|client socket is closed/i,
    'libvirtd-down',
  ],
  [/cannot acquire state change lock|not finished after \d+ s/i, 'busy'],
  [/failed to get domain|Domain not found/i, 'no-domain'],
  [/domain is not running|domain is not active|not an active domain/i, 'not-running'],
  [/not ready for pivot yet/i, 'not-ready'],
  [/already in active block job/i, 'job-exists'],
  [/does not have an active block job/i, 'no-job'],
  [/in state '(waiting|pending|aborting|concluded|null)' cannot accept command verb/i, 'job-ended'],
  [/\bjob\b.* not found|no active block job/i, 'job-ended'],
  [/domain is already running|domain is already active|already in the process of unplug/i, 'already-so'],
];

/** Reads the words in which virsh, or the clock, refused. */
export function refusalOf(words: string): VirshRefusal {
  return phrases.find(([pattern]) => pattern.test(words))?.[1] ?? 'other';
}

/** Above libvirt's own 30 s of waiting for a domain that another call holds, so that its reason is heard. Milliseconds. */
const patienceMs = 40_000;

/** A call in flight is never broken off: libvirtd would carry it out all the same. */
const notCancelled = new AbortController().signal;

/** libvirt, through its own client. */
export interface Virsh {
  /** Runs one command; its output. Rejects with `ToolFailed`, `details.refusal` tells why (`VirshRefusal`). */
  (command: string, ...operands: string[]): Promise<string>;
}

/** `uri`: the connection, e.g. `qemu:///system`. */
export function createVirsh(deps: { uri: string; run: RunCommand }): Virsh {
  return async (command, ...operands) => {
    try {
      const argv = ['virsh', '-q', '-c', deps.uri, command, ...operands] as const;
      return (await deps.run([...argv], { timeoutMs: patienceMs, signal: notCancelled })).stdout;
    } catch (error) {
      if (!(error instanceof FerryError)) throw error;
      const { stderr } = error.details;
      const refusal = refusalOf(typeof stderr === 'string' ? `${stderr} ${error.message}` : error.message);
      throw new FerryError(
        error.type,
        `virsh ${command}: ${error.message}`,
        { ...error.details, refusal },
        { cause: error },
      );
    }
  };
}

/**
 * Asks several questions in one start of virsh, which costs more than they do; one answer each, in their order. Only for what changes
 * nothing: where one was refused all are asked again, one by one, and the refusal is that of the question.
 */
export async function askTogether(
  virsh: Virsh,
  questions: readonly (readonly [command: string, ...operands: string[]])[],
): Promise<string[]> {
  const mark = randomUUID();
  const line = questions.map((words) => words.map(quoted).join(' ')).join(`; echo ${mark}; `);
  try {
    // A refusal before the last one leaves nothing but an empty answer.
    const answers = (await virsh(line)).split(mark);
    if (answers.length === questions.length && answers.every((answer) => answer.trim() !== '')) return answers;
  } catch (error) {
    const refusal = refusalIn(error);
    if (refusal === null || refusal === 'busy' || refusal === 'libvirtd-down') throw error;
  }
  const answers: string[] = [];
  for (const words of questions) answers.push(await virsh(...words));
  return answers;
}

/** As virsh reads a line of commands: within single quotes every sign is itself. */
function quoted(word: string): string {
  if (/['\n\0]/.test(word)) throw new FerryError('InvalidInput', `${JSON.stringify(word)} is no word for virsh.`);
  return `'${word}'`;
}

/** Why virsh refused; `null` for every other error. */
export function refusalIn(error: unknown): VirshRefusal | null {
  return error instanceof FerryError && typeof error.details['refusal'] === 'string'
    ? (error.details['refusal'] as VirshRefusal)
    : null;
}

/** Lends the text as a file, for the commands of virsh that take XML from one. */
export async function withFile<T>(text: string, use: (path: string) => Promise<T>, name = 'device.xml'): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ferry-xml-'));
  try {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o600 });
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
