import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { phase } from '../../model/migration.ts';
import {
  decideOperation,
  operationTicket,
  requestedOperation,
  type MovingVolume,
  type OperationTicket,
} from '../../model/operation-requests.ts';

const ids = fc.uuid();
const moving: fc.Arbitrary<MovingVolume> = fc.record({
  volumeId: ids,
  phase: fc.constantFrom(...phase.options),
  source: fc.option(fc.constant('server1@lvmstorage-1')),
  destination: fc.constant('server2@lvmstorage-2'),
  bytesDone: fc.nat({ max: 2 ** 40 }),
  totalBytes: fc.nat({ max: 2 ** 40 }),
  bytesPerSecond: fc.double({ min: 0, max: 1e12, noNaN: true }),
  since: fc.constant('2026-01-01T00:00:00.000Z'),
});
const ticketFor = (volumeId: fc.Arbitrary<string>): fc.Arbitrary<OperationTicket> =>
  fc.record({
    requestId: fc.string({ minLength: 1, maxLength: 255 }),
    operation: fc.constantFrom(...requestedOperation.options),
    volumeId,
    requestedBy: fc.string({ minLength: 1, maxLength: 255 }),
  });
const asked = moving.chain((at) => ticketFor(fc.constant(at.volumeId)).map((ticket) => ({ at, ticket })));

test('every operation is refused in every phase of a migration but the last, and allowed in that', () => {
  fc.assert(
    fc.property(asked, ({ at, ticket }) => {
      const verdict = decideOperation(at, ticket);
      assert.equal(verdict.allowed, at.phase === 'finished');
      assert.equal(verdict.refusal === null, verdict.allowed);
    }),
  );
});

test('a refusal says which volume, how far it is, since when, and when to ask again', () => {
  fc.assert(
    fc.property(
      asked.filter(({ at }) => at.phase !== 'finished'),
      ({ at, ticket }) => {
        const { refusal } = decideOperation(at, ticket);
        assert.equal(refusal?.type, 'VolumeMigrating');
        const { progress, retryAfter, ...said } = refusal.details as Record<string, unknown> & {
          progress: { percent: number };
          retryAfter: number;
        };
        assert.deepEqual(said, {
          volumeId: at.volumeId,
          operation: ticket.operation,
          phase: at.phase,
          source: at.source,
          destination: at.destination,
          since: at.since,
        });
        assert.ok(Number.isInteger(progress.percent) && progress.percent >= 0 && progress.percent <= 100);
        assert.ok(Number.isInteger(retryAfter) && retryAfter >= 2 && retryAfter <= 300);
        assert.match(refusal.message, new RegExp(`${at.volumeId}.*${ticket.operation}`));
      },
    ),
  );
});

test('what is asked of the wrong migration is refused, whatever its phase', () => {
  fc.assert(
    fc.property(moving, ticketFor(ids), (at, ticket) => {
      fc.pre(at.volumeId !== ticket.volumeId);
      assert.equal(decideOperation(at, ticket).refusal?.type, 'InvalidInput');
    }),
  );
});

test('the answer carries the question, and asking again changes nothing', () => {
  fc.assert(
    fc.property(asked, ({ at, ticket }) => {
      const verdict = decideOperation(at, ticket);
      const { requestId, volumeId, operation } = verdict;
      assert.deepEqual({ requestId, volumeId, operation, requestedBy: ticket.requestedBy }, { ...ticket });
      assert.deepEqual(decideOperation(at, ticket), verdict);
    }),
  );
});

test('anything but a ticket is told from one without an exception', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      assert.equal(operationTicket.safeParse(value).success, false);
    }),
  );
});

test('a ticket in capitals is of the same volume', () => {
  const volumeId = '0F8FAD5B-D9CB-469F-A165-70867728950E';
  const ticket = operationTicket.parse({ requestId: '1', operation: 'attach', volumeId, requestedBy: 'compute' });
  assert.equal(ticket.volumeId, volumeId.toLowerCase());
});
