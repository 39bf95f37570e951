import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import * as z from 'zod';
import { configuration } from '../../configuration/schema.ts';
import { standIns, temporalVersion, uiVersion } from '../../setup/compose/stand-ins.ts';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const readYaml = (file: string): unknown => parse(read(file), { merge: true });

const texts = z.array(z.string());
const service = z.looseObject({
  image: z.string(),
  build: z.looseObject({ args: z.record(z.string(), z.string()) }).optional(),
  restart: z.enum(['no', 'unless-stopped']),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: texts.default([]),
  volumes: texts.default([]),
  ports: texts.default([]),
  networks: texts,
  cap_drop: texts,
  security_opt: texts,
  healthcheck: z.union([
    z.strictObject({ disable: z.literal(true) }),
    z.strictObject({
      test: texts,
      interval: z.string(),
      timeout: z.string(),
      start_period: z.string(),
      retries: z.number(),
    }),
  ]),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).default({}),
  deploy: z.looseObject({
    resources: z.strictObject({ limits: z.strictObject({ memory: z.string(), pids: z.number() }) }),
  }),
  logging: z.strictObject({ driver: z.literal('local'), options: z.record(z.string(), z.string()) }),
});
const composeFile = z.looseObject({
  services: z.record(z.string(), service),
  networks: z.record(z.string(), z.unknown()),
  volumes: z.record(z.string(), z.unknown()),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
});

const compose = composeFile.parse(readYaml('docker-compose.yml'));
const services = Object.entries(compose.services);
const isJob = (name: string) => compose.services[name]?.restart === 'no';
const manifest = z
  .looseObject({ version: z.string(), devDependencies: z.looseObject({ node: z.string() }) })
  .parse(JSON.parse(read('package.json')));

/** What stands for `${NAME:-default}` in a text, when nothing is set. */
const defaults = (text: string) => text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
const variable = /\$\{(\w+):-([^}]*)\}/g;

test('every service has a health check or runs to its end, limits, few rights, and logs that end', () => {
  for (const [name, each] of services) {
    assert.equal('disable' in each.healthcheck, isJob(name), `the health check of ${name}`);
    assert.deepEqual(each.cap_drop, ['ALL'], name);
    assert.deepEqual(each.security_opt, ['no-new-privileges:true'], name);
    assert.ok(
      each.networks.every((network) => network in compose.networks),
      name,
    );
  }
});

test('every image has a variable, and a version that does not move', () => {
  for (const [name, { image, build }] of services) {
    const [, set, given = ''] = /^\$\{(\w+_IMAGE):-([^}]+)\}$/.exec(image) ?? [];
    assert.ok(set, `${name}: ${image} has no variable`);
    assert.match(given, /^[\w/-]+:v?\d+\.\d+(\.\d+)?[\w.-]*$/, name);
    if (set !== 'FERRY_IMAGE') assert.ok(set in standIns, `setup/compose has no stand-in for ${set}`);
    if (build) assert.equal(build.args['FERRY_VERSION'], manifest.version);
  }
  assert.equal(defaults(compose.services['control']!.image), `ferry:${manifest.version}`);
  const node = `node:${manifest.devDependencies.node}-bookworm-slim`;
  assert.equal(defaults(compose.services['control']!.build!.args['NODE_IMAGE']!), node);
  assert.match(read('Dockerfile'), new RegExp(`^ARG NODE_IMAGE=${node}$`, 'm'));
});

test('what stands for images in the lane is of the same version', () => {
  const tag = (name: string) => defaults(compose.services[name]!.image).split(':')[1]!;
  assert.equal(`v${tag('temporal')}`, temporalVersion);
  assert.ok(`v${tag('temporal-schema')}`.startsWith(`${temporalVersion}-`));
  assert.equal(`v${tag('temporal-ui')}`, uiVersion);
});

test('.env.example has every variable, with its default', () => {
  const used = new Map([...read('docker-compose.yml').matchAll(variable)].map(([, name, value]) => [name!, value!]));
  const shown = new Map(
    [...read('.env.example').matchAll(/^#(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  );
  assert.deepEqual(Object.fromEntries(shown), Object.fromEntries(used));
});

test('no secret is in an environment; each is a file that make-secrets.sh makes', () => {
  for (const [name, { environment, secrets }] of services) {
    for (const [key, value] of Object.entries(environment)) {
      assert.doesNotMatch(value, /:\/\/[^/]*:[^/]*@/, `${name}: ${key} has a password`);
      if (/PASS|PWD|SECRET|TOKEN|DATABASE_URL/.test(key)) assert.match(value, /^\/run\/secrets\//, `${name}: ${key}`);
      const [, secret] = /^\/run\/secrets\/(.*)$/.exec(value) ?? [];
      if (secret) assert.ok(secrets.includes(secret), `${name} is not given ${secret}`);
    }
  }
  const script = read('compose/make-secrets.sh');
  for (const [name, { file }] of Object.entries(compose.secrets)) {
    assert.equal(defaults(file), `./compose/secrets/${name}`);
    assert.match(script, new RegExp(`\\| put ${name} \\d+$`, 'm'));
  }
  assert.doesNotMatch(read('compose/temporal/server.yaml'), /password:/);
});

test('ports are those of loopback until somebody says otherwise', () => {
  for (const [name, { ports }] of services) {
    for (const port of ports) assert.match(defaults(port), /^127\.0\.0\.1:\d+:\d+$/, name);
  }
});

test('what is waited for is there, and is waited for as it ends', () => {
  for (const [name, { depends_on }] of services) {
    for (const [needed, { condition }] of Object.entries(depends_on)) {
      assert.ok(needed in compose.services, `${name} waits for ${needed}`);
      assert.equal(
        condition,
        isJob(needed) ? 'service_completed_successfully' : 'service_healthy',
        `${name}: ${needed}`,
      );
    }
  }
  // `up --wait` waits for ever for a job that nobody needs.
  const needed = new Set(services.flatMap(([, each]) => Object.keys(each.depends_on)));
  assert.deepEqual(
    services.map(([name]) => name).filter((name) => isJob(name) && !needed.has(name)),
    [],
  );
});

/** Where a file of the checkout is in a container. */
const mounted = services.flatMap(([name, { volumes }]) =>
  volumes.map((each) => each.split(':')).map(([from = '', to = '', mode = '']) => ({ name, from, to, mode })),
);

test('every mounted file is there, and read-only; every volume is named', () => {
  for (const { name, from, mode } of mounted) {
    if (!from.startsWith('.')) assert.ok(from in compose.volumes, `${name}: ${from}`);
    else {
      assert.ok(existsSync(join(root, from)), `${name}: ${from}`);
      assert.equal(mode, 'ro', `${name}: ${from}`);
    }
  }
});

test("Ferry's configuration is one that Ferry takes; its addresses are where they are asked", () => {
  const own = configuration.parse(JSON.parse(read('compose/ferry/ferry.json')));
  assert.equal(own.databaseUrl, undefined);
  const health = JSON.stringify(compose.services['control']!.healthcheck);
  assert.ok(health.includes(`http://${own.healthAddress}/readyz`));
  assert.ok(read('Dockerfile').includes(`FERRY_HEALTH_ADDRESS=${own.healthAddress}`));
  const prometheus = z
    .looseObject({
      rule_files: texts,
      scrape_configs: z.array(
        z.looseObject({ dns_sd_configs: z.array(z.looseObject({ names: texts, port: z.number() })) }),
      ),
      alerting: z.looseObject({
        alertmanagers: z.array(z.looseObject({ static_configs: z.array(z.strictObject({ targets: texts })) })),
      }),
    })
    .parse(readYaml('compose/prometheus/prometheus.yml'));
  const [scraped] = prometheus.scrape_configs.flatMap((each) => each.dns_sd_configs);
  assert.deepEqual(scraped?.names, ['control']);
  assert.equal(String(scraped.port), own.metricsAddress?.split(':')[1]);
  const managers = prometheus.alerting.alertmanagers.flatMap((each) =>
    each.static_configs.flatMap(({ targets }) => targets),
  );
  assert.deepEqual(managers, ['alertmanager:9093']);
  const rules = mounted.find(({ from }) => from === './docs/monitoring/alert-rules.yaml');
  assert.equal(rules?.name, 'prometheus');
  assert.deepEqual(prometheus.rule_files, [rules.to.replace(/[^/]+$/, '*.yaml')]);
});

test('Grafana is given the dashboard of docs/monitoring, and a Prometheus; Alertmanager a receiver', () => {
  const dashboard = mounted.find(({ from }) => from === './docs/monitoring/grafana-dashboard.json');
  assert.equal(dashboard?.name, 'grafana');
  const { providers } = z
    .looseObject({ providers: z.array(z.looseObject({ options: z.strictObject({ path: z.string() }) })) })
    .parse(readYaml('compose/grafana/provisioning/dashboards/ferry.yaml'));
  assert.deepEqual(
    providers.map(({ options }) => `${options.path}/ferry.json`),
    [dashboard.to],
  );
  const { datasources } = z
    .looseObject({ datasources: z.array(z.looseObject({ type: z.string(), url: z.string() })) })
    .parse(readYaml('compose/grafana/provisioning/datasources/prometheus.yaml'));
  assert.deepEqual(
    datasources.map(({ type, url }) => [type, url]),
    [['prometheus', 'http://prometheus:9090']],
  );
  const { route, receivers } = z
    .looseObject({
      route: z.looseObject({ receiver: z.string() }),
      receivers: z.array(z.looseObject({ name: z.string() })),
    })
    .parse(readYaml('compose/alertmanager/alertmanager.yml'));
  assert.ok(receivers.some(({ name }) => name === route.receiver));
});
