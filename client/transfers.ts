import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import { volumeId } from '../model/ids.ts';
import { label } from '../model/text.ts';
import type { VolumeTransfer } from '../model/transfer.ts';
import { acceptTransfer, createTransfer, deleteTransfer, findTransfer, listTransfers } from '../registry/transfers.ts';
import type { Context } from './context.ts';
import { isAdmin, visibleTo } from './identity.ts';
import { parseInput } from './parse-input.ts';

const newTransfer = z.object({
  volumeId,
  name: label.nullable().default(null),
  /** The volume's snapshots stay with the tenant that gives it away. */
  noSnapshots: z.boolean().default(false),
});

const acceptance = z.object({ id: z.string(), authKey: z.string().max(255, 'is too long') });

/** An offer as people see it: nothing of its key. */
export type VisibleTransfer = Omit<VolumeTransfer, 'keySalt' | 'keyHash'>;

/** Volumes change hands: one tenant offers, whoever knows the key takes. Their devices are not touched. */
export function transferCommands({ registry, identity }: Context) {
  const visible = visibleTo(identity);
  return {
    /** The caller's offers, the newest first; for administrators those of all tenants, if they ask for them. */
    async listTransfers({ allTenants = isAdmin(identity) }: { allTenants?: boolean } = {}): Promise<VisibleTransfer[]> {
      const of = allTenants ? visible : { tenantId: identity.tenant };
      return (await listTransfers(registry, of)).map(withoutKey);
    },

    /** `TransferNotFound` if there is none, or it is another tenant's. */
    async findTransfer(id: string): Promise<VisibleTransfer> {
      return withoutKey(await findTransfer(registry, id, visible));
    },

    /**
     * Offers a volume. The key is told this once, and not kept. `VolumeStatusRefused` unless the volume is available; from then on it is
     * `awaiting-transfer`: all else is refused.
     */
    async createTransfer(input: z.input<typeof newTransfer>): Promise<{ transfer: VisibleTransfer; authKey: string }> {
      const wanted = parseInput(newTransfer, input);
      const authKey = randomBytes(16).toString('hex');
      const keySalt = randomBytes(16).toString('hex');
      const keyHash = hashOf(authKey, keySalt);
      const made = await createTransfer(registry, { ...wanted, ...visible, id: randomUUID(), keySalt, keyHash });
      return { transfer: withoutKey(made), authKey };
    },

    /**
     * The volume is the caller's from now on. Refused with `WrongTransferKey`, `QuotaExceeded`, `VolumeTypeNotFound` for a private type
     * that the caller may not have, or `TransferNotFound` when somebody was faster.
     */
    async acceptTransfer(id: string, authKey: string): Promise<VisibleTransfer> {
      const given = parseInput(acceptance, { id, authKey });
      const accepted = await acceptTransfer(registry, {
        id: given.id,
        tenantId: identity.tenant,
        userId: identity.userId ?? null,
        opens: ({ salt, hash }) => sameText(hashOf(given.authKey, salt), hash),
      });
      return withoutKey(accepted);
    },

    /** Withdraws an offer: the volume is available again. */
    deleteTransfer: (id: string): Promise<void> => deleteTransfer(registry, id, visible),
  };
}

/** The key has 128 random bits: nobody finds it by trying, so that one round of a hash is enough. */
function hashOf(key: string, salt: string): string {
  return createHash('sha256').update(salt).update(key).digest('hex');
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function withoutKey({ keySalt: _salt, keyHash: _hash, ...transfer }: VolumeTransfer): VisibleTransfer {
  return transfer;
}
