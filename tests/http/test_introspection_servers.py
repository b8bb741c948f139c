"""What Keycloak, Ory Hydra and GitLab say of tokens, judged by the provider of conf/introspection.conf that is for them."""

import json
import re
import time

import pytest

from behaviour import reply
from configs import everywhere, location
from conftest import new_token
from introspector import Introspector
from server import ROOT

CLIENT, SECRET = "llama-gateway", "secret-of-the-gateway"
ISSUER = "https://hydra.example.com/"
INACTIVE, UNUSABLE = "Token not active", "Token introspection error"
NOW = int(time.time())
END = NOW + 300


def blocks():
    """The three providers, the commented ones too."""
    text = (ROOT / "conf/introspection.conf").read_text()
    found = re.findall(r"^#?<LlamaAuthProvider idp introspection>\n.*?^#?</LlamaAuthProvider>\n", text, re.M | re.S)
    return dict(zip(("keycloak", "hydra", "gitlab"), (re.sub("^#", "", block, flags=re.M) for block in found), strict=True))


def keycloak(**more):
    """AccessTokenIntrospectionProvider: the token's own claims, then client_id, username, token_type and active."""
    said = {"exp": END, "iat": NOW, "auth_time": NOW, "jti": "onrtac:7f8d", "iss": None, "aud": [CLIENT, "account"],
            "sub": "e89175d5-94fd-453a-8abb-9953d59d04cf", "typ": "Bearer", "azp": "cli", "sid": "9a1c", "acr": "1",
            "allowed-origins": ["/*"], "realm_access": {"roles": ["offline_access", "default-roles-corp"]},
            "resource_access": {CLIENT: {"roles": ["ops"]}, "account": {"roles": ["manage-account"]}}, "scope": "openid email",
            "email_verified": True, "name": "Alice A", "preferred_username": "alice", "client_id": "cli", "username": "alice",
            "token_type": "Bearer", "active": True, **more}
    return {name: value for name, value in said.items() if value != "absent"}


def hydra(**more):
    said = {"active": True, "scope": "models.read models.write", "client_id": "c-1", "sub": "alice", "exp": END, "iat": NOW, "nbf": NOW,
            "aud": [CLIENT], "iss": ISSUER, "token_type": "Bearer", "token_use": "access_token",
            "ext": {"roles": ["admin"], "groups": ["core team"]}, **more}
    return {name: value for name, value in said.items() if value != "absent"}


def gitlab(**more):
    """Doorkeeper's TokenIntrospection: nothing of the user."""
    said = {"active": True, "scope": "read_api openid", "client_id": CLIENT, "token_type": "Bearer", "exp": END, "iat": NOW, **more}
    return {name: value for name, value in said.items() if value != "absent"}


ROLES = ["offline_access", "default-roles-corp"]
ALICE = {"roles": [*ROLES, "ops"], "scopes": ["openid", "email"]}
# server -> case -> answer, principal and attributes
ACCEPTED = {
    "keycloak: a person": (keycloak(), "alice", ALICE),
    "keycloak: groups": (keycloak(groups=["/core", "/a b"]), "alice", {**ALICE, "teams": ["/core", "/a b"]}),
    "keycloak: one audience": (keycloak(aud=CLIENT), "alice", ALICE),
    "keycloak: no roles of the client": (keycloak(resource_access={"account": {"roles": ["manage-account"]}}), "alice",
                                         {"roles": ROLES, "scopes": ["openid", "email"]}),
    "keycloak: no roles at all": (keycloak(realm_access="absent", resource_access="absent"), "alice", {"scopes": ["openid", "email"]}),
    "keycloak: no scope": (keycloak(scope="absent"), "alice", {"roles": [*ROLES, "ops"]}),
    "keycloak: a service account": (keycloak(username="service-account-ci", preferred_username="service-account-ci", client_id="ci",
                                             clientHost="10.0.0.1", sid="absent"), "service-account-ci", ALICE),
    "keycloak: an actor": (keycloak(act={"sub": "admin"}), "alice", ALICE),
    "keycloak: of 2017": (keycloak(nbf=0, token_type="absent", scope="absent", sid="absent", session_state="c05e"), "alice",
                          {"roles": [*ROLES, "ops"]}),
    "keycloak: without a name": (keycloak(username="absent", preferred_username="absent"), "e89175d5-94fd-453a-8abb-9953d59d04cf", ALICE),
    "hydra: a person": (hydra(), "alice", {"roles": ["admin"], "teams": ["core team"], "scopes": ["models.read", "models.write"]}),
    "hydra: client credentials": (hydra(sub="c-1", ext="absent"), "c-1", {"scopes": ["models.read", "models.write"]}),
    "hydra: null extras": (hydra(ext=None, scope="absent"), "alice", {}),
    "hydra: several audiences": (hydra(aud=["other", CLIENT]), "alice",
                                 {"roles": ["admin"], "teams": ["core team"], "scopes": ["models.read", "models.write"]}),
    "gitlab: a token": (gitlab(), CLIENT, {"scopes": ["read_api", "openid"]}),
    "gitlab: without an end": (gitlab(exp="absent"), CLIENT, {"scopes": ["read_api", "openid"]}),
    "gitlab: a null end": (gitlab(exp=None), CLIENT, {"scopes": ["read_api", "openid"]}),
    "gitlab: a resource": (gitlab(aud="https://api.example.com"), CLIENT, {"scopes": ["read_api", "openid"]}),
}
# server: case -> answer, message, and what the log says
REFUSED = {
    "keycloak: inactive": ({"active": False}, INACTIVE, "active is false, expected true"),
    "keycloak: no mapper for the audience": (keycloak(aud="account"), INACTIVE, f'aud is "account", expected one of: {CLIENT}'),
    "keycloak: no audience": (keycloak(aud="absent"), INACTIVE, f"aud is missing, expected one of: {CLIENT}"),
    "keycloak: another realm": (keycloak(iss="https://keycloak.example.com/realms/other"), INACTIVE,
                                'iss is "https://keycloak.example.com/realms/other", expected http'),
    "keycloak: a refresh token": (keycloak(typ="Refresh", token_type="Refresh"), INACTIVE, "token_type is \"Refresh\", expected an access token"),
    "keycloak: an offline token": (keycloak(typ="Offline"), INACTIVE, "typ is \"Offline\", expected an access token"),
    "keycloak: an ID token": (keycloak(typ="ID", token_type="ID"), INACTIVE, "is \"ID\", expected an access token"),
    "keycloak: a revocation to come": (keycloak(nbf=END), INACTIVE, "it is not valid before "),
    "hydra: inactive": ({"active": False}, INACTIVE, "active is false, expected true"),
    "hydra: no audience was granted": (hydra(aud=[]), INACTIVE, f"aud is an empty list, expected one of: {CLIENT}"),
    "hydra: a null audience": (hydra(aud=None), INACTIVE, f"aud is missing, expected one of: {CLIENT}"),
    "hydra: an issuer without its slash": (hydra(iss=ISSUER[:-1]), INACTIVE, f'iss is "{ISSUER[:-1]}", expected {ISSUER}'),
    "hydra: a refresh token": (hydra(token_use="refresh_token", token_type="absent"), INACTIVE,
                               'token_use is "refresh_token", expected an access token'),
    "hydra: nobody": (hydra(sub="absent"), UNUSABLE, "no principal, expected one of: sub (PrincipalClaim)"),
    "gitlab: inactive": ({"active": False}, INACTIVE, "active is false, expected true"),
    "gitlab: an end of 0": (gitlab(exp=0), INACTIVE, "it expired at 1970-01-01T00:00:00Z"),
    "gitlab: of no application": (gitlab(client_id=None), UNUSABLE, "no principal, expected one of: client_id (PrincipalClaim)"),
}


def server_of(name):
    return name.partition(":")[0]


class TestServers:
    expected = ("LA0110",)

    @staticmethod
    def configure(httpd):
        server = httpd.endpoints["main"] = Introspector()
        server.clients, server.public = {(CLIENT, SECRET): "basic"}, {None}
        httpd.write("conf/introspection.secret", SECRET + "\n").chmod(0o644)
        httpd.secrets |= {SECRET.encode()}
        httpd.issuer = server.publish("/realms/corp")
        text = f"Define LLAMA_ISSUER {httpd.issuer}\nDefine LLAMA_CLIENT {CLIENT}\nDefine LLAMA_SECRET file:conf/introspection.secret\n"
        for name, block in blocks().items():
            block = re.sub(r"^    Endpoint .*$", f"    Endpoint {server.at()}", block, flags=re.M)
            text += block.replace(" idp ", f" {name} ") + location(f"/{name}", name) + everywhere(httpd, f"/{name}")
        return text

    def ask(self, httpd, name, said):
        if said.get("iss", "") is None:
            said = {**said, "iss": httpd.issuer}
        return httpd.get(f"/{server_of(name)}/x", token=httpd.endpoints["main"].on(new_token(), reply(200, said)))

    @pytest.mark.parametrize("name", ACCEPTED)
    def test_accepted(self, httpd, name):
        said, principal, attributes = ACCEPTED[name]
        response = self.ask(httpd, name, said)
        assert (response.status, response.note("user")) == (200, principal)
        assert json.loads(response.note("attributes")) == attributes

    @pytest.mark.parametrize("name", REFUSED)
    def test_refused(self, httpd, name):
        said, message, reason = REFUSED[name]
        mark = httpd.log.mark()
        response = self.ask(httpd, name, said)
        assert (response.status, response.message) == (401, message)
        line = httpd.log.await_line(f"LA0026: provider {server_of(name)} rejected token", mark, level="info")
        assert reason in line.text, line

    @pytest.mark.parametrize("name", ["keycloak", "hydra", "gitlab"])
    def test_question(self, httpd, name):
        """Hydra's admin port is asked without credentials, the others by Basic."""
        token = httpd.endpoints["main"].on(new_token(), reply(200, {"active": False}))
        assert httpd.get(f"/{name}/x", token=token).status == 401
        assert httpd.endpoints["main"].call(token).basic == (None if name == "hydra" else (CLIENT, SECRET))
