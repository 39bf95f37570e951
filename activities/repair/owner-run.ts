/** One run of a workflow. */
export interface Run {
  readonly workflowId: string;
  readonly runId: string;
}

/** The run in an owner `<workflow id>/<run id>`; null when the owner is no workflow. */
export function runOf(owner: string): Run | null {
  const [, workflowId, runId] = /^(.+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(owner) ?? [];
  return workflowId === undefined || runId === undefined ? null : { workflowId, runId };
}
