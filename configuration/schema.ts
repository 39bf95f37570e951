import * as z from 'zod';
import { eventKinds, webhookName } from '../model/event.ts';
import { nodeName } from '../model/ids.ts';
import { configuredCapabilities } from './capabilities.ts';
import { listenAddress } from './listen-address.ts';

const lvmName = (what: string) => z.string().regex(/^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*$/, `is not a ${what} name`);

const lvmBackEnd = z
  .strictObject({
    name: nodeName.describe('the part after the @'),
    driver: z.literal('lvm'),
    /** For volume types to ask for, e.g. `"media": "ssd"`. */
    capabilities: configuredCapabilities,
    volumeGroup: lvmName('volume group'),
    /** Volumes are thin, in this pool of the group; without it they have extents of the group to themselves. */
    thinPool: lvmName('thin pool').optional(),
    /**
     * How many times its size the pool may be promised to volumes (Cinder's `max_over_subscription_ratio`, there 20); 1 if not given. With
     * 1 the volumes never fill it; with more somebody must watch it, because a full pool stops the writes of every volume in it.
     */
    maxOverSubscriptionRatio: z.number().min(1).max(1000).optional(),
  })
  .refine((b) => b.thinPool !== undefined || b.maxOverSubscriptionRatio === undefined, {
    path: ['maxOverSubscriptionRatio'],
    error: 'is for a thinPool; without one each volume has its bytes to itself',
  });

const backEnd = z.discriminatedUnion('driver', [
  lvmBackEnd,
  z.strictObject({
    name: nodeName.describe('the part after the @'),
    driver: z.literal('directory'),
    capabilities: configuredCapabilities,
    path: z.string().startsWith('/', 'must be an absolute path'),
    /** What the back end says it can hold; the file system's size if not given. */
    capacityGib: z.number().int().positive().optional(),
  }),
]);
export type BackEndConfiguration = z.infer<typeof backEnd>;

const label = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, `is not a ${what}: letters, digits, - and _`);

const tls = z.strictObject({
  /** Folder with ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem, client-key.pem, as QEMU names them. */
  directory: z.string().startsWith('/', 'must be an absolute path'),
  /** Who opens an export: the machine that it is for, by the name in its certificate, or any with a certificate of the same authority. */
  peers: z.enum(['named', 'any']).default('named'),
});

const node = z.strictObject({
  name: nodeName,
  availabilityZone: z.string().min(1).default('nova'),
  /** The address at which other nodes reach this node's exports. */
  address: z.string().min(1).default('127.0.0.1'),
  /** Where the worker keeps what must outlive it: which export runs where. */
  stateDirectory: z.string().startsWith('/', 'must be an absolute path').default('/var/lib/ferry'),
  exportPorts: z
    .strictObject({ from: z.number().int().min(1024).max(65_535), to: z.number().int().min(1024).max(65_535) })
    .default({ from: 10_809, to: 11_008 }),
  maxConcurrentCopies: z.number().int().min(1).max(64).default(2),
  tls: tls.optional(),
  /** Exports to other addresses than loopback without TLS: only on a network that nobody else can reach. */
  insecureNetwork: z.boolean().default(false),
  /** Whether the hypervisor that libvirt migrates a guest to is let in beside the one that has its volume, by the word of both. */
  guestMigration: z.boolean().default(true),
  backEnds: z.array(backEnd).min(1, 'at least one back end is needed'),
});
export type NodeConfiguration = z.infer<typeof node>;

const compute = z.strictObject({
  /** The hypervisor, as attachments name it. The same as a storage node's name: the same machine, whose devices it opens directly. */
  name: nodeName,
  /** How virsh reaches libvirtd. */
  libvirtUri: z.string().min(1).default('qemu:///system'),
});
export type ComputeConfiguration = z.infer<typeof compute>;

/** Ferry's configuration: one file for clients and workers. Temporal's address is the SDK's own (TEMPORAL_ADDRESS, ...). */
const absolutePath = z.string().startsWith('/', 'must be an absolute path');

const httpUrl = z.url({ protocol: /^https?$/, error: 'is not an address (https://host/path)' });

const loopback = (url: string) => ['127.0.0.1', 'localhost', '[::1]'].includes(URL.parse(url)?.hostname ?? '');

const keystone = z
  .strictObject({
    /** Where Ferry reaches Keystone, e.g. https://keystone.example.org:5000. */
    url: httpUrl,
    /** Where clients reach it, if that is another address: those who come without a token are told. */
    publicUrl: httpUrl.optional(),
    /** The service user as which Ferry asks about tokens; it needs the role `service` in its project, nothing else. */
    username: z.string().min(1).default('ferry'),
    userDomainId: z.string().min(1).default('default'),
    projectName: z.string().min(1).default('service'),
    projectDomainId: z.string().min(1).default('default'),
    /** Holds that user's password; read again whenever Ferry logs in. Or set FERRY_KEYSTONE_PASSWORD. */
    passwordFile: absolutePath.optional(),
    /** For one answer of Keystone's. */
    timeoutSeconds: z.number().positive().max(60).default(5),
    /** Keystone is asked again about a token after so long: one that is revoked is refused no later. 0: at each request. */
    recheckSeconds: z.number().min(0).max(300).default(30),
    /** While Keystone is away, those whom it vouched for within so long go on. */
    keepSeconds: z.number().min(0).max(3600).default(300),
    /** Sends the password and tokens to another host without TLS: only on a network that nobody else can reach. */
    insecureNetwork: z.boolean().default(false),
  })
  .refine((k) => k.insecureNetwork || k.url.startsWith('https:') || loopback(k.url), {
    path: ['url'],
    error: 'must be https: the password and tokens go there (or set insecureNetwork)',
  });
export type KeystoneConfiguration = z.infer<typeof keystone>;

const api = z.strictObject({
  /** Where it listens; `ferry api --listen` overrules it. */
  listen: listenAddress.prefault('127.0.0.1:8776'),
  /** Who says who calls; without it everybody who reaches the API is an administrator. */
  keystone: keystone.optional(),
  /** JSON: which roles may do what, where that is not as in Cinder. */
  policyFile: absolutePath.optional(),
  /** The type of volumes that are asked for without one, if a type of that name is there: Cinder's `default_volume_type`. */
  defaultVolumeType: z.string().min(1).max(255).default('__DEFAULT__'),
  /** PEM files: the certificate with its chain, and its key, which needs no password. Renewed, they are used from then on. Without them: http. */
  tls: z.strictObject({ certificateFile: absolutePath, keyFile: absolutePath }).optional(),
  /** Without Keystone, listens on other addresses than loopback: only on a network that nobody else can reach. */
  insecureNetwork: z.boolean().default(false),
});

const webhook = z
  .strictObject({
    name: webhookName,
    /** Where events are posted. */
    url: httpUrl,
    /** Holds the key with which they are signed; two keys on two lines while the receiver changes. Read at each try. */
    secretFile: absolutePath,
    /** Of what is told, e.g. ["migrate", "delete"]; of everything if not given. */
    kinds: z.array(z.enum(eventKinds)).min(1).optional(),
    /** `oslo`: what is in the envelope has the form of Cinder's notifications. */
    data: z.enum(['ferry', 'oslo']).default('ferry'),
    /** PEM: who vouches for the receiver's certificate, instead of those whom the system trusts. */
    caFile: absolutePath.optional(),
    /** What the receiver has not taken for so long is a dead letter. */
    giveUpHours: z.number().positive().max(720).default(24),
    /** Sends events to another host without TLS: only on a network that nobody else can reach. */
    insecureNetwork: z.boolean().default(false),
  })
  .refine((w) => w.insecureNetwork || w.url.startsWith('https:') || loopback(w.url), {
    path: ['url'],
    error: 'must be https: names of tenants and volumes go there (or set insecureNetwork)',
  })
  .refine((w) => !URL.parse(w.url)?.password, { path: ['url'], error: 'must hold no password: events are signed' });
export type WebhookConfiguration = z.infer<typeof webhook>;

export const configuration = z.strictObject({
  databaseUrl: z
    .url({ protocol: /^postgres(ql)?$/, error: 'is not a Postgres URL (postgres://user@host/database)' })
    .optional(),
  node: node.optional(),
  compute: compute.optional(),
  /**
   * The control workers' deployment: workflows that run stay with workers of the code that they began with. Not given: control
   * workers take what comes, whatever their code.
   */
  deployment: z
    .strictObject({
      name: label('deployment'),
      /** What names the code; a digest of the workflows if not given. */
      buildId: label('build id').optional(),
    })
    .optional(),
  /** The Block Storage API. */
  api: api.prefault({}),
  /** Who is told what happened; of control workers. */
  webhooks: z
    .array(webhook)
    .max(32)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'has two webhooks of one name')
    .default([]),
  /** The password of Ferry's user in Keystone; belongs into the environment, or into a file of its own. */
  keystonePassword: z.string().min(1).optional(),
  /** Address for Prometheus, e.g. 127.0.0.1:9464; no metrics if not given. */
  metricsAddress: z.string().optional(),
  /** Address for `/healthz` and `/readyz`, e.g. 127.0.0.1:9465; not served if not given. */
  healthAddress: z
    .string()
    .regex(/^(\[[0-9a-f:.]+\]|[^\s:/]+):\d{1,5}$/i, 'is not an address: host:port')
    .optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** How long a node needed for the data may be away before a migration goes back. Seconds. */
  nodeTimeoutSeconds: z.number().int().positive().default(600),
  /** A transfer that moves no byte for this long has failed: longer than a path fail-over or a disk's own retries take. Seconds. */
  noProgressSeconds: z.number().int().positive().default(60),
  /** What a migration left and nobody owns is removed so long after the migration ended. Seconds. */
  orphanGraceSeconds: z.number().int().nonnegative().default(3600),
});
export type Configuration = z.infer<typeof configuration>;
export type DeploymentConfiguration = NonNullable<Configuration['deployment']>;
