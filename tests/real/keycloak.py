"""A Keycloak as its distribution has it, with a database of its own, and what its administrators and its users do with it."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from program import PATIENCE, Program
from server import ROOT, free_port
from tls_client import context

HOME = ROOT / ".build" / "keycloak" / "dist"
REALM = "corp"
ADMIN, ADMIN_SECRET = "test-admin", "secret-of-test-admin-01"
PASSWORD = "password-of-everybody-01"
# Clients: two that get tokens, one of them with the audience of conf/keycloak.conf, and httpd itself.
CLI, OTHER, GATEWAY = "cli", "other", "llama-gateway"
AUDIENCE = "llama-stack"
LIFESPAN = 3600


def secret_of(name):
    return f"secret-of-{name}-0001"


def client(name, **more):
    return {"clientId": name, "secret": secret_of(name), "standardFlowEnabled": False, "serviceAccountsEnabled": True,
            "directAccessGrantsEnabled": True, **more}


def user(name, **more):
    """With all that a profile must have, so that there is nothing left to do at the first sign-in."""
    return {"username": name, "email": f"{name}@example.com", "firstName": name, "lastName": "A", "enabled": True, "emailVerified": True,
            "credentials": [{"type": "password", "value": PASSWORD}], **more}


CORP = {"realm": REALM, "enabled": True, "sslRequired": "none", "accessTokenLifespan": LIFESPAN, "ssoSessionIdleTimeout": LIFESPAN,
        "roles": {"realm": [{"name": "admin"}], "client": {GATEWAY: [{"name": "ops"}]}}, "groups": [{"name": "core"}],
        "clients": [client(CLI), client(OTHER), client(GATEWAY)],
        "users": [user("alice", realmRoles=["admin", "offline_access"], groups=["/core"], clientRoles={GATEWAY: ["ops"]}),
                  user("bob"), user("carol"), user("dave")]}


def mapper(kind, **config):
    """A protocol mapper, for access tokens and what introspection says of them."""
    values = {"access.token.claim": True, "introspection.token.claim": True, "id.token.claim": False, **config}
    return {"name": kind, "protocol": "openid-connect", "protocolMapper": kind,
            "config": {name: json.dumps(value) if isinstance(value, bool) else value for name, value in values.items()}}


def audience_scope(name, audience):
    """A client scope with an "Audience" mapper, and one that tells the groups."""
    kind = "included.client.audience" if audience == GATEWAY else "included.custom.audience"
    return {"name": name, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "false"},
            "protocolMappers": [mapper("oidc-audience-mapper", **{kind: audience}),
                                mapper("oidc-group-membership-mapper", **{"claim.name": "groups", "full.path": True})]}


def opener_by(context):
    """Without a proxy; context: for https."""
    handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)


class Keycloak(Program):
    """Serves the realm `corp` as soon as it is made."""

    def __init__(self, root, pki):
        self.port, self.tls_port, self.pki = free_port(), free_port(), pki
        self.issuer = f"http://127.0.0.1:{self.port}/realms/{REALM}"
        self.opener = opener_by(None)
        self.admin_token, self.admin_until = None, 0
        self.new_secrets = {}
        (root / "data").mkdir(parents=True)
        for name in ("bin", "conf", "lib", "providers", "themes", "version.txt"):
            (root / name).symlink_to(HOME / name)
        super().__init__(root, "keycloak", [
            HOME / "bin" / "kc.sh", "start", "--optimized", f"-Dkc.home.dir={root}", "--cache=local", "--http-enabled=true",
            "--http-host=127.0.0.1", f"--http-port={self.port}", f"--hostname=http://127.0.0.1:{self.port}",
            f"--https-port={self.tls_port}", f"--https-certificate-file={pki.path('good.pem')}",
            f"--https-certificate-key-file={pki.path('good.key')}", f"--truststore-paths={pki.path('ca.pem')}"], Keycloak.boots, {
                "KC_BOOTSTRAP_ADMIN_CLIENT_ID": ADMIN, "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": ADMIN_SECRET,
                "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"})
        self.furnish(self.make_realm)

    def boots(self):
        """Whether it knows its own realm: it listens before that."""
        return self.call("GET", "/realms/master")[0] == 200

    def pids(self):
        """kc.sh waits for its java, which does the work."""
        shell = self.process.pid
        with open(f"/proc/{shell}/task/{shell}/children") as file:
            return [shell, *map(int, file.read().split())]

    def url(self, path):
        return f"{self.issuer}/protocol/openid-connect/{path}"

    # ---- requests ------------------------------------------------------------------------------------

    def call(self, method, path, body=None, form=None, certificate=None, **headers):
        """One request: status and JSON, or None where there is none. certificate: over TLS, with that one of the authority's."""
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        place = f"https://127.0.0.1:{self.tls_port}" if certificate else f"http://127.0.0.1:{self.port}"
        request = urllib.request.Request(f"{place}{path}", data, headers, method=method)
        opener = opener_by(context(self.pki, certificate)) if certificate else self.opener
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, path, name, form, **headers):
        """To an endpoint of the realm as one of its clients; the answer."""
        basic = base64.b64encode(f"{name}:{self.secret_of(name)}".encode()).decode()
        status, answer = self.call("POST", f"/realms/{REALM}/protocol/openid-connect/{path}", form=form,
                                   Authorization=f"Basic {basic}", **headers)
        assert status == 200, (path, form, status, answer)
        return answer

    def administer(self, method, path, body=None):
        """By the admin REST API, below the realm; the answer."""
        if time.monotonic() > self.admin_until:
            form = {"grant_type": "client_credentials", "client_id": ADMIN, "client_secret": ADMIN_SECRET}
            status, answer = self.call("POST", "/realms/master/protocol/openid-connect/token", form=form)
            assert status == 200, answer
            self.admin_token, self.admin_until = answer["access_token"], time.monotonic() + answer["expires_in"] / 2
        status, answer = self.call(method, f"/admin/realms{path}", body, Authorization=f"Bearer {self.admin_token}")
        assert 200 <= status < 300, (method, path, status, answer)
        return answer

    # ---- its administrator ---------------------------------------------------------------------------

    def make_realm(self):
        self.administer("POST", "", CORP)
        self.admin_until = 0  # a token's rights are those of its time
        for scope, audience in (("llama", AUDIENCE), ("gateway", GATEWAY)):
            self.administer("POST", f"/{REALM}/client-scopes", audience_scope(scope, audience))
        self.administer("POST", f"/{REALM}/client-scopes", {"name": "models.read", "protocol": "openid-connect"})
        scopes = {scope["name"]: scope["id"] for scope in self.administer("GET", f"/{REALM}/client-scopes")}
        cli = f"/{REALM}/clients/{self.id_of('clients', clientId=CLI)}"
        for kind, scope in (("default", "llama"), ("default", "gateway"), ("optional", "models.read")):
            self.administer("PUT", f"{cli}/{kind}-client-scopes/{scopes[scope]}")

    def add_client(self, name):
        self.administer("POST", f"/{REALM}/clients", client(name))

    def id_of(self, kind, **query):
        """kind: clients (clientId=NAME) or users (username=NAME)."""
        found = self.administer("GET", f"/{REALM}/{kind}?{urllib.parse.urlencode({**query, 'exact': 'true'})}")
        return found[0]["id"]

    def set_attributes(self, name, **attributes):
        """Changes attributes of a client, with dots in place of underscores."""
        path = f"/{REALM}/clients/{self.id_of('clients', clientId=name)}"
        known = self.administer("GET", path)
        known["attributes"].update({key.replace("_", "."): value for key, value in attributes.items()})
        self.administer("PUT", path, known)

    def new_secret(self, name):
        """Another secret for a client; returns it."""
        path = f"/{REALM}/clients/{self.id_of('clients', clientId=name)}/client-secret"
        self.new_secrets[name] = self.administer("POST", path)["value"]
        return self.new_secrets[name]

    def secret_of(self, name):
        return self.new_secrets.get(name, secret_of(name))

    def active_key(self, algorithm="RS256"):
        return self.administer("GET", f"/{REALM}/keys")["active"][algorithm]

    def rotate(self, priority):
        """A new RSA key, which signs from now on if its priority is the highest; the older ones stay published. Returns its kid."""
        realm = self.administer("GET", f"/{REALM}")["id"]
        config = {"priority": [str(priority)], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"], "keySize": ["2048"]}
        self.administer("POST", f"/{REALM}/components", {
            "name": f"rsa-{priority}", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm,
            "config": config})
        return self.active_key()

    def withdraw(self, kid):
        """Publishes a key no longer."""
        keys = self.administer("GET", f"/{REALM}/keys")["keys"]
        provider = next(key["providerId"] for key in keys if key["kid"] == kid)
        component = self.administer("GET", f"/{REALM}/components/{provider}")
        component["config"].update(enabled=["false"], active=["false"])
        self.administer("PUT", f"/{REALM}/components/{provider}", component)

    # ---- its users -----------------------------------------------------------------------------------

    def sign_in(self, name, by=CLI, scope="openid", **headers):
        """All tokens of a person: access_token, refresh_token, id_token."""
        form = {"grant_type": "password", "username": name, "password": PASSWORD, "scope": scope}
        return self.post("token", by, form, **headers)

    def token(self, name=None, by=CLI, **more):
        """An access token of a person; without a name the client's own."""
        if name:
            return self.sign_in(name, by, **more)["access_token"]
        return self.post("token", by, {"grant_type": "client_credentials"}, **more)["access_token"]

    def revoke(self, token, by=CLI):
        self.post("revoke", by, {"token": token})

    def sign_out(self, name):
        """Ends all sessions of a person, by the administrator."""
        self.administer("POST", f"/{REALM}/users/{self.id_of('users', username=name)}/logout")

    def disable(self, name):
        self.administer("PUT", f"/{REALM}/users/{self.id_of('users', username=name)}", {"enabled": False})
