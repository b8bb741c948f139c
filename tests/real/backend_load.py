"""Load on a backend that may end while it answers."""

import re

from client import build
from traffic import Load


class BackendLoad(Load):
    """mod_proxy cuts an answer short when its backend ends: that counts as a broken connection. method, fields and body: of the
    requests."""

    def __init__(self, httpd, choose, judge, method="GET", fields=(), body=b"", **more):
        super().__init__(httpd, choose, judge, **more)
        self.method, self.fields, self.body = method, fields, body

    def ask(self, connection, path, token):
        try:
            connection.send(build(self.method, path, token=token, headers=self.fields, body=self.body))
            return connection.read(self.method) if connection.buffer or connection.fill() else None
        except (ConnectionResetError, BrokenPipeError):
            return None
        except AssertionError as error:
            if self.may_break and re.search("cut short|closed inside", str(error)):
                return None
            raise
