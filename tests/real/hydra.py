"""An Ory Hydra as its module has it, with a database of its own, and what its clients and the people who sign in do with it."""

import base64
import http.cookiejar
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from program import PATIENCE, Program
from server import ROOT, free_port

PROGRAM = ROOT / ".build" / "hydra" / "hydra"
AUDIENCE, SCOPE = "llama-gateway llama-stack", "openid models.read offline"
CALLBACK = "http://127.0.0.1:1/callback"
# Clients, by the form of their access tokens.
CLIENTS = ("opaque", "jwt")
KEYS = "hydra.jwt.access-token"


def secret_of(client):
    return f"secret-of-{client}-0001"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Hydra(Program):
    """Serves as soon as it is made. Its admin port asks nobody who he is."""

    def __init__(self, root):
        self.port, self.admin = free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/"
        self.configuration = root / "hydra.json"
        root.mkdir()
        self.write(root, ["secret-of-the-system-0001"])
        subprocess.run([PROGRAM, "migrate", "sql", "-e", "--yes", "-c", self.configuration], check=True, capture_output=True, cwd=root,
                       timeout=PATIENCE)
        super().__init__(root, "hydra", [PROGRAM, "serve", "all", "--dev", "--sqa-opt-out", "-c", self.configuration], Hydra.is_ready)
        self.furnish(self.register_clients)

    def register_clients(self):
        for name in CLIENTS:
            self.administer("POST", "/admin/clients", {
                "client_id": name, "client_secret": secret_of(name), "access_token_strategy": name, "scope": SCOPE,
                "audience": AUDIENCE.split(), "redirect_uris": [CALLBACK], "response_types": ["code"],
                "grant_types": ["client_credentials", "authorization_code", "refresh_token"]})

    def write(self, root, secrets):
        """Its configuration: the first of the system's secrets signs opaque tokens, the others still read them."""
        settings = {"dsn": f"sqlite://{root}/db.sqlite?_fk=true", "ttl": {"access_token": "1h"}, "secrets": {"system": secrets},
                    "serve": {name: {"host": "127.0.0.1", "port": port} for name, port in (("public", self.port), ("admin", self.admin))},
                    "urls": {"self": {"issuer": self.issuer}, "login": "http://127.0.0.1:1/login", "consent": "http://127.0.0.1:1/consent"}}
        self.configuration.write_text(json.dumps(settings))

    def set_secrets(self, *secrets):
        """Starts again with other secrets."""
        self.write(self.root, secrets)
        self.restart()

    def is_ready(self):
        return self.call("GET", self.admin_url("/health/ready"))[0] == 200

    # ---- requests ------------------------------------------------------------------------------------

    def admin_url(self, path):
        return f"http://127.0.0.1:{self.admin}{path}"

    @staticmethod
    def call(method, url, body=None, form=None, client=None, jar=None):
        """One request, redirects not followed: status, fields and JSON."""
        headers = {}
        if client:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{client}:{secret_of(client)}".encode()).decode()
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect, urllib.request.HTTPCookieProcessor(jar))
        try:
            with opener.open(urllib.request.Request(url, data, headers, method=method), timeout=PATIENCE) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def administer(self, method, path, body=None):
        status, _, answer = self.call(method, self.admin_url(path), body)
        assert 200 <= status < 300, (method, path, status, answer)
        return answer

    def post(self, path, client, **form):
        status, _, answer = self.call("POST", self.issuer + path, form=form, client=client)
        assert status == 200, (path, form, status, answer)
        return answer

    # ---- tokens --------------------------------------------------------------------------------------

    def token(self, client="opaque", **more):
        """An access token of the client's own."""
        form = {"grant_type": "client_credentials", "scope": "models.read", "audience": AUDIENCE, **more}
        return self.post("oauth2/token", client, **form)["access_token"]

    def follow(self, url, jar, name):
        """Where a person is sent next: the parameter of that name in the query."""
        status, headers, answer = self.call("GET", url, jar=jar)
        assert status in (302, 303), (url, status, answer)
        return urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)[name][0]

    def sign_in(self, person, client="opaque", **session):
        """All tokens of a person whom the sign-in and consent applications let through. session: what they say of the person."""
        jar = http.cookiejar.CookieJar()
        query = {"client_id": client, "response_type": "code", "scope": SCOPE, "state": "of-the-test", "redirect_uri": CALLBACK,
                 "audience": AUDIENCE}
        challenge = self.follow(f"{self.issuer}oauth2/auth?{urllib.parse.urlencode(query)}", jar, "login_challenge")
        url = self.accept("login", challenge, {"subject": person})
        challenge = self.follow(url, jar, "consent_challenge")
        url = self.accept("consent", challenge, {"grant_scope": SCOPE.split(), "grant_access_token_audience": AUDIENCE.split(),
                                                 "session": {"access_token": session}})
        code = self.follow(url, jar, "code")
        return self.post("oauth2/token", client, grant_type="authorization_code", code=code, redirect_uri=CALLBACK)

    def accept(self, kind, challenge, answer):
        return self.administer("PUT", f"/admin/oauth2/auth/requests/{kind}/accept?{kind}_challenge={urllib.parse.quote(challenge)}",
                               answer)["redirect_to"]

    def revoke(self, token, client="opaque"):
        self.post("oauth2/revoke", client, token=token)

    def sign_out(self, person):
        """Takes back all that a person has consented to."""
        self.administer("DELETE", f"/admin/oauth2/auth/sessions/consent?subject={person}&all=true")

    # ---- keys ----------------------------------------------------------------------------------------

    def rotate(self, kid):
        """JWTs are signed with a new key from now on; the older ones stay published."""
        self.administer("POST", f"/admin/keys/{KEYS}", {"alg": "RS256", "use": "sig", "kid": kid})

    def withdraw(self, kid):
        self.administer("DELETE", f"/admin/keys/{KEYS}/{kid}")
