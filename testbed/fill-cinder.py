"""fill-cinder.py: makes a Cinder's database by Cinder's own schema and database code, and fills it with what is on standard input.

JSON: {"connection": SQLAlchemy's URL, "types", "volumes", "snapshots", "attachments", "adminMetadata", "services": [values of each row]}.
"""
import datetime
import json
import sys

from oslo_config import cfg

sys.argv, wanted = ['cinder'], json.load(sys.stdin)

from cinder import context, db, objects  # noqa: E402  Cinder reads the command line for itself
from cinder.common import config  # noqa: E402,F401
from cinder.db import migration  # noqa: E402

cfg.CONF([], project='cinder', default_config_files=[])
cfg.CONF.set_override('connection', wanted['connection'], group='database')
cfg.CONF.set_override('max_retries', 1, group='database')
objects.register_all()
migration.db_sync()
admin = context.get_admin_context()
for each in wanted.get('types', []):
    db.volume_type_create(admin, each['values'], each.get('projects', []))
# A volume that is asked for without a type has this one.
default = db.volume_type_get_by_name(admin, '__DEFAULT__')['id']
for each in wanted.get('volumes', []):
    db.volume_create(admin, {'volume_type_id': default, **each})
for each in wanted.get('snapshots', []):
    db.snapshot_create(admin, {'volume_type_id': default, **each})
for each in wanted.get('attachments', []):
    db.volume_attach(admin, each)
for each in wanted.get('adminMetadata', []):
    db.volume_admin_metadata_update(admin, each['volume_id'], each['metadata'], False)
for each in wanted.get('services', []):
    values = {'binary': 'cinder-volume', 'topic': 'cinder-volume', 'host': each['host'], 'report_count': 1}
    service = db.service_create(admin, values)
    heard = datetime.datetime.utcnow() - datetime.timedelta(seconds=each['seconds_ago'])
    db.service_update(admin, service.id, {'updated_at': heard})
