#!/usr/bin/env node
// Runs Ferry on the Node version that the project pins, whatever Node the user has.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withCompileCache } from '../setup/cache-folder.mjs';

const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
const main = fileURLToPath(new URL('./ferry.ts', import.meta.url));
if (!existsSync(node)) {
  console.error('Ferry is not installed yet: run `npm ci` in its folder first.');
  process.exit(1);
}
const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit', env: withCompileCache(process.env) });
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => {
    // A terminal sends Ctrl-C to both: once is enough.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
