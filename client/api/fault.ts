import { FerryError, type FerryErrorType, type Reason } from '../../model/errors.ts';

/** Cinder's names of its fault bodies. */
const names: Readonly<Record<number, string>> = {
  400: 'badRequest',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'itemNotFound',
  409: 'conflictingRequest',
  413: 'overLimit',
  415: 'badMediaType',
  501: 'notImplemented',
  503: 'serviceUnavailable',
};

/** An answer that says no, in Cinder's form: `{"badRequest": {"code": 400, "message": ...}}`. */
export class Fault extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #body: unknown;

  constructor(status: number, message: string, options: { headers?: Record<string, string>; body?: unknown } = {}) {
    super(message);
    this.name = 'Fault';
    this.status = status;
    this.headers = options.headers ?? {};
    this.#body = options.body;
  }

  get body(): unknown {
    if (this.#body !== undefined) return this.#body;
    const retry = this.status === 413 ? { retryAfter: '0' } : {};
    return { [names[this.status] ?? 'computeFault']: { code: this.status, message: this.message, ...retry } };
  }
}

export const badRequest = (message: string) => new Fault(400, message);
export const invalidInput = (message: string) => new Fault(400, `Invalid input received: ${message}`);
export const notFound = (message: string) => new Fault(404, message);
export const notImplemented = (message: string) => new Fault(501, message);
export const policyForbids = (rule: string) => new Fault(403, `Policy doesn't allow ${rule} to be performed.`);

/** What Cinder answers to an unknown path, an unknown method and a call from a later microversion. */
export const noSuchResource = () =>
  new Fault(404, 'Not Found', {
    body: { message: 'The resource could not be found.<br /><br />\n\n\n', code: '404 Not Found', title: 'Not Found' },
  });

export const malformedBody = () => badRequest('Malformed request body');

/** No word of what went wrong inside: that is in the log. */
export const unexpected = () =>
  new Fault(500, 'The server has either erred or is incapable of performing the requested operation.');

type Said = (error: Reason) => Fault;

const asIs =
  (status: number): Said =>
  ({ message }) =>
    new Fault(status, message);
const about =
  (what: string): Said =>
  ({ message }) =>
    badRequest(`${what}: ${message}`);
const invalidVolume = about('Invalid volume');
const id = (error: Reason, key: string) => {
  const found = error.details?.[key];
  return typeof found === 'string' ? found : '';
};

/** The name that Cinder puts before what it says of a quota. */
function quotaFault(resource: string): string {
  if (resource.startsWith('per_volume')) return 'VolumeSizeExceedsLimit';
  if (resource.startsWith('volumes')) return 'VolumeLimitExceeded';
  return resource.startsWith('snapshots') ? 'SnapshotLimitExceeded' : 'VolumeSizeExceedsAvailableQuota';
}

/**
 * Ferry's closed list of errors as HTTP status and Cinder's words. Where Cinder has a sentence that clients may know, the call has it
 * (`Call.refusals`).
 */
const table: Readonly<Record<FerryErrorType, Said>> = {
  InvalidInput: ({ message }) => invalidInput(message),
  Forbidden: asIs(403),
  VolumeNotFound: (e) => notFound(`Volume ${id(e, 'volumeId')} could not be found.`),
  SnapshotNotFound: (e) => notFound(`Snapshot ${id(e, 'snapshotId')} could not be found.`),
  AttachmentNotFound: (e) =>
    notFound(`Volume attachment could not be found with filter: attachment_id = ${id(e, 'attachmentId')}.`),
  VolumeTypeNotFound: asIs(404),
  MigrationNotFound: asIs(404),
  InstanceNotFound: asIs(404),
  BackEndNotFound: about('Invalid host'),
  BackEndDisabled: about('Invalid host'),
  BackEndDown: about('Invalid host'),
  NeedsRepair: invalidVolume,
  SameBackEnd: invalidVolume,
  VolumeMigrating: invalidVolume,
  VolumeBusy: invalidVolume,
  VolumeInUse: invalidVolume,
  VolumeHasSnapshots: invalidVolume,
  VolumeStatusRefused: invalidVolume,
  InsufficientSpace: about('No valid backend was found'),
  VolumeTypeExists: asIs(409),
  AccessExists: (e) =>
    new Fault(
      409,
      `Volume type access for ${id(e, 'volumeTypeId')} / ${id(e, 'tenantId')} combination already exists.`,
    ),
  AccessNotFound: (e) =>
    notFound(`Volume type access not found for ${id(e, 'volumeTypeId')} / ${id(e, 'tenantId')} combination.`),
  QuotaExceeded: (e) =>
    new Fault(413, `${quotaFault(id(e, 'resource'))}: ${e.message}`, { headers: { 'Retry-After': '0' } }),
  TransferNotFound: asIs(404),
  WrongTransferKey: about('Invalid auth key'),
  VolumeTypeInUse: () => badRequest('Target volume type is still in use.'),
  CapabilityMissing: about('No valid backend was found'),
  SameVolumeType: invalidVolume,
  MigrationNeeded: invalidVolume,
  MigrationRefused: invalidVolume,
  EvacuationRefused: asIs(400),
  NotEvacuating: asIs(409),
  NotMigrating: asIs(409),
  PastPointOfNoReturn: asIs(409),
  SourceNotKept: asIs(409),
  InstanceNotReady: invalidVolume,
  DeviceExists: invalidVolume,
  DeviceMissing: invalidVolume,
  DeviceLost: invalidVolume,
  DeviceInUse: invalidVolume,
  NotOwned: invalidVolume,
  WrongDevice: invalidVolume,
  NotProven: invalidVolume,
  SizeMismatch: invalidVolume,
  ChecksumMismatch: asIs(500),
  VolumeWrittenSince: asIs(409),
  SourceUnreachable: asIs(500),
  SourceReadFailed: asIs(500),
  DestinationWriteFailed: asIs(500),
  NoProgress: asIs(500),
  NotSwitched: asIs(500),
  Fenced: asIs(409),
  NodeUnavailable: asIs(503),
  ToolFailed: asIs(500),
  BackEndUnavailable: asIs(503),
  ServiceUnreachable: () =>
    new Fault(503, 'A service that Ferry needs cannot be reached. Try again later.', {
      headers: { 'Retry-After': '5' },
    }),
  Unexpected: unexpected,
  Cancelled: asIs(409),
  MirrorFailed: asIs(500),
  Terminated: asIs(500),
  ParkedForOperator: invalidVolume,
};

/** What a refused call was asked with. */
export interface Refused {
  body: unknown;
  params: Readonly<Record<string, string>>;
}

/** What a call says in Cinder's own sentence. */
export type Refusals = Partial<Record<FerryErrorType, (error: Reason, asked: Refused) => Fault>>;

/** The answer to whatever was thrown. */
export function faultOf(
  error: unknown,
  refusals: Refusals = {},
  asked: Refused = { body: undefined, params: {} },
): Fault {
  if (error instanceof Fault) return error;
  if (error instanceof FerryError) return refusals[error.type]?.(error, asked) ?? table[error.type](error);
  return unexpected();
}
