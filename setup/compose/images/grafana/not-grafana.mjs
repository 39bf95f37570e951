// Not Grafana. Reads what Grafana would read, so that a wrong mount or right is seen, and answers /api/health.
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const password = process.env['GF_SECURITY_ADMIN_PASSWORD__FILE'] ?? '';
if (readFileSync(password, 'utf8').trim() === '') throw new Error(`${password} is empty`);
for (const each of ['datasources/prometheus.yaml', 'dashboards/ferry.yaml'])
  readFileSync(`/etc/grafana/provisioning/${each}`);
const dashboards = readdirSync('/etc/grafana/dashboards').map((name) =>
  JSON.parse(readFileSync(`/etc/grafana/dashboards/${name}`, 'utf8')),
);
accessSync('/var/lib/grafana', constants.W_OK);
const answer = JSON.stringify({
  database: 'ok',
  version: 'not Grafana',
  dashboards: dashboards.map(({ title }) => title),
});
createServer((_request, response) => response.end(answer)).listen(3000, '0.0.0.0');
process.on('SIGTERM', () => process.exit());
