import { MockActivityEnvironment } from '@temporalio/testing';

/** Runs a step as a worker would, without one. */
export function runStep<I, O>(step: (input: I) => Promise<O>, input: I): Promise<O> {
  return new MockActivityEnvironment().run<[I], O, (input: I) => Promise<O>>(step, input);
}
