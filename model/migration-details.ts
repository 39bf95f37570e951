import type { Reason } from './errors.ts';
import {
  comparesMirror,
  type Evidence,
  type MigrationRequest,
  type MigrationState,
  type Outcome,
  type Phase,
  type Proof,
  type VerifyMode,
} from './migration.ts';
import type { RefusedOperation } from './operation-requests.ts';
import { formatBytes, formatSeconds } from './sizes.ts';

/** How a migration ended. Refused: nothing was claimed, nothing was touched. */
export interface MigrationEnd {
  outcome: Outcome | 'refused';
  /** Why it is not a success. */
  reason?: Reason;
  digest?: string | null;
  proof?: Proof;
  /** Bytes that went over the wire; the rest were holes. */
  transferredBytes?: number;
}

/** What happened so far. Times are milliseconds since the epoch. */
export interface MigrationStory {
  /** Every phase in the order it was entered. */
  readonly phases: readonly { phase: Phase; at: number }[];
  /** When the last progress was reported. */
  readonly progressAt: number | null;
  readonly end: MigrationEnd | null;
}

const flowMeaning = {
  assisted: 'the storage moves it itself',
  'generic-detached': 'the destination pulls it from the source',
  'generic-attached': 'the hypervisor mirrors the disk of the running guest',
  undo: 'nothing is copied: it goes back to the source that was kept',
} as const;

const verifyMeaning = {
  both: 'source and destination are read once more, each by its own node, and compared',
  reread: 'the destination is read back and compared; the source too where the way is not TLS',
  inline: 'the digest of what arrived is recorded',
  none: 'not at all',
} as const;

/** How a running guest's disk is proven, unless nothing is to be compared. Its bytes change meanwhile, so that they have no digest. */
export const guestProof = 'both sides of the mirror are read and compared before the guest is turned';

const verifyLeftOpen = 'both where the way is not TLS, else reread';

const proofMeaning: Record<Proof, string> = {
  both: 'the source, what arrived and what was read back are equal',
  reread: 'what arrived and what was read back are equal',
  cache: 'what was compared is equal, but some of it could only be read from memory',
  inline: 'none but the digest of what arrived',
  none: 'none',
  shared: 'nothing was copied: it is the same file',
  compared: 'both sides of the mirror were read, and were equal',
};

/** Who has read what was compared; for people. */
export function evidenceText({ source, destination, copiedAgain, unprovenBytes = 0 }: Evidence): string {
  const sourceSide = { server: 'its own server, as it sent it', 'second read': 'its node, once more' };
  const destinationSide = {
    copier: 'read back range by range during the copy',
    'second read': 'read back after the copy',
    comparison: 'read back while a mirror kept both the same',
  };
  const what = destination === 'comparison' ? 'mirrored' : 'ranges copied';
  const again = copiedAgain > 0 ? `; ${copiedAgain} ${what} again, which were not the same at first` : '';
  const unproven =
    unprovenBytes > 0 ? `; ${formatBytes(unprovenBytes)} left out, which the guest wrote all the time` : '';
  return `source: ${source ? sourceSide[source] : 'not read again'}; destination: ${destinationSide[destination]}${again}${unproven}`;
}

/** The Web UI makes a text's frame a line too low. What it cuts off is this: a line with nothing to see (a zero-width space). */
const spacer = '\u200B';

/** What was asked for and how to follow it, as Markdown for Temporal's Web UI (static details). */
export function migrationPlan(request: MigrationRequest): string {
  return [
    `- **To:** \`${request.destination}\`${request.forceHostCopy ? ', from host to host in any case' : ''}`,
    ...(request.newType === null ? [] : [`- **Its type becomes:** ${codeSpan(request.newType)}`]),
    `- **Speed:** ${request.bandwidth === null ? 'no cap' : `at most ${formatBytes(request.bandwidth)}/s`}`,
    request.undoes === null
      ? `- **Verify:** ${request.verify ?? verifyLeftOpen}; under a running guest ${guestVerify(request.verify)}`
      : `- **Takes back:** migration \`${request.undoes}\`, if the volume has not been written since`,
    ...(request.keepSourceSeconds === null
      ? []
      : [`- **Source:** kept for ${formatSeconds(request.keepSourceSeconds)} after the switch`]),
    `- **Asked for by:** ${request.requestedBy}`,
    `- **Gives up when** a node is away for ${formatSeconds(request.nodeTimeoutSeconds)}`,
    `- **Watch:** \`ferry migration watch ${request.volumeId}\``,
    `- **Cancel:** \`ferry migration cancel ${request.volumeId}\``,
    `\n${spacer}`,
  ].join('\n');
}

/** One migration in one look, as Markdown for Temporal's Web UI (`current details`). */
export function migrationDetails(
  s: MigrationState,
  request: MigrationRequest,
  story: MigrationStory,
  refused: readonly RefusedOperation[] = [],
): string {
  const { end } = story;
  const parts = [end ? endText(s, end, took(story)) : nowText(s, story)];
  if (s.waitingFor && !end) parts.push(`**Waiting for** ${s.waitingFor}`);
  if (end?.reason) parts.push(`> **${end.reason.type}**: ${end.reason.message.replaceAll('\n', '\n> ')}`);
  parts.push(factsList(s, request, end));
  if (refused.length > 0) parts.push(refusedList(refused));
  parts.push(phasesList(story), spacer);
  return parts.join('\n\n');
}

function nowText(s: MigrationState, { progressAt }: MigrationStory): string {
  const notes = [s.paused && 'paused', s.cancelRequested && 'cancel requested'].filter(Boolean);
  const title = `### ${capitalized(s.phase)}${notes.length ? ` (${notes.join(', ')})` : ''}`;
  if (s.phase !== 'copying' && s.phase !== 'verifying') return title;
  const lines = [title, `\`${bar(s)}\` ${progressText(s)}`];
  if (progressAt !== null) lines.push(`_As of ${clock(progressAt)} UTC; newer: Pending Activities, Heartbeat Details_`);
  return lines.join('\n\n');
}

function endText(s: MigrationState, { outcome, reason }: MigrationEnd, duration: string): string {
  if (outcome === 'success') return `### Moved to ${s.destination} in ${duration}`;
  if (outcome === 'refused') return '### Refused: nothing was touched';
  const title = outcome === 'cancelled' ? `### Cancelled after ${duration}` : `### Failed after ${duration}`;
  // Somebody else decides about the volume: then this migration cannot say where it is.
  const unknown = reason?.type === 'Fenced' || reason?.type === 'ParkedForOperator';
  return unknown ? title : `${title}: the volume stays on ${s.source}`;
}

function factsList(s: MigrationState, request: MigrationRequest, end: MigrationEnd | null): string {
  const facts: [string, string][] = [
    ['Volume', `\`${s.volumeId}\`${s.totalBytes ? `, ${formatBytes(s.totalBytes)}` : ''}`],
    ['From → to', `\`${s.source ?? '?'}\` → \`${s.destination}\``],
  ];
  if (request.newType !== null) facts.push(['Type', `becomes ${codeSpan(request.newType)} with the switch`]);
  if (s.flow) facts.push(['Flow', `${s.flow}: ${flowMeaning[s.flow]}`]);
  facts.push(
    request.undoes === null
      ? ['Verify', verifyText(s)]
      : ['Takes back', `migration \`${request.undoes}\`, if both devices hold the same bytes`],
  );
  if (request.keepSourceSeconds !== null)
    facts.push(['Source', `kept for ${formatSeconds(request.keepSourceSeconds)} after the switch`]);
  if (end?.proof) facts.push(['Proof', proofMeaning[end.proof]]);
  if (end?.digest) facts.push(['Digest', `\`${end.digest}\``]);
  if (end?.transferredBytes !== undefined)
    facts.push(['Sent', `${formatBytes(end.transferredBytes)} of ${formatBytes(s.totalBytes)}; the rest were holes`]);
  if (!end) facts.push(['Cap', s.bandwidth === null ? 'none' : `${formatBytes(s.bandwidth)}/s`]);
  facts.push(['Asked for by', request.requestedBy], ['Refused operations', `${s.refusedOperations}`]);
  return facts.map(([name, value]) => `- **${name}:** ${value}`).join('\n');
}

function verifyText({ flow, verify }: MigrationState): string {
  if (flow === 'generic-attached') return guestVerify(verify);
  return verify === null ? verifyLeftOpen : `${verify}: ${verifyMeaning[verify]}`;
}

const guestVerify = (verify: VerifyMode | null) => (comparesMirror(verify) ? guestProof : 'not at all');

/** Of many refused operations the last ones tell enough at a look; the query `refusedOperations` has more. */
const refusalsShown = 5;

function refusedList(refused: readonly RefusedOperation[]): string {
  const lines = refused
    .slice(-refusalsShown)
    .map((r) => `- refused: ${r.operation}, asked by ${codeSpan(r.requestedBy)} at ${clock(Date.parse(r.at))} UTC`);
  return lines.join('\n');
}

/** A stranger's text, so that it stays one line and no Markdown. */
function codeSpan(text: string): string {
  return `\`${text.replaceAll(/[`\p{Cc}]/gu, ' ')}\``;
}

/** How long each phase took; the one under way: since when. */
function phasesList({ phases, end }: MigrationStory): string {
  const items = phases.flatMap(({ phase, at }, i) => {
    const next = phases[i + 1];
    if (next) return `${phase}: ${formatSeconds((next.at - at) / 1000)}`;
    return end ? [] : `**${phase}** since ${clock(at)} UTC`;
  });
  return items.map((item, i) => `${i + 1}. ${item}`).join('\n');
}

/** From the first phase to the last. */
function took({ phases }: MigrationStory): string {
  return formatSeconds((phases.at(-1)!.at - phases[0]!.at) / 1000);
}

type Done = Pick<MigrationState, 'totalBytes' | 'bytesDone' | 'zeroedBytes'>;

/** Of what is under way: the zeroing of a destination comes first, and then the bytes from their start. */
export function doneBytes({ zeroedBytes, bytesDone }: Done): number {
  return zeroedBytes ?? bytesDone;
}

/** Of 1. A mirror carries more than the disk holds: what the guest writes meanwhile goes over again. */
function shareDone(s: Done): number {
  return s.totalBytes === 0 ? 0 : Math.min(1, doneBytes(s) / s.totalBytes);
}

/** Twenty blocks, filled as far as the bytes are done. */
function bar(s: Done): string {
  const filled = Math.floor(shareDone(s) * 20);
  return '█'.repeat(filled) + '░'.repeat(20 - filled);
}

const clock = (ms: number) => new Date(ms).toISOString().slice(11, 19);

const capitalized = (phase: Phase) => phase.charAt(0).toUpperCase() + phase.slice(1).replaceAll('-', ' ');

/** `42 % — 0.8 GiB of 2.0 GiB, 120 MiB/s, ETA 10s`, or `zeroing: ` and that; empty before the size is known. */
export function progressText(s: Done & Pick<MigrationState, 'bytesPerSecond'>): string {
  if (s.totalBytes === 0) return '';
  const percent = Math.floor(shareDone(s) * 100);
  const speed = s.bytesPerSecond > 0 ? `, ${formatBytes(s.bytesPerSecond)}/s` : '';
  const left = s.totalBytes - doneBytes(s);
  const eta = s.bytesPerSecond > 0 && left > 0 ? `, ETA ${formatSeconds(left / s.bytesPerSecond)}` : '';
  const what = s.zeroedBytes === null ? '' : 'zeroing: ';
  return `${what}${percent} % — ${formatBytes(doneBytes(s))} of ${formatBytes(s.totalBytes)}${speed}${eta}`;
}
