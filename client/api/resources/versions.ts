import { newest } from '../microversion.ts';
import type { Site } from '../links.ts';

/** What clients ask first: which versions there are, and where. */
export function versions({ origin }: Site): object {
  return {
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: `3.${newest}`,
        min_version: '3.0',
        updated: '2023-08-31T00:00:00Z',
        links: [
          { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
          { rel: 'self', href: `${origin}/v3/` },
        ],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
      },
    ],
  };
}
