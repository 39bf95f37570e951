import type { MigrationState } from './migration.ts';
import { formatBytes, formatSeconds } from './sizes.ts';

/** One migration in one look, as Markdown for Temporal's Web UI (`current details`). */
export function migrationDetails(s: MigrationState): string {
  const lines = [`**${s.phase}**${s.paused ? ' (paused)' : ''}${s.cancelRequested ? ' (cancel requested)' : ''} ${progressText(s)}`.trim(), ''];
  lines.push(`- volume \`${s.volumeId}\``);
  lines.push(`- ${s.source ?? '?'} → ${s.destination}${s.flow ? `, flow ${s.flow}` : ''}`);
  lines.push(`- cap: ${s.bandwidth === null ? 'none' : `${formatBytes(s.bandwidth)}/s`}`);
  if (s.waitingFor) lines.push(`- **waiting for** ${s.waitingFor}`);
  lines.push(`- refused operations: ${s.refusedOperations}`);
  return lines.join('\n');
}

/** `42 % — 0.8 GiB of 2.0 GiB, 120 MiB/s, ETA 10s`; empty before the size is known. */
export function progressText(s: Pick<MigrationState, 'totalBytes' | 'bytesDone' | 'bytesPerSecond'>): string {
  if (s.totalBytes === 0) return '';
  const percent = Math.floor((s.bytesDone / s.totalBytes) * 100);
  const speed = s.bytesPerSecond > 0 ? `, ${formatBytes(s.bytesPerSecond)}/s` : '';
  const left = s.totalBytes - s.bytesDone;
  const eta = s.bytesPerSecond > 0 && left > 0 ? `, ETA ${formatSeconds(left / s.bytesPerSecond)}` : '';
  return `${percent} % — ${formatBytes(s.bytesDone)} of ${formatBytes(s.totalBytes)}${speed}${eta}`;
}
