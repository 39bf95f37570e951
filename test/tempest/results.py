"""results.py: reads a subunit stream, writes a line of JSON for each test: id, outcome, seconds, reason. Runs in tempest's own Python."""
import json
import sys

import subunit
from testtools import StreamToDict


def on_test(test):
    if test['status'] in ('exists', 'inprogress'):
        return
    start, stop = test['timestamps']
    seconds = (stop - start).total_seconds() if start and stop else 0
    reason = ''
    for name, content in (test['details'] or {}).items():
        text = content.as_text().strip() if name == 'reason' or name.startswith('traceback') else ''
        if text and not reason:
            reason = ' / '.join([line for line in text.splitlines() if line.strip()][-2:])
    row = {'id': test['id'], 'outcome': test['status'], 'seconds': seconds, 'reason': reason[:500]}
    print(json.dumps(row), flush=True)


case = subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name='stdout')
result = StreamToDict(on_test)
result.startTestRun()
case.run(result)
result.stopTestRun()
