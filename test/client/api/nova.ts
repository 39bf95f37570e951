import assert from 'node:assert/strict';
import type { startApi } from './served.ts';

/** Nova's calls to the Block Storage API in Nova's order, as one of its users. What is not answered as Nova wants it throws. */
export class Nova {
  readonly #api: Awaited<ReturnType<typeof startApi>>;
  readonly #token: string;

  constructor(api: Awaited<ReturnType<typeof startApi>>, token: string) {
    this.#api = api;
    this.#token = token;
  }

  /** As os-brick makes it on that host. */
  static connector(host: string): Record<string, unknown> {
    return {
      platform: 'x86_64',
      os_type: 'linux',
      ip: '127.0.0.1',
      host,
      multipath: false,
      enforce_multipath: true,
      initiator: 'iqn.1993-08.org.debian:01:cad181614cec',
      do_local_attach: false,
      'system uuid': '0ad0',
      nqn: 'nqn.2014-08.org.nvmexpress:uuid:1',
      mountpoint: '/dev/vdb',
    };
  }

  /** The first step, when the user asks; the attachment's id. */
  async reserve(volumeId: string, instance: string | null): Promise<string> {
    const attachment = { volume_uuid: volumeId, instance_uuid: instance, connector: null };
    return (await this.call('POST', '/attachments', { attachment })).attachment.id;
  }

  /** The second one, on the hypervisor; how to connect. */
  async connect(attachmentId: string, host: string) {
    const attachment = { connector: Nova.connector(host) };
    return (await this.call('PUT', `/attachments/${attachmentId}`, { attachment })).attachment.connection_info;
  }

  /** The last one, once the guest has the disk. */
  complete(attachmentId: string) {
    return this.call('POST', `/attachments/${attachmentId}/action`, { 'os-complete': null });
  }

  async attach(volumeId: string, instance: string, host: string) {
    const id = await this.reserve(volumeId, instance);
    const info = await this.connect(id, host);
    await this.call('GET', `/volumes/${volumeId}/encryption`);
    await this.complete(id);
    return { id, info };
  }

  /** The attachments that are left. */
  async detach(volumeId: string, attachmentId: string): Promise<{ id: string }[]> {
    await this.act(volumeId, 'os-begin_detaching');
    await this.call('GET', `/volumes/${volumeId}/encryption`);
    return this.end(attachmentId);
  }

  async end(attachmentId: string): Promise<{ id: string }[]> {
    return (await this.call('DELETE', `/attachments/${attachmentId}`)).attachments;
  }

  act(volumeId: string, action: string, body: unknown = {}) {
    return this.call('POST', `/volumes/${volumeId}/action`, { [action]: body });
  }

  /** The volume's status, with those of its attachments. */
  async sees(volumeId: string): Promise<string> {
    const { volume } = await this.call('GET', `/volumes/${volumeId}`);
    const { attachments } = await this.call('GET', `/attachments?volume_id=${volumeId}`);
    return [volume.status, ...attachments.map(({ status }: { status: string }) => status)].join(' ');
  }

  async call(method: string, path: string, body?: unknown) {
    const answered = await this.#api.ask(
      this.#token,
      method,
      `/v3${path}`,
      body === undefined ? {} : { body, minor: 71 },
    );
    if (answered.status >= 400) throw new Refused(answered.status, JSON.stringify(answered.body));
    return answered.body;
  }
}

class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`${status} ${message}`);
    this.status = status;
  }
}

/** For `assert.rejects`. */
export const refusedWith = (status: number, words: RegExp) => (error: Refused) => {
  assert.equal(error.status, status, error.message);
  assert.match(error.message, words);
  return true;
};
