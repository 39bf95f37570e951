import type { WorkflowClientInterceptor } from '@temporalio/client';
import { FerryError } from '../model/errors.ts';
import { isTooLong, tooLong } from '../model/message-size.ts';

/** What a workflow would not take is not sent: `InvalidInput`. */
export const boundedMessages: WorkflowClientInterceptor = {
  async signal(input, next) {
    refuseTooLong(input.signalName, input.args);
    return next(input);
  },
  async signalWithStart(input, next) {
    refuseTooLong(input.signalName, input.signalArgs);
    return next(input);
  },
  async startUpdate(input, next) {
    refuseTooLong(input.updateName, input.args);
    return next(input);
  },
  async startUpdateWithStart(input, next) {
    refuseTooLong(input.updateName, input.updateArgs);
    return next(input);
  },
};

function refuseTooLong(name: string, args: readonly unknown[]): void {
  if (isTooLong(args)) throw new FerryError('InvalidInput', tooLong(name), { message: name });
}
