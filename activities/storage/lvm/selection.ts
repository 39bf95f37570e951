import type { Expected } from '../driver.ts';

/** The same as `whyUnexpected`, for lvm2 to decide under the lock under which it changes the group. */
export function selection({ identity, tags, not = [] }: Expected): string {
  return [
    ...(identity === undefined ? [] : [`lv_uuid="${identity}"`]),
    ...tags.map((tag) => `lv_tags={"${tag}"}`),
    ...not.map((tag) => `!(lv_tags={"${tag}"})`),
  ].join(' && ');
}
