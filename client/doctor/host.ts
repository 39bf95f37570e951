import { access, constants, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { execa } from 'execa';
import type { BackEndConfiguration, ComputeConfiguration, NodeConfiguration } from '../../configuration/schema.ts';
import { formatBytes } from '../../model/sizes.ts';
import { fault, ok, warning, type Finding } from './finding.ts';

/** For small files only: which export runs where. Bytes. */
const stateBytes = 64 * 1024 ** 2;

/** For a program that may hang. Milliseconds. */
const answerMs = 15_000;

/** Whether this process may do what the storage worker does, as far as that can be told without doing it. */
export async function examineNode(node: NodeConfiguration): Promise<Finding[]> {
  const backEnds = await Promise.all(node.backEnds.map(examineBackEnd));
  return [
    await examineStateFolder(node.stateDirectory),
    examineAddress(node),
    await examinePorts(node),
    ...(node.backEnds.some(({ driver }) => driver === 'lvm') ? [await examineDeviceMapper()] : []),
    ...backEnds,
  ];
}

async function examineStateFolder(folder: string): Promise<Finding> {
  const check = 'node.stateDirectory';
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      return warning(check, `${folder} is not there`, `the worker makes it, if it may write to ${dirname(folder)}`);
    return fault(
      check,
      `${folder} cannot be written to: ${message}`,
      'run this as the user of the storage worker, or give it the folder',
    );
  }
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < stateBytes)
    return fault(check, `${folder} has ${formatBytes(free)} left`, `make room: ${formatBytes(stateBytes)} at least`);
  return ok(check, `${folder}, ${formatBytes(free)} free`);
}

function examineAddress({ address, tls, insecureNetwork }: NodeConfiguration): Finding {
  const check = 'node.address';
  if (/^(127\.|localhost$|::1$)/.test(address))
    return warning(
      check,
      `is ${address}: no other node reaches its exports`,
      'set it to an address of this machine, unless this is the only one',
    );
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  if (/^[\d.]+$|:/.test(address) && !own.some((each) => each.address === address))
    return fault(check, `${address} is no address of this machine`, 'set it to one: see `ip address`');
  if (!tls && !insecureNetwork)
    return fault(
      check,
      `is ${address}, and exports are not encrypted`,
      'set node.tls, or node.insecureNetwork on a network that nobody else can reach',
    );
  return ok(check, tls ? `${address}, with TLS` : `${address}, without TLS on a network that nobody else reaches`);
}

/** A port that is taken is passed over by the worker; all of them taken, or an address that refuses, is not. */
async function examinePorts({ address, exportPorts: { from, to } }: NodeConfiguration): Promise<Finding> {
  const check = 'node.exportPorts';
  let why = '';
  for (let port = from; port <= to; port += 1) {
    try {
      await listenOnce(address, port);
      return ok(check, `${port} of ${from} to ${to} is free; other nodes must reach them all`);
    } catch (error) {
      why = (error as Error).message;
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') break;
    }
  }
  return fault(
    check,
    `none of ${from} to ${to} can be listened on: ${why}`,
    'free some, or give node.exportPorts others',
  );
}

function listenOnce(host: string, port: number): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}

/** What lvm2 talks to. */
async function examineDeviceMapper(): Promise<Finding> {
  const [check, control] = ['device mapper', '/dev/mapper/control'];
  try {
    await access(control, constants.R_OK | constants.W_OK);
    return ok(check, `${control} can be used`);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const remedy = isMissing
      ? 'load the kernel module: modprobe dm_mod'
      : 'run this as root, or as the user of the storage worker';
    return fault(check, (error as Error).message, remedy);
  }
}

async function examineBackEnd(backEnd: BackEndConfiguration): Promise<Finding> {
  const check = `back end ${backEnd.name}`;
  if (backEnd.driver === 'directory') {
    try {
      if (!(await stat(backEnd.path)).isDirectory())
        return fault(check, `${backEnd.path} is no directory`, 'name another path');
      await access(backEnd.path, constants.W_OK | constants.X_OK);
      return ok(check, `the directory ${backEnd.path}`);
    } catch (error) {
      return fault(
        check,
        (error as Error).message,
        'make it or mount it, and let the user of the storage worker write to it',
      );
    }
  }
  const { volumeGroup, thinPool } = backEnd;
  const name = thinPool === undefined ? volumeGroup : `${volumeGroup}/${thinPool}`;
  const argv =
    thinPool === undefined ? ['vgs', '--noheadings', '-o', 'vg_attr'] : ['lvs', '--noheadings', '-o', 'lv_layout'];
  const said = await execa(argv[0]!, [...argv.slice(1), '--', name], {
    env: { LC_ALL: 'C' },
    timeout: answerMs,
    reject: false,
  });
  if (said.failed) {
    const why = said.stderr?.trim().split('\n').at(-1)?.trim() || said.shortMessage;
    return fault(check, `${name}: ${why}`, `see: ${argv[0]} ${name}`);
  }
  if (thinPool !== undefined && said.stdout.trim() !== 'thin,pool')
    return fault(check, `${name} is no thin pool`, 'name the pool, or leave thinPool out');
  return ok(check, thinPool === undefined ? `the volume group ${name}` : `the thin pool ${name}`);
}

/** Whether libvirt answers, and of which version it and QEMU are. */
export async function examineLibvirt({ libvirtUri }: ComputeConfiguration): Promise<Finding> {
  const check = 'libvirt';
  const said = await execa('virsh', ['--connect', libvirtUri, 'version'], {
    env: { LC_ALL: 'C' },
    timeout: answerMs,
    reject: false,
  });
  if (said.failed) {
    const why = said.stderr?.trim().split('\n')[0]?.trim() || said.shortMessage;
    return fault(
      check,
      `${libvirtUri}: ${why}`,
      'start libvirtd, and let the user of the compute worker talk to it (group libvirt)',
    );
  }
  const versions = said.stdout
    .split('\n')
    .flatMap((line) => /^(?:Using library|Running hypervisor): (.+)$/.exec(line)?.[1] ?? []);
  return ok(check, `${libvirtUri}: ${versions.join(', ')}`);
}
