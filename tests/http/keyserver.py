"""What the tests of the jwt provider share: its sections, and an endpoint that serves key sets."""

from behaviour import reply
from endpoint import Endpoint
from signer import key_set

MESSAGE = "Invalid JWT token"
OUTAGE = "Authentication service error"


def jwt(name, *options):
    """A `jwt` provider section."""
    return "\n    ".join([f"<LlamaAuthProvider {name} jwt>", *options]) + "\n</LlamaAuthProvider>\n"


class KeyServer(Endpoint):
    """Answers by path; a path that nobody chose is 404."""

    def __init__(self, **arguments):
        self.paths = {}
        super().__init__(**arguments)
        self.default = self.by_path

    def by_path(self, peer, call):
        self.paths.get(call.target, reply(404, b"nothing here"))(peer, call)

    def put(self, path, behaviour):
        """Chooses what a path does: a behaviour, or a JSON value to send. Returns the path's URL."""
        self.paths[path] = behaviour if callable(behaviour) else reply(200, behaviour)
        return self.url(path)

    def put_keys(self, *keys, path="/jwks"):
        return self.put(path, key_set(*keys))

    def calls_to(self, path):
        with self.lock:
            return [call for call in self.calls if call.target == path]


def key_server(httpd, name="keys", **arguments):
    """The server's own, started on first use and stopped with it."""
    if name not in httpd.endpoints:
        httpd.endpoints[name] = KeyServer(**arguments)
    return httpd.endpoints[name]


def accepted(response, user=None):
    assert response.status == 200, response
    assert user in (None, response.note("user")), response


def rejected(response):
    assert (response.status, response.note("error")) == (401, "invalid_token"), response
    assert response.message == MESSAGE
    assert response.challenge["error"] == "invalid_token"


def unavailable(response):
    assert (response.status, response.note("error")) == (401, "provider_error"), response
    assert response.message == OUTAGE
    assert "error" not in response.challenge
