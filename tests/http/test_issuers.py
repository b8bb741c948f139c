"""The configurations of conf/ for well-known issuers, with the forms of tokens and key sets that these send."""

import json
import re

import pytest

from behaviour import reply
from keyserver import key_server
from signer import claims, key
from test_confs import Used, backend, text_of

SIGNER, STRANGER = key("RS256", "signs-1"), key("RS256", "stranger")

# What each issuer has beside kty, n, e: key sets differ in `alg`, certificates and members of their own.
KEYS = {
    "entra": SIGNER.public(alg=None, x5t=SIGNER.kid, x5c=["MIIC/zCCAeegAwIBAgIJ"], cloud_instance_name="microsoftonline.com",
                           issuer="https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"),
    "okta": SIGNER.public(),
    "auth0": SIGNER.public(x5t="6wS-rLpZ0mB9", x5c=["MIIDBTCCAe2gAwIBAgIJ"]),
    "google": SIGNER.public(),
    "cognito": SIGNER.public(),
    "zitadel": SIGNER.public(),
}
# A part of the issuer's URL that metadata and tokens have too.
PATHS = {"entra": "/11111111-2222-3333-4444-555555555555/v2.0", "okta": "/oauth2/default", "auth0": "/", "google": "",
         "cognito": "/eu-central-1_EXAMPLE00", "zitadel": ""}
METADATA = {"entra": {"tenant_region_scope": "EU", "cloud_instance_name": "microsoftonline.com", "rbac_url": "https://pas.windows.net"},
            "auth0": {"mfa_challenge_endpoint": "https://example.eu.auth0.com/mfa/challenge"}}

APP, TENANT, PERSON = "66666666-7777-8888-9999-000000000000", "11111111-2222-3333-4444-555555555555", "00000000-aaaa-bbbb-cccc-dddddddddddd"
API, CLIENT, PROJECT = "https://llama.example.com", "1example23456789exampleid0", "100000000000000000"
GOOGLE = "000000000000-example.apps.googleusercontent.com"
OKTA = {"ver": 1, "aud": "api://default", "cid": "0oa1client", "uid": "00u1person", "auth_time": 1688145909}
COGNITO = {"aud": None, "token_use": "access", "client_id": CLIENT, "version": 2, "origin_jti": "a", "event_id": "b", "auth_time": 1}
ENTRA = {"aud": APP, "aio": "E2ZgYJh", "azp": "client", "azpacr": "1", "oid": PERSON, "rh": "0.AX", "tid": TENANT, "uti": "u", "ver": "2.0"}
VERSION_1 = {"ver": "1.0", "aud": f"api://{APP}", "iss": f"https://sts.windows.net/{TENANT}/", "appid": "client"}
ZITADEL = {"aud": ["100000000000000001@llama", PROJECT], "client_id": "100000000000000001@llama", "sub": "200000000000000000"}
ROLES = "urn:zitadel:iam:org:project:roles"

# Issuer, what it is, header, claims, and either who the caller is and has, or the status.
TOKENS = [
    ("entra", "a person", {"x5t": "signs-1"}, {**ENTRA, "name": "Al", "preferred_username": "al@example.com", "sub": "pairwise",
                                               "scp": "models.read chat", "roles": ["Llama.Admin"], "groups": [PERSON, TENANT]},
     (PERSON, {"roles": ["Llama.Admin"], "teams": [PERSON, TENANT], "scopes": ["models.read", "chat"], "namespaces": [TENANT]})),
    ("entra", "an application", {}, {**ENTRA, "idtyp": "app", "sub": PERSON, "roles": ["Llama.Use"]},
     (PERSON, {"roles": ["Llama.Use"], "namespaces": [TENANT]})),
    ("entra", "200 groups and more", {}, {**ENTRA, "scp": "chat", "_claim_names": {"groups": "src1"},
                                          "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x"}}},
     (PERSON, {"scopes": ["chat"], "namespaces": [TENANT]})),
    ("entra-1", "version 1", {"x5t": "signs-1"}, {**ENTRA, **VERSION_1, "unique_name": "al@example.com", "upn": "al@example.com", "scp": "chat"},
     (PERSON, {"scopes": ["chat"], "namespaces": [TENANT]})),
    ("entra", "another application's", {}, {**ENTRA, "aud": "00000003-0000-0000-c000-000000000000"}, 401),
    ("entra", "version 1", {}, {**ENTRA, **VERSION_1}, 401),
    ("okta", "a person", {"typ": None}, {**OKTA, "jti": "AT.1", "sub": "al@example.com", "scp": ["openid", "models.read"],
                                         "groups": ["Everyone", "ml"]},
     ("al@example.com", {"teams": ["Everyone", "ml"], "scopes": ["openid", "models.read"], "clients": ["0oa1client"]})),
    ("okta", "a service", {"typ": None}, {**OKTA, "jti": "AT.2", "uid": None, "sub": "0oa1client", "scp": ["models.read"]},
     ("0oa1client", {"scopes": ["models.read"], "clients": ["0oa1client"]})),
    ("okta", "the organization's", {"typ": None}, {**OKTA, "iss": "https://example.okta.com", "aud": "https://example.okta.com", "sub": "al"}, 401),
    ("auth0", "a person, RBAC", {}, {"aud": [API, "https://example.eu.auth0.com/userinfo"], "azp": "client", "sub": "auth0|6553da60", "jti": None,
                                     "scope": "openid profile models.write", "permissions": ["models.read"], f"{API}/roles": ["admin", "ml"]},
     ("auth0|6553da60", {"roles": ["admin", "ml"], "scopes": ["models.read"]})),
    ("auth0", "a service", {}, {"aud": API, "azp": "client", "gty": "client-credentials", "sub": "client@clients", "permissions": []},
     ("client@clients", {"scopes": []})),
    ("auth0", "profile of RFC 9068", {"typ": "at+jwt"}, {"aud": API, "client_id": "client", "sub": "google-oauth2|1", "org_id": "org_1", "scope": "x"},
     ("google-oauth2|1", {"namespaces": ["org_1"]})),
    ("auth0", "without its slash", {}, {"aud": API, "sub": "al", "iss": lambda url: url.rstrip("/")}, 401),
    ("google", "a person", {}, {"aud": GOOGLE, "azp": GOOGLE, "sub": "110169484474386276334", "email": "al@example.com", "email_verified": True,
                                "hd": "example.com", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q"},
     ("al@example.com", {"namespaces": ["example.com"], "verified": ["true"]})),
    ("google", "of another Workspace", {}, {"aud": GOOGLE, "sub": "1", "email": "al@other.com", "email_verified": True, "hd": "other.com"}, 403),
    ("google", "of no Workspace", {}, {"aud": GOOGLE, "sub": "1", "email": "al@example.com", "email_verified": True}, 403),
    ("google", "an unverified address", {}, {"aud": GOOGLE, "sub": "1", "email": "al@example.com", "email_verified": False, "hd": "example.com"}, 403),
    ("cognito", "a person", {"typ": None}, {**COGNITO, "sub": PERSON, "username": "al", "scope": "openid llama/models.read",
                                            "cognito:groups": ["eu_Google", "ml"]},
     ("al", {"teams": ["eu_Google", "ml"], "scopes": ["openid", "llama/models.read"], "clients": [CLIENT], "token_use": ["access"]})),
    ("cognito", "a service", {"typ": None}, {**COGNITO, "sub": CLIENT, "scope": "llama/models.read"},
     (CLIENT, {"scopes": ["llama/models.read"], "clients": [CLIENT], "token_use": ["access"]})),
    ("cognito", "another client's", {"typ": None}, {**COGNITO, "sub": PERSON, "username": "al", "client_id": "other"}, 403),
    ("cognito", "an ID token", {"typ": None}, {"aud": CLIENT, "token_use": "id", "sub": PERSON, "cognito:username": "al", "email": "al@example.com"}, 403),
    ("zitadel", "a person", {}, {**ZITADEL, ROLES: {"admin": {"3": "acme.example.com"}, "ml": {"3": "acme.example.com", "4": "b.example.com"}},
                                 f"urn:zitadel:iam:org:project:{PROJECT}:roles": {"admin": {"3": "acme.example.com"}},
                                 "urn:zitadel:iam:user:resourceowner:id": "300000000000000000", "urn:zitadel:iam:user:resourceowner:name": "Acme"},
     ("200000000000000000", {"roles": ["admin", "ml"], "namespaces": ["300000000000000000"]})),
    ("zitadel", "no roles", {}, ZITADEL, ("200000000000000000", {})),
    ("zitadel", "of another project", {}, {**ZITADEL, "aud": ["100000000000000001@llama"]}, 401),
]


def issuer_of(httpd, name):
    """Metadata and keys as the issuer has them; returns its URL."""
    server = key_server(httpd, name)
    url = server.url(PATHS[name])
    keys = server.put("/keys", {"keys": [KEYS[name], {**STRANGER.public(), "kid": "next"}]})
    metadata = {"issuer": url, "jwks_uri": keys, **METADATA.get(name, {})}
    server.put(PATHS[name].rstrip("/") + "/.well-known/openid-configuration", reply(200, metadata))
    return url


def version_1(text, keys):
    """The entra.conf that its comments describe."""
    text = text.replace("<LlamaAuthProvider entra ", "<LlamaAuthProvider entra-1 ").replace("LlamaAuthUse entra\n", "LlamaAuthUse entra-1\n")
    text = text.replace("    Issuer ", "    #Issuer ").replace("#JwksUri ", "JwksUri ").replace("#ExpectIssuer ", "ExpectIssuer ")
    text = text.replace("https://login.microsoftonline.com/TENANT/discovery/keys", keys).replace("TENANT", TENANT)
    return re.sub(r"^(Define LLAMA_AUDIENCE +)(\S+)$", r"\1api://\2", text, flags=re.M)


class TestIssuers(Used):
    """Each in a virtual host of its own; only the issuer's URL and the backend's are replaced."""
    expected = ("AH01630", "AH01631")

    @classmethod
    def configure(cls, httpd):
        httpd.at, text = {}, ""
        hosts = {name: text_of(f"{name}.conf", LLAMA_ISSUER=issuer_of(httpd, name), LLAMA_BACKEND=backend(httpd)) for name in KEYS}
        hosts["entra-1"] = version_1(hosts["entra"], key_server(httpd, "entra").url("/keys"))
        for name, host in hosts.items():
            httpd.at[name] = httpd.listen()
            text += f"<VirtualHost 127.0.0.1:{httpd.at[name]}>\nServerName {name}.example\n{host}</VirtualHost>\n"
        return text

    @staticmethod
    def ask(httpd, name, said, header=None, signer=SIGNER):
        url = key_server(httpd, name).url(PATHS.get(name, ""))
        said = {**said, "iss": said["iss"](url)} if callable(said.get("iss")) else said
        return httpd.get("/v1/models", port=httpd.at[name], token=signer.sign(claims(**{"iss": url, "iat": 1, **said}), **header or {}))

    @pytest.mark.parametrize("name, what, header, said, expected", TOKENS, ids=[f"{row[0]}: {row[1]}" for row in TOKENS])
    def test_token(self, httpd, name, what, header, said, expected):
        response = self.ask(httpd, name, said, header)
        if isinstance(expected, int):
            assert response.status == expected
            return
        principal, attributes = expected
        assert (response.status, response.note("principal")) == (200, principal)
        told = self.seen(httpd)
        assert told.header("X-Auth-User-Id") == principal
        assert json.loads(told.header("X-Auth-Attributes") or "{}") == attributes

    @pytest.mark.parametrize("name", KEYS)
    def test_wrong_key(self, httpd, name):
        """A good row's claims, signed by another key under the same name."""
        said = next(row[3] for row in TOKENS if row[0] == name)
        assert self.ask(httpd, name, said, {"kid": SIGNER.kid}, STRANGER).status == 401
