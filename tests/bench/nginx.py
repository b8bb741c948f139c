"""nginx in its two parts: the local endpoint that every row asks, and the peer with auth_request."""

import functools
import json
import os
import re
import shutil
import subprocess
import time

import lab as laboratory
import load

FRAME = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
{user}
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    default_type application/json;
    keepalive_timeout 75s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{body}
}}
"""

# /check has no body, since nginx closes the connection of an auth_request whose answer has one.
ENDPOINT = """\
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        location = /validate {{ return 200 '{identity}'; }}
        location = /introspect {{ return 200 '{introspection}'; }}
        location = /metadata {{
            return 200 '{{"issuer": "http://127.0.0.1:{http}",
                         "introspection_endpoint": "http://127.0.0.1:{http}/introspect"}}';
        }}
        location = /check {{
            if ($http_authorization = "") {{ return 401; }}
            return 204;
        }}
        location = /counters {{ stub_status; }}
    }}
"""

PEER = """\
    proxy_cache_path {directory}/cache keys_zone=auth:32m max_size=256m;
    upstream endpoint {{
        server 127.0.0.1:{endpoint};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {docroot};
        {protect}
        location = /_auth {{
            internal;
            proxy_pass {scheme}://endpoint{path};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            {cache}
        }}
    }}
"""

CACHED = ("proxy_cache auth; proxy_cache_key $http_authorization; "
          "proxy_cache_valid 200 204 5m; proxy_cache_valid 401 10s;")
LOCKED = CACHED + " proxy_cache_lock on;"


@functools.cache
def program():
    built = ".build/tools/usr/sbin/nginx"
    found = [os.environ.get("LA_NGINX"), shutil.which("nginx"), "/usr/sbin/nginx", os.path.abspath(built)]
    for path in found:
        if path and os.access(path, os.X_OK):
            return path
    raise SystemExit("bench: nginx is not installed (it is the endpoint)")


@functools.cache
def version():
    done = subprocess.run([program(), "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return re.search(r"nginx/(\S+)", done.stdout).group(1)


def start_peer(lab, name, endpoint, protected, cache="", path="/check", tls=False):
    """nginx serving the file; `protected` asks the endpoint through auth_request, with the given cache lines."""
    directory = lab.directory(name, 0o777)
    port = laboratory.free_port()
    body = PEER.format(directory=directory, port=port, docroot=lab.docroot, path=path, cache=cache,
                       protect="auth_request /_auth;" if protected else "",
                       scheme="https" if tls else "http", endpoint=endpoint)
    return _start(lab, name, directory, body, port, lab.server_core)


def _start(lab, name, directory, body, port, core):
    text = FRAME.format(directory=directory, body=body, user="user www-data;" if os.geteuid() == 0 else "")
    config = lab.write(f"{name}.nginx.conf", text)
    command = [program(), "-p", str(directory), "-c", str(config), "-e", f"{directory}/start.log"]
    return lab.start(name, command, port, core)


class Endpoint:
    """The local token endpoint, on the load generator's core: always yes, at once, over http and TLS."""

    def __init__(self, lab):
        directory = lab.directory("endpoint", 0o777)
        self.http, self.tls = laboratory.free_port(), laboratory.free_port()
        identity = {"principal": "alice", "attributes": {
            "roles": ["admin", "user"], "teams": ["ml", "platform"], "scopes": ["models.read", "telemetry.read"]}}
        introspection = {"active": True, "sub": "alice", "username": "alice", "client_id": "bench",
                         "token_type": "Bearer", "scope": "models.read telemetry.read",
                         "exp": int(time.time()) + 86400}
        body = ENDPOINT.format(http=self.http, tls=self.tls, cert=lab.cert, key=lab.key,
                               identity=json.dumps(identity), introspection=json.dumps(introspection))
        self.server = _start(lab, "endpoint", directory, body, self.http, lab.load_core)
        self.server.wait_until_listening()
        self._looks = 0

    def counters(self):
        """(calls, connections) so far, without what counting itself adds."""
        _, _, body = load.get(self.http, "/counters")
        accepted, _, calls = map(int, re.search(rb"\n +(\d+) +(\d+) +(\d+)", body).groups())
        self._looks += 1
        return calls - self._looks, accepted - self._looks
