import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/** In the place of a value that could not be decoded. No schema of Ferry's fits it. */
export interface Undecodable {
  undecodable: string;
}

/**
 * How workflows read what they are sent. A payload that cannot be decoded (another encoding, broken JSON) must not throw: it would
 * fail the workflow task again and again, and the migration would stand still for ever because of somebody's signal. It comes as a
 * value that no schema accepts, so each message refuses it as it refuses everything malformed.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the interface is Temporal's
  fromPayload<T>(payload: Payload): T {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload);
    } catch (error) {
      const undecodable: Undecodable = { undecodable: error instanceof Error ? error.message : String(error) };
      return undecodable as T;
    }
  },
};
