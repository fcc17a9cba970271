"""Serves Keystone's own application on loopback: keystone-service.py CONFIG_DIRECTORY PORT. Debian starts it under uwsgi, which a test does not need."""
import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

directory, port = sys.argv[1], int(sys.argv[2])
sys.argv = ['keystone-wsgi-public']
os.environ['OS_KEYSTONE_CONFIG_DIR'] = directory
os.environ['OS_KEYSTONE_CONFIG_FILES'] = 'keystone.conf'

from keystone.server.wsgi import initialize_public_application  # noqa: E402: reads the environment


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def address_string(self):  # no look-up of names
        return self.client_address[0]


make_server('127.0.0.1', port, initialize_public_application(), Server, Quiet).serve_forever()
