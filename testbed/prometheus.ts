import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import * as z from 'zod';
import { freePorts } from '../workers/embedded/free-ports.ts';

/** How long it may take to its first answer on a machine under load. Milliseconds. */
const readyMs = 120_000;

const answered = z.object({ status: z.literal('success'), data: z.unknown() });
const vector = z.object({
  resultType: z.string(),
  result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
});
const alerts = z.object({
  alerts: z.array(
    z.object({
      state: z.string(),
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
    }),
  ),
});

/** A real Prometheus that scrapes every second. */
export interface Prometheus {
  /** What an expression gives now. */
  query(expression: string): Promise<z.infer<typeof vector>['result']>;
  /** The alerts that are raised, or will be if that goes on. */
  alerts(): Promise<z.infer<typeof alerts>['alerts']>;
  stop(): Promise<void>;
}

/** Starts one in a folder. `targets`: addresses (host:port) that show metrics; `rules`: a file of alerts. Ends with this process. */
export async function startPrometheus(
  directory: string,
  targets: readonly string[],
  rules: string,
): Promise<Prometheus> {
  await mkdir(directory, { recursive: true });
  const file = join(directory, 'prometheus.yaml');
  const every = { scrape_interval: '1s', evaluation_interval: '1s' };
  const scraped = [{ job_name: 'ferry', static_configs: [{ targets }] }];
  await writeFile(file, stringify({ global: every, rule_files: [rules], scrape_configs: scraped }));
  const [port] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  await using log = await open(join(directory, 'prometheus.log'), 'a');
  const own = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=${address}`,
  ];
  const child = spawn('setpriv', ['--pdeathsig', 'SIGKILL', '--', 'prometheus', ...own], {
    stdio: ['ignore', log.fd, log.fd],
  });
  const ended = once(child, 'exit');
  const ask = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://${address}${path}`);
    const text = await response.text();
    const parsed = answered.safeParse(JSON.parse(text));
    if (!parsed.success) throw new Error(`Prometheus answers ${path} with ${text}`);
    return parsed.data.data;
  };
  const prometheus: Prometheus = {
    query: async (expression) =>
      vector.parse(await ask(`/api/v1/query?query=${encodeURIComponent(expression)}`)).result,
    alerts: async () => alerts.parse(await ask('/api/v1/alerts')).alerts,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
  for (const deadline = Date.now() + readyMs; ; await sleep(200)) {
    const isReady = await prometheus.query('up').then(
      (found) => found.length === targets.length,
      () => false,
    );
    if (isReady) return prometheus;
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`Prometheus does not answer; see ${join(directory, 'prometheus.log')}`);
    }
  }
}
