// Runs commands in a storage node for those who test or demonstrate with it. Started by guest-init.sh.
import { spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  agentPort,
  type ExecAnswer,
  type ExecRequest,
  type KillAnswer,
  type KillRequest,
  type SpawnAnswer,
  type SpawnRequest,
} from './agent-messages.ts';

function exec(request: ExecRequest): Promise<ExecAnswer> {
  const [command = '', ...args] = request.argv;
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...process.env, ...request.env }, detached: true });
    const deadline = setTimeout(() => signalGroup(child.pid, 'SIGKILL'), request.timeout);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error) => {
      clearTimeout(deadline);
      resolve({ code: 127, signal: null, stdout, stderr: String(error) });
    });
    child.on('close', (code, signal) => {
      clearTimeout(deadline);
      resolve({ code, signal, stdout, stderr });
    });
    child.stdin.on('error', () => {}).end(Buffer.from(request.stdin ?? '', 'base64'));
  });
}

async function start(request: SpawnRequest): Promise<SpawnAnswer> {
  const [command = '', ...args] = request.argv;
  const output = openSync(request.log ?? '/dev/null', 'a');
  const child = spawn(command, args, {
    env: { ...process.env, ...request.env },
    cwd: request.cwd,
    stdio: ['ignore', output, output],
    detached: true,
  });
  closeSync(output);
  const error = await new Promise<Error | null>((resolve) => {
    child.once('spawn', () => resolve(null)).once('error', resolve);
  });
  return { pid: child.pid ?? null, error: error && String(error) };
}

async function kill(request: KillRequest): Promise<KillAnswer> {
  signalGroup(request.pid, request.signal);
  for (const deadline = Date.now() + request.wait; ; await sleep(10)) {
    if (!signalGroup(request.pid, 0)) return { ended: true };
    if (Date.now() >= deadline) return { ended: false };
  }
}

/** Signals a process and what it started; whether there was anything to signal. */
function signalGroup(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

const actions: Record<string, (request: never) => unknown> = {
  '/exec': exec,
  '/spawn': start,
  '/kill': kill,
  '/': () => ({ name: hostname() }),
};

createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const action = actions[request.url ?? ''];
  try {
    if (!action) throw new Error(`no such action: ${request.url}`);
    const answer = await action((chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as never);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(500).end(JSON.stringify({ error: String(error) }));
  }
}).listen(agentPort, '0.0.0.0');
