"""An OAuth2 authorization server as far as token introspection (RFC 7662) and its metadata go: who may ask, how the question is
written, and the answers of the RFC. A token with a behaviour of its own (endpoint.py) gets that instead."""

import base64
import binascii
from urllib.parse import unquote_plus

from behaviour import REASONS, render, reply
from endpoint import Call, Endpoint

PATH = "/oauth2/introspect"
OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"

REASONS.update({400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
                415: "Unsupported Media Type", 429: "Too Many Requests"})


def oauth(status, body, headers=()):
    """RFC 7662 section 2.2 says nothing of caching; servers forbid it, as RFC 6749 section 5.1 does for tokens."""
    return render(status, body, [("Cache-Control", "no-store"), ("Pragma", "no-cache"), *headers])


def error(status, code):
    """A behaviour: an error of RFC 6749 section 5.2."""
    def behave(peer, call):
        peer.send(oauth(status, {"error": code, "error_description": "See the manual."}))
    return behave


def read_form(body):
    """The parameters; None where a name stands twice or the text is not form-encoded (RFC 6749 section 3.2)."""
    found = {}
    for pair in body.decode("ascii").split("&"):
        name, separator, value = pair.partition("=")
        if not separator or name in found:
            return None
        found[unquote_plus(name)] = unquote_plus(value)
    return found


class Question(Call):
    @property
    def form(self):
        try:
            return read_form(self.body) or {}
        except ValueError:
            return {}

    @property
    def token(self):
        """The token that is asked about."""
        return self.form.get("token") if self.method == "POST" else None

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def basic(self):
        """Client and secret as RFC 6749 section 2.3.1 has them, or None."""
        kind, _, text = (self.header("Authorization") or "").partition(" ")
        try:
            pair = base64.b64decode(text, validate=True).decode("ascii") if kind == "Basic" else ""
        except (binascii.Error, ValueError):
            return None
        name, separator, secret = pair.partition(":")
        return (unquote_plus(name), unquote_plus(secret)) if separator else None


class Introspector(Endpoint):
    def __init__(self, **arguments):
        self.tokens = {}     # token -> what is said of it
        self.clients = {}    # (client, secret) -> how it shows who it is: basic, post
        self.bearers = set()  # access tokens that authorise the question
        self.public = set()  # clients without a secret; with None anybody may ask
        self.forbidden = set()  # clients that may not ask
        self.metadata = {}   # path -> behaviour
        super().__init__(**arguments)
        self.default = self.answer

    def at(self, host="127.0.0.1"):
        return self.url(PATH, host)

    def issue(self, token, **members):
        """Makes a token active; returns it."""
        self.tokens[token] = {"sub": "alice", **members}
        return token

    def revoke(self, token):
        del self.tokens[token]

    def publish(self, realm, path=None, **more):
        """Puts the metadata of an issuer with that path where OpenID Connect Discovery has it, or at `path`. Returns the issuer."""
        document = {"issuer": self.url(realm), "introspection_endpoint": self.at(), "response_types_supported": ["code"], **more}
        self.metadata[path or realm + OPENID] = reply(200, document)
        return self.url(realm)

    def questions(self):
        with self.lock:
            return [call for call in self.calls if call.method == "POST"]

    def fetches(self):
        with self.lock:
            return [call.target for call in self.calls if call.method == "GET"]

    def converse(self, peer):
        while peer.open and not self.stopping.is_set():
            call = peer.read_call()
            if call is None:
                return
            call.__class__ = Question
            with self.lock:
                self.calls.append(call)
            self.behaviours.get(call.token, self.default)(peer, call)

    # ---- the protocol ----------------------------------------------------------------------------

    def answer(self, peer, call):
        if call.method == "GET":
            self.metadata.get(call.target, reply(404, b"nothing here"))(peer, call)
        else:
            peer.send(oauth(*self.judge(call)))

    def judge(self, call):
        """Status, object and fields, in the order in which a server looks."""
        if call.path != PATH:
            return 404, {"error": "not_found"}
        if call.method != "POST":
            return 405, {"error": "invalid_request"}, [("Allow", "POST")]
        if call.header("Content-Type") != "application/x-www-form-urlencoded":
            return 415, {"error": "invalid_request"}
        if not call.form:
            return 400, {"error": "invalid_request"}
        client = self.client(call)
        if client is False:
            return 401, {"error": "invalid_client"}, [("WWW-Authenticate", 'Basic realm="introspection"')]
        if client in self.forbidden:
            return 403, {"error": "unauthorized_client"}
        if not call.form.get("token"):
            return 400, {"error": "invalid_request"}
        said = self.tokens.get(call.form["token"])
        return 200, {"active": False} if said is None else {"active": True, **said}

    def client(self, call):
        """Who asks; False for nobody who is known. More than one way at once is none (RFC 6749 section 2.3)."""
        ways = []
        if call.header("Authorization"):
            kind, _, text = call.header("Authorization").partition(" ")
            if kind == "Bearer":
                ways.append(text if text in self.bearers else False)
            else:
                ways.append(call.basic[0] if self.clients.get(call.basic) == "basic" else False)
        if "client_id" in call.form:
            pair = (call.form["client_id"], call.form.get("client_secret"))
            ways.append(pair[0] if self.clients.get(pair) == "post" or (pair[1] is None and pair[0] in self.public) else False)
        if not ways:
            return None if None in self.public else False
        return ways[0] if len(ways) == 1 else False
