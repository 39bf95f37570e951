/** Who calls, as a token says it. */
export interface Caller {
  userId: string;
  /** The tenant that the caller acts for. */
  projectId: string;
  roles: readonly string[];
  /** The request carries the token of a service (of Nova, say) beside the user's. */
  isService?: boolean;
}

/** Where the API asks who calls. */
export interface Authentication {
  /**
   * Who calls; `projectInPath` is what the URL says, null when it says nothing. Throws a `Fault`: `unauthorized` for no or a bad token,
   * `serviceUnavailable` when it cannot be told.
   */
  authenticate(request: Request, projectInPath: string | null): Promise<Caller>;
}
