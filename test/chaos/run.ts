// npm run chaos -- --runs N --seed S --lanes L --only K: volumes live random lives while everything fails at random.
// --only, once or more: only these of the lives.
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { chaos } from './chaos.ts';

const count = z.coerce.number().int().positive();
const { values } = parseArgs({
  options: {
    runs: { type: 'string' },
    seed: { type: 'string' },
    lanes: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
});
const options = z
  .object({
    runs: count.default(100),
    seed: z.coerce
      .number()
      .int()
      .default(() => Math.floor(Math.random() * 2 ** 31)),
    lanes: count.default(8),
    only: z.array(z.coerce.number().int().nonnegative()).optional(),
  })
  .parse(values);

console.log(
  `${options.runs} runs, ${options.lanes} at once; again with: --runs ${options.runs} --seed ${options.seed}`,
);
const startedAt = Date.now();
const tally = await chaos({ ...options, upheavals: true, log: console.log });
console.log(`${options.runs} runs with seed ${options.seed} in ${Math.round((Date.now() - startedAt) / 1000)} s`);
console.log(tally.text());
for (const { run } of tally.violations)
  if (run !== null)
    console.log(`run ${run} alone: npm run chaos -- --runs ${options.runs} --seed ${options.seed} --only ${run}`);
process.exitCode = tally.violations.length > 0 ? 1 : 0;
