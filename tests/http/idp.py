"""The OAuth2 server of the tests: oidc-provider in a node process of its own (tests/idp), started and ended here."""

import base64
import json
import select
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / ".build" / "idp" / "server.mjs"
PATIENCE = 30
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
SCOPE = "models.read telemetry.read"

# Callers, and two resource servers: `gateway` has an id and a secret that form encoding and HTTP Basic each must treat with care.
CALLER = "robot"
GATEWAY = "gate way:1"
POSTER = "poster"
SECRETS = {CALLER: "secret-of-robot-01", GATEWAY: "pa ss+w%rd:&=/?'\\", POSTER: "secret&of=poster+1"}
CLAIMS = {CALLER: {"groups": ["ml", "ops"], "tenant": "acme", "team": "core"}}


def client(name):
    method = "client_secret_post" if name == POSTER else "client_secret_basic"
    return {"client_id": name, "client_secret": SECRETS[name], "token_endpoint_auth_method": method,
            "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": []}


# A public client: an MCP client in a browser or on somebody's desk, on whatever port.
PAGE = {"client_id": "page", "token_endpoint_auth_method": "none", "application_type": "native", "grant_types": ["authorization_code"],
        "response_types": ["code"], "redirect_uris": ["http://127.0.0.1/callback"]}


def resource(kind):
    """The audience of its tokens. kind: `opaque`, or the algorithm of a JWT."""
    return f"urn:llama:{kind}"


class Idp:
    """Listens once it is made."""

    def __init__(self):
        assert PROGRAM.exists(), f"{PROGRAM} is missing: make -f Makefile.apxs idp"
        node = shutil.which("node") or shutil.which("nodejs")
        settings = json.dumps({"clients": [PAGE, *(client(name) for name in SECRETS)], "claims": CLAIMS})
        self.lock = threading.Lock()
        self.process = subprocess.Popen([node, "--preserve-symlinks-main", str(PROGRAM), settings],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.issuer = f"http://127.0.0.1:{self.hear()['port']}"

    def stop(self):
        """It ends with its input."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def hear(self):
        """The next line that it prints."""
        ready = select.select([self.process.stdout], [], [], PATIENCE)[0]
        line = self.process.stdout.readline() if ready else ""
        assert line, "the OAuth2 server said nothing"
        return json.loads(line)

    def command(self, **fields):
        with self.lock:
            self.process.stdin.write(json.dumps(fields) + "\n")
            self.process.stdin.flush()
            return self.hear()

    def rotate(self, alg):
        """Tokens are signed with a new key from now on; the old one stays published. Returns the new key's kid."""
        return self.command(do="rotate", alg=alg)["kid"]

    def withdraw(self, kid):
        """Publishes a retired key no longer."""
        self.command(do="withdraw", kid=kid)

    def decline(self, scope):
        """The person who signs in next does not consent to the scope."""
        self.command(do="decline", scope=scope)

    def requests(self, path):
        """How many came for a path so far."""
        return self.command(do="requests").get(path, 0)

    def post(self, path, form):
        """As the caller, with HTTP Basic; the answer's bytes."""
        credentials = base64.b64encode(f"{CALLER}:{SECRETS[CALLER]}".encode()).decode()
        request = urllib.request.Request(self.issuer + path, urllib.parse.urlencode(form).encode(),
                                         {"Authorization": f"Basic {credentials}"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE) as answer:
            return answer.read()

    def token(self, kind, scope=SCOPE):
        """A new access token for the resource of that kind, or of that URL."""
        target = kind if kind.startswith("http:") else resource(kind)
        form = {"grant_type": "client_credentials", "resource": target, "scope": scope}
        return json.loads(self.post("/token", form))["access_token"]

    def revoke(self, token):
        self.post("/token/revocation", {"token": token})
