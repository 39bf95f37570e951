/** What happened, counted: `counts.migrate['success']`. */
export class Tally {
  readonly counts: Record<string, Record<string, number>> = {};
  /** `run`: null for one of the disturbances, which could not be made. */
  readonly violations: { run: number | null; steps: unknown; what: string }[] = [];

  count(what: string, how: string): void {
    const of = (this.counts[what] ??= {});
    of[how] = (of[how] ?? 0) + 1;
  }

  total(what: string): number {
    return Object.values(this.counts[what] ?? {}).reduce((sum, n) => sum + n, 0);
  }

  text(): string {
    const lines = Object.entries(this.counts)
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([what, hows]) => {
        const parts = Object.entries(hows).toSorted(([, a], [, b]) => b - a);
        return `  ${what}: ${parts.map(([how, n]) => `${n} ${how}`).join(', ')}`;
      });
    const found = this.violations.map(
      ({ run, steps, what }) => `  run ${run ?? '-'}: ${what}\n    ${JSON.stringify(steps)}`,
    );
    return [...lines, `violations: ${found.length}`, ...found].join('\n');
  }
}
