import * as z from 'zod';

/** How Ferry's own service user is known to Keystone. */
export interface KeystoneUser {
  username: string;
  userDomainId: string;
  projectName: string;
  projectDomainId: string;
  /** Asked for at every log-in, so that a new password is taken without a restart. */
  password(): Promise<string>;
}

/** What Keystone knows of a token that is good. */
export interface ValidToken {
  userId: string;
  /** Null: the token is for no project. */
  projectId: string | null;
  roles: readonly string[];
  /** Milliseconds since 1970. */
  expiresAt: number;
}

/** Keystone cannot say whether a token is good. The message is for the log and holds no secret. */
export class KeystoneAway extends Error {
  /** Nobody answers, or nobody lets us in: asking for another token would end the same. */
  readonly forAll: boolean;
  /** How long to leave it alone. Milliseconds. */
  readonly pauseMs: number;

  constructor(message: string, { forAll = false, pauseMs = 1000 }: { forAll?: boolean; pauseMs?: number } = {}) {
    super(message);
    this.name = 'KeystoneAway';
    this.forAll = forAll;
    this.pauseMs = pauseMs;
  }
}

const tokenAnswer = z.object({
  token: z.object({
    user: z.object({ id: z.string().min(1) }),
    project: z.object({ id: z.string().min(1) }).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    expires_at: z.iso.datetime({ offset: true }),
  }),
});

/** Own tokens are renewed so long before they end. Milliseconds. */
const renewBeforeMs = 60_000;
/** A wrong password that is sent again and again gets the service user locked out. Milliseconds. */
const refusedPauseMs = 10_000;

/** Asks Keystone v3 about tokens, with a token of the service user's that it gets and renews itself. */
export class KeystoneClient {
  readonly #tokensUrl: string;
  readonly #user: KeystoneUser;
  readonly #timeoutMs: number;
  #own: Promise<{ token: string; expiresAt: number }> | null = null;

  /** `url`: with or without `/v3`. `timeoutMs`: for one answer of Keystone's. */
  constructor({ url, user, timeoutMs }: { url: string; user: KeystoneUser; timeoutMs: number }) {
    this.#tokensUrl = `${url.replace(/\/+$/, '').replace(/\/v3$/, '')}/v3/auth/tokens`;
    this.#user = user;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * What a token stands for; null when Keystone does not know it (any more). `allowExpired`: one that has expired counts for as long as
   * Keystone allows, which is for services that carry on a user's long operation. Throws `KeystoneAway`.
   */
  async validate(token: string, { allowExpired }: { allowExpired: boolean }): Promise<ValidToken | null> {
    const first = await this.#ask(token, allowExpired);
    if (first.status !== 401) return this.#judge(first);
    // Our own token was revoked, or Keystone's keys are new: once more with another.
    await first.body?.cancel();
    this.#own = null;
    const second = await this.#ask(token, allowExpired);
    if (second.status !== 401) return this.#judge(second);
    await second.body?.cancel();
    throw new KeystoneAway(`Keystone refuses the token that it has just given to ${this.#user.username}`, {
      forAll: true,
      pauseMs: refusedPauseMs,
    });
  }

  async #ask(token: string, allowExpired: boolean): Promise<Response> {
    const { token: own } = await this.#ownToken();
    const query = allowExpired ? 'nocatalog&allow_expired=1' : 'nocatalog';
    return this.#fetch(`${this.#tokensUrl}?${query}`, {
      headers: { 'X-Auth-Token': own, 'X-Subject-Token': token, Accept: 'application/json' },
    });
  }

  async #judge(response: Response): Promise<ValidToken | null> {
    if (response.status === 404) {
      await response.body?.cancel();
      return null;
    }
    if (response.status !== 200) throw await unusable(response, `Keystone answers ${response.status} about a token`);
    const { token } = await read(response);
    return {
      userId: token.user.id,
      projectId: token.project?.id ?? null,
      roles: token.roles.map(({ name }) => name),
      expiresAt: Date.parse(token.expires_at),
    };
  }

  async #ownToken(): Promise<{ token: string; expiresAt: number }> {
    const current = this.#own;
    if (current) {
      const own = await current;
      if (own.expiresAt - renewBeforeMs > Date.now()) return own;
      // Somebody else may have begun to renew it while we waited.
      if (this.#own === current) this.#own = null;
    }
    if (this.#own) return this.#own;
    const asked: Promise<{ token: string; expiresAt: number }> = this.#logIn().catch((error: unknown) => {
      if (this.#own === asked) this.#own = null;
      throw error;
    });
    this.#own = asked;
    return asked;
  }

  async #logIn(): Promise<{ token: string; expiresAt: number }> {
    const { username, userDomainId, projectName, projectDomainId } = this.#user;
    const password = await this.#user.password().catch((error: unknown) => {
      throw new KeystoneAway((error as Error).message, { forAll: true, pauseMs: refusedPauseMs });
    });
    const response = await this.#fetch(`${this.#tokensUrl}?nocatalog`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: username, domain: { id: userDomainId }, password } },
          },
          scope: { project: { name: projectName, domain: { id: projectDomainId } } },
        },
      }),
    });
    if (response.status !== 201) {
      const refused = response.status === 401 || response.status === 403;
      throw await unusable(response, `Keystone answers ${response.status} to the log-in of ${username}`, refused);
    }
    const token = response.headers.get('x-subject-token');
    const { token: facts } = await read(response);
    if (token === null) throw new KeystoneAway(`Keystone gives ${username} no token`);
    return { token, expiresAt: Date.parse(facts.expires_at) };
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    try {
      // Never to another place than the configured one: the request carries tokens.
      return await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(this.#timeoutMs) });
    } catch (error) {
      throw new KeystoneAway(`Keystone at ${new URL(url).origin} cannot be reached: ${causeOf(error)}`, {
        forAll: true,
      });
    }
  }
}

async function unusable(response: Response, message: string, refused = false): Promise<KeystoneAway> {
  await response.body?.cancel();
  return new KeystoneAway(message, refused ? { forAll: true, pauseMs: refusedPauseMs } : {});
}

async function read(response: Response): Promise<z.output<typeof tokenAnswer>> {
  const body: unknown = await response.json().catch(() => null);
  const parsed = tokenAnswer.safeParse(body);
  // Not what was wrong with it: the answer may hold a token.
  if (!parsed.success) throw new KeystoneAway('Keystone answers what is no description of a token');
  return parsed.data;
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code || message : message;
}
