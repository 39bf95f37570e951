/** The workflow's id in an owner `<workflow id>/<run id>`; null when the owner is no workflow. */
export function workflowIdOf(owner: string): string | null {
  return /^(.+)\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(owner)?.[1] ?? null;
}
