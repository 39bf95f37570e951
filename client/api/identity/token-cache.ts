import { createHash } from 'node:crypto';
import { KeystoneAway, type ValidToken } from './keystone-client.ts';

/** How long an answer of Keystone's counts. */
export interface CacheTimes {
  /** After so long Keystone is asked again: a token that is revoked is refused no later. Milliseconds; 0: asked every time. */
  recheckMs: number;
  /** While Keystone is away, an answer counts for so long, and never past the token's end. Milliseconds. */
  keepMs: number;
}

interface Entry {
  token: ValidToken;
  recheckAt: number;
  until: number;
}

/**
 * What Keystone said of tokens, the most recently used, under digests: whoever reads this process's memory finds no token. Bad tokens are
 * not kept, so that nobody can push the good ones out.
 */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();
  /** One question about a token at a time: the others who ask wait for its answer. */
  readonly #underWay = new Map<string, Promise<ValidToken | null>>();
  readonly #times: CacheTimes;
  readonly #most: number;
  readonly #now: () => number;
  #away: { error: KeystoneAway; until: number } | null = null;

  /** `most`: how many answers are kept. */
  constructor({ times, most, now = Date.now }: { times: CacheTimes; most: number; now?: () => number }) {
    this.#times = times;
    this.#most = most;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * What a token stands for, null when it is not good; `ask` asks Keystone. An expired one is good only with `allowExpired`. Throws
   * `KeystoneAway` when that cannot be told.
   */
  async find(token: string, allowExpired: boolean, ask: () => Promise<ValidToken | null>): Promise<ValidToken | null> {
    const key = `${createHash('sha256').update(token).digest('base64')}${allowExpired ? ' or expired' : ''}`;
    const known = this.#alive(key);
    if (known && known.recheckAt > this.#now()) return known.token;
    try {
      return await this.#askOnce(key, allowExpired, ask);
    } catch (error) {
      if (!(error instanceof KeystoneAway)) throw error;
      const kept = this.#alive(key);
      if (!kept) throw error;
      return kept.token;
    }
  }

  #alive(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (entry.until <= this.#now()) return undefined;
    this.#entries.set(key, entry);
    return entry;
  }

  #askOnce(key: string, allowExpired: boolean, ask: () => Promise<ValidToken | null>): Promise<ValidToken | null> {
    const underWay = this.#underWay.get(key);
    if (underWay) return underWay;
    const asking = this.#ask(key, allowExpired, ask).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    return asking;
  }

  async #ask(key: string, allowExpired: boolean, ask: () => Promise<ValidToken | null>): Promise<ValidToken | null> {
    if (this.#away && this.#away.until > this.#now()) throw this.#away.error;
    // The answer may be older than its arrival, never younger than the question.
    const asked = this.#now();
    let token: ValidToken | null;
    try {
      token = await ask();
    } catch (error) {
      if (error instanceof KeystoneAway && error.forAll) this.#away = { error, until: this.#now() + error.pauseMs };
      throw error;
    }
    this.#away = null;
    this.#entries.delete(key);
    if (!token || (token.expiresAt <= this.#now() && !allowExpired)) return null;
    const end = allowExpired ? Infinity : token.expiresAt;
    const { recheckMs, keepMs } = this.#times;
    this.#entries.set(key, { token, recheckAt: asked + recheckMs, until: Math.min(asked + keepMs, end) });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#most) break;
      this.#entries.delete(oldest);
    }
    return token;
  }
}
