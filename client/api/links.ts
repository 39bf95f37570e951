/** Where this API is, as the caller wrote it. */
export interface Site {
  /** `http://host:port`, and what a proxy puts before the path. */
  readonly origin: string;
  /** `/<project>` when the caller's path has it, else empty. */
  readonly project: string;
}

/** The site of a request; a proxy's `X-Forwarded-*` are believed. */
export function siteOf(request: Request, projectInPath: string | null): Site {
  const url = new URL(request.url);
  const forwarded = (name: string) => request.headers.get(`x-forwarded-${name}`)?.split(',')[0]?.trim() || null;
  const protocol = forwarded('proto') ?? url.protocol.replace(':', '');
  const host = forwarded('host') ?? request.headers.get('host') ?? url.host;
  const prefix = (forwarded('prefix') ?? '').replace(/\/+$/, '');
  return { origin: `${protocol}://${host}${prefix}`, project: projectInPath === null ? '' : `/${projectInPath}` };
}

/** The two links that Cinder puts on a resource, e.g. `volumes/<id>`. */
export function resourceLinks(site: Site, path: string): { rel: string; href: string }[] {
  return [
    { rel: 'self', href: `${site.origin}/v3${site.project}/${path}` },
    { rel: 'bookmark', href: `${site.origin}${site.project}/${path}` },
  ];
}
