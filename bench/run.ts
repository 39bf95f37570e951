// node bench/run.ts [name ...] [--rounds=N] [--scale=F]
// Runs the named benches, or all of them. Each prints figures of this machine, as ratios to something measured beside it.
import { parseArgs } from 'node:util';

/** How much a bench is to do: rounds of each measurement, and a factor to the sizes for a quick look. */
export interface BenchOptions {
  readonly rounds: number;
  readonly scale: number;
}

const benches: Record<string, () => Promise<{ run: (options: BenchOptions) => Promise<void> }>> = {
  copy: () => import('./copy/run.ts'),
  'registry-guard': () => import('./registry-guard.ts'),
  'refused-update': () => import('./refused-update.ts'),
  migrations: () => import('./migrations.ts'),
  attached: () => import('./attached.ts'),
  evacuation: () => import('./evacuation/run.ts'),
  load: () => import('./load.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '3' }, scale: { type: 'string', default: '1' } },
});
const options = { rounds: Number(values.rounds), scale: Number(values.scale) };
const unknown = positionals.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0 || !Number.isInteger(options.rounds) || options.rounds < 1 || !(options.scale > 0)) {
  console.error(`usage: npm run bench -- [${Object.keys(benches).join(' | ')}] [--rounds=3] [--scale=1]`);
  process.exit(2);
}
for (const name of positionals.length > 0 ? positionals : Object.keys(benches)) {
  const { run } = await benches[name]!();
  await run(options);
}
