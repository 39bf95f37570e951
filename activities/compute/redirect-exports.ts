import { createHash } from 'node:crypto';
import { lookup as lookUp } from 'node:dns/promises';
import { stat } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { type Address, tellAddress } from './address.ts';
import type { GuestDisk } from '../../registry/guest-disks.ts';
import type { RunCommand } from '../storage/run-command.ts';
import type { findQemuProcess, GuestName } from './qemu-process.ts';
import { withFile } from './virsh.ts';

/** A guest that runs looks for its volume's export where that is not any more. */
export interface MovedExport {
  readonly disk: GuestDisk;
  readonly guest: GuestName;
  readonly from: Address;
}

/** What was made of one; `problem`: why nothing could be. */
export interface Redirected {
  readonly volumeId: string;
  readonly instance: string;
  readonly what: string;
  readonly problem: string | null;
}

/** One rule, by addresses alone. `owner`: the user whose QEMU it is for. */
interface Rule {
  readonly volumeId: string;
  readonly owner: number;
  readonly from: Address;
  readonly to: Address;
}

/**
 * Sends guests that run to where their exports are now. QEMU cannot be told another address of a disk that is in use, so that the kernel
 * of the hypervisor turns its connections: by a table of nftables of its own, which holds just what is needed now and is gone when
 * nothing is. Needs CAP_NET_ADMIN.
 */
export type RedirectExports = (moved: readonly MovedExport[], all: readonly GuestDisk[]) => Promise<Redirected[]>;

/** The table of a compute worker, one of perhaps many on a machine. */
export function redirectTable({ name, libvirtUri }: { name: string; libvirtUri: string }): string {
  return `ferry-${createHash('sha256').update(`${name} ${libvirtUri}`).digest('hex').slice(0, 12)}`;
}

/** `table`: as `redirectTable` names it. */
export function createRedirectExports(deps: {
  table: string;
  run: RunCommand;
  findQemuProcess: typeof findQemuProcess;
}): RedirectExports {
  const { table, run } = deps;
  /** What the table holds; null: not known, it may be there from before this worker. */
  let current: readonly Rule[] | null = null;

  async function replace(rules: readonly Rule[]): Promise<void> {
    if (rules.length > 0) await withFile(script(table, rules), (file) => run(['nft', '--file', file]), 'redirects.nft');
    else if ((await run(['nft', 'list', 'tables'])).stdout.split(/\s+/).includes(table))
      await run(['nft', 'delete', 'table', 'inet', table]);
    current = rules;
  }

  return async (moved, all) => {
    if (moved.length === 0) {
      // Where there is no nft there never was a table.
      if (current === null) await replace([]).catch(() => (current = []));
      else if (current.length > 0) await replace([]);
      return [];
    }
    const rightful = new Set((await Promise.all(all.map(addressesOf))).flat().map(tellAddress));
    const rules: Rule[] = [];
    const began: { rule: Rule; qemu: number }[] = [];
    const results: Redirected[] = [];
    for (const { disk, guest, from } of moved) {
      const { volumeId, instanceId: instance } = disk;
      const to = addressOf(disk);
      const what = `the guest looks for its export at ${tellAddress(from)}, and it is at ${to && tellAddress(to)} now`;
      try {
        const qemu = await deps.findQemuProcess(guest);
        if (qemu === null || to === null) continue;
        const owner = (await stat(`/proc/${qemu}`)).uid;
        for (const rule of await rulesFor({ volumeId, owner, from, to })) {
          if (rightful.has(tellAddress(rule.from))) throw new Error('another export of this hypervisor is there');
          const isNew = !current?.some((each) => same(each, rule));
          if (isNew) await refuseOthers(run, rule.from, qemu);
          rules.push(rule);
          if (isNew) began.push({ rule, qemu });
        }
        results.push({ volumeId, instance, what: `${what}: its connections are sent there`, problem: null });
      } catch (error) {
        results.push({ volumeId, instance, what, problem: (error as Error).message });
      }
    }
    if (began.length > 0 || rules.length !== current?.length) {
      try {
        await replace(rules);
        // It may wait at the old address for somebody who never says a word.
        for (const { rule, qemu } of began) await cutConnections(run, rule.from, qemu);
      } catch (error) {
        const problem = (error as Error).message;
        return results.map((each) => ({ ...each, problem: each.problem ?? problem }));
      }
    }
    return results;
  };
}

/** An address by number for each family that both have. */
async function rulesFor(wanted: Rule): Promise<Rule[]> {
  const [from, to] = await Promise.all([resolved(wanted.from), resolved(wanted.to)]);
  const pairs = from.flatMap((each) => {
    const target = to.find(({ host }) => isIPv6(host) === isIPv6(each.host));
    return target && tellAddress(target) !== tellAddress(each) ? [{ ...wanted, from: each, to: target }] : [];
  });
  if (pairs.length === 0) throw new Error('the two addresses are of two kinds, or one');
  return pairs;
}

async function resolved({ host, port }: Address): Promise<Address[]> {
  return (await lookUp(host, { all: true })).map(({ address }) => ({ host: address, port }));
}

function addressOf({ connection }: GuestDisk): Address | null {
  return connection.protocol === 'nbd' ? { host: connection.host, port: connection.port } : null;
}

async function addressesOf(disk: GuestDisk): Promise<Address[]> {
  const address = addressOf(disk);
  return address ? resolved(address).catch(() => []) : [];
}

function same(a: Rule, b: Rule): boolean {
  return (
    a.volumeId === b.volumeId &&
    a.owner === b.owner &&
    tellAddress(a.from) === tellAddress(b.from) &&
    tellAddress(a.to) === tellAddress(b.to)
  );
}

/** The whole table, in the place of what it was, at once. */
function script(table: string, rules: readonly Rule[]): string {
  const lines = rules.map(({ volumeId, owner, from, to }) => {
    const family = isIPv6(from.host) ? 'ip6' : 'ip';
    return `    ${family} daddr ${from.host} tcp dport ${from.port} meta skuid ${owner} dnat ${family} to ${tellAddress(to)} comment "${volumeId}"`;
  });
  return [
    `table inet ${table}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    ...lines,
    '  }',
    '}',
    '',
  ].join('\n');
}

/** What `ss` says of a connection to there. */
interface Socket {
  readonly own: string;
  readonly peer: string;
  readonly pids: readonly number[];
}

async function socketsTo(run: RunCommand, address: Address): Promise<Socket[]> {
  const argv = ['ss', '--no-header', '--tcp', '--numeric', '--processes'] as const;
  const { stdout } = await run([...argv, 'dst', tellAddress(address)]);
  return readSockets(stdout);
}

/** Reads what `ss --no-header --tcp --numeric --processes` prints. */
export function readSockets(text: string): Socket[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length >= 5)
    .map(([, , , own = '', peer = '', who = '']) => ({
      own,
      peer,
      pids: [...who.matchAll(/\bpid=(\d+)/g)].map(([, pid]) => Number(pid)),
    }));
}

/** What somebody else is served there by whoever has the port now is not turned away from it. */
async function refuseOthers(run: RunCommand, from: Address, qemu: number): Promise<void> {
  const others = (await socketsTo(run, from)).flatMap(({ pids }) => pids).filter((pid) => pid !== qemu);
  if (others.length > 0) throw new Error(`process ${others[0]} uses what is at ${tellAddress(from)} now`);
}

async function cutConnections(run: RunCommand, from: Address, qemu: number): Promise<void> {
  for (const { own, peer, pids } of await socketsTo(run, from)) {
    if (pids.includes(qemu)) await run(['ss', '--kill', '--no-header', '--tcp', 'src', own, 'dst', peer]);
  }
}
