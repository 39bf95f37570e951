// Exports a file and says where; what becomes of the export when this process dies is the test's matter.
import { loopbackExports } from './loopback-exports.ts';

const [stateDirectory, path, port] = process.argv.slice(2) as [string, string, string];
const ports = { from: Number(port), to: Number(port) + 20 };
const exports = loopbackExports({ stateDirectory, ports });
process.send!(await exports.ensure({ exportName: 'migration-1', path, writable: false, tags: ['ferry.migration=a1'] }));
setInterval(() => {}, 1000);
