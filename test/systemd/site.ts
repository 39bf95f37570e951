import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificates, makeClientCertificate, makeServerCertificate } from '../../testbed/certificates.ts';
import type { Ran } from '../../setup/namespaces/commands.ts';
import { bootMachine, type Machine } from './machine.ts';
import { makeNetwork } from './network.ts';

/** The machines: one with the servers and a control worker, two storage nodes, a hypervisor. */
export const hosts = { control: '10.98.0.1', server1: '10.98.0.11', server2: '10.98.0.12', hv1: '10.98.0.21' } as const;
export type Host = keyof typeof hosts;

export interface Site extends Readonly<Record<Host, Machine>> {
  readonly machines: readonly Machine[];
  /** The operator's `ferry`, on the control machine. */
  ferry(...args: readonly string[]): Promise<Ran>;
  /** The same with --json, which must work. */
  asked<T>(...args: readonly string[]): Promise<T>;
  stop(): Promise<void>;
}

/** Boots them, each with certificates of its own in /etc/pki/ferry. */
export async function makeSite(folder: string, base: string): Promise<Site> {
  const network = await makeNetwork();
  const machines: Machine[] = [];
  const stop = async () => {
    for (const machine of machines) await machine.destroy();
    await network.stop();
  };
  try {
    const { directory } = await makeCertificates(join(folder, 'certificates'));
    const booted = {} as Record<Host, Machine>;
    for (const [name, address] of Object.entries(hosts) as [Host, string][]) {
      const machine = await bootMachine({ name, address, base, folder, network, hosts });
      machines.push(machine);
      booted[name] = machine;
      const own = join(directory, name);
      await mkdir(own);
      await copyFile(join(directory, 'ca-cert.pem'), join(own, 'ca-cert.pem'));
      await makeServerCertificate(directory, own, [name, address]);
      await makeClientCertificate(directory, own, [name]);
      for (const file of ['ca-cert', 'server-cert', 'server-key', 'client-cert', 'client-key']) {
        const pem = await readFile(join(own, `${file}.pem`), 'utf8');
        await machine.write(`/etc/pki/ferry/${file}.pem`, pem, file.endsWith('key') ? 0o600 : 0o644);
      }
    }
    const ferry: Site['ferry'] = (...args) => booted.control.run(['ferry', ...args]);
    return {
      ...booted,
      machines,
      ferry,
      async asked<T>(...args: readonly string[]) {
        const ran = await ferry(...args, '--json');
        if (ran.exitCode !== 0) throw new Error(`ferry ${args.join(' ')}: ${ran.output}`);
        return JSON.parse(ran.stdout) as T;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
