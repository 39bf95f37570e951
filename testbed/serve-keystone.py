"""serve-keystone.py FOLDER PASSWORD: a real Keystone for tests, with its SQLite database and keys in FOLDER and `admin`'s PASSWORD.

Prints one line of JSON when it serves: {"url": ..., "brieflyUrl": ...}. The second is the same Keystone, whose tokens are good for one
second. Python's own server does: it is for tests. Ends with the process that started it.
"""
import ctypes
import json
import os
import signal
import socketserver
import sqlite3
import sys
import wsgiref.simple_server

folder, password = sys.argv[1:]
# Keystone reads the command line for itself.
sys.argv = ['keystone']
os.environ['OS_KEYSTONE_CONFIG_DIR'] = folder
with open(f'{folder}/keystone.conf', 'w') as file:
    # Rounds: hashing as slowly as it should be done would be most of a test's time. The cache keeps nothing from one request to the next:
    # what is revoked is revoked at once.
    file.write(f"""[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.sqlite?timeout=60
[token]
provider = fernet
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
backend = dogpile.cache.null
[oslo_policy]
enforce_scope = false
""")

import keystone.conf  # noqa: E402 - after the environment that it reads
from keystone.cmd import cli  # noqa: E402
from keystone.server.wsgi import initialize_public_application  # noqa: E402


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def manage(*args):
    """keystone-manage, in a process of its own: it can only be called once. Without loading all of Keystone again."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit(f'keystone-manage {args[0]} failed')
        return
    status = 1
    try:
        cli.main(['keystone-manage', '--config-file', f'{folder}/keystone.conf', *args])
        status = 0
    finally:
        os._exit(status)


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def server():
    made = Server(('127.0.0.1', 0), Handler)
    return made, f'http://127.0.0.1:{made.server_port}/v3'


end_with_parent()
(lasting, url), (briefly, briefly_url) = server(), server()
for repository in ('fernet', 'credential'):
    os.makedirs(f'{folder}/{repository}', mode=0o700)
    manage(f'{repository}_setup', '--keystone-user', str(os.getuid()), '--keystone-group', str(os.getgid()))
manage('db_sync')
# Who reads does not keep whoever writes waiting.
sqlite3.connect(f'{folder}/keystone.sqlite').execute('PRAGMA journal_mode = WAL').close()
manage('bootstrap', '--bootstrap-password', password, '--bootstrap-region-id', 'RegionOne', '--bootstrap-public-url', url)
application = initialize_public_application()
if os.fork() == 0:
    end_with_parent()
    keystone.conf.CONF.set_override('expiration', 1, 'token')
    briefly.set_app(application)
    briefly.serve_forever()
print(json.dumps({'url': url, 'brieflyUrl': briefly_url}), flush=True)
lasting.set_app(application)
lasting.serve_forever()
