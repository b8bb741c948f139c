"""The rows of the table: what each server is configured with, what its clients send, what it is held against.

A row that its httpd refuses (a directive that does not exist yet, a module that is not built) is left out with a note.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import httpd
import jwts
import nginx
from httpd import Setup
from load import PATH, Load
from proofs import Prover

TOKEN_40 = "tok-" + "0123456789abcdefghijklmnopqrstuvwxyz"
TOKEN_900 = ("tok-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 25)[:900]

OURS = Path(os.environ.get("LA_MODULE", ".build/release/mod_llama_auth.so")).resolve()
SCOPES = "    RequireScope models.read\n    RequireScope telemetry.read\n"
FORWARD = ("    LlamaAuthForward X-Auth-User-Id principal\n    LlamaAuthForward X-Auth-Attributes attributes\n"
           "    LlamaAuthForward X-Auth-Teams attribute:teams\n")


@dataclass(frozen=True)
class Budget:
    """What ../shared/targets.md section 2 demands of a row; None where it demands nothing."""
    over_us: float = None
    throughput: float = None


@dataclass(frozen=True)
class Row:
    """`setup(lab, endpoint)` for an httpd row, `peer(lab, name, endpoint)` for an nginx row.

    alg: whose bare verification each request needs; beyond_us: what it may cost beside that, if that is fixed.
    base: the row that it is measured against, mostly the one without authentication around it; "" for those. extra: measured only when named.
    """
    name: str
    title: str
    load: Load
    base: str = "plain"
    cold: bool = False
    extra: bool = False
    alg: str = ""
    beyond_us: float = None
    setup: Callable = None
    peer: Callable = None
    budget: Budget = None

    def refusal(self, lab, endpoint):
        return httpd.refusal(lab, self.name, self.setup(lab, endpoint)) if self.setup else ""

    def start(self, lab, endpoint):
        if self.setup:
            return httpd.start(lab, self.name, self.setup(lab, endpoint))
        return self.peer(lab, self.name, endpoint)


def _plain(_lab, _endpoint):
    return Setup()


QUOTA = "<LlamaAuthQuota q>\n    Rate 1000000000/1s\n    Tokens 100000000000/1h\n</LlamaAuthQuota>"
USE = "    LlamaAuthQuotaUse q\n"
REDIS = "LlamaAuthCacheShared redis://127.0.0.1:{redis}\nLlamaAuthCacheSecret file:{secret}\n"
SIGNER = "<LlamaAuthSigner s>\n    Key file:{signer}\n    Issuer https://bench.example\n    Audience bench\n</LlamaAuthSigner>"
ASSERTION = "    LlamaAuthForward Authorization assertion:s\n"
EVENTS = "    LlamaAuthUsage on\n    ForceType text/event-stream\n"


def ours(provider="custom", options="", rules="", tls=False, jwks="", more=""):
    """mod_llama_auth with one provider. more: lines of the server; `{redis}` is the port of one, `{signer}` a private key."""
    def setup(lab, endpoint):
        where = f"https://127.0.0.1:{endpoint.tls}" if tls else f"http://127.0.0.1:{endpoint.http}"
        lines = options.format(where=where, cert=lab.cert, keys=_key_file(lab), jwks=jwks and lab.tokens.key_set(jwks))
        return Setup(module=("llama_auth_module", OURS),
                     server_part=f"<LlamaAuthProvider bench {provider}>\n{lines}</LlamaAuthProvider>\n" + _filled(lab, more),
                     location_part="    AuthType Bearer\n    AuthName bench\n    LlamaAuthUse bench\n"
                                   f"    Require valid-user\n{rules}")
    return setup


def _filled(lab, more):
    if "{redis}" in more:
        more = more.format(redis=lab.redis(), secret=lab.write("secret", "s" * 40))
    return more.replace("{signer}", str(lab.tokens.private_key("ES256"))) if "{signer}" in more else more


def _key_file(lab):
    """The key file, written once: a server that starts may be reading it."""
    if (path := lab.root / "keys.json").exists():
        return path
    entry = {"id": "bench", "sha256": hashlib.sha256(TOKEN_40.encode()).hexdigest(), "principal": "alice",
             "attributes": {"roles": ["admin"], "scopes": ["models.read", "telemetry.read"]}}
    return lab.write("keys.json", json.dumps({"keys": [entry]}))


CUSTOM = "    Endpoint {where}/validate\n"
JWT = "    JwksFile {jwks}\n    Audience bench\n    CacheTTL " + jwts.TTL + "\n"
BOUND = "    JwksFile {jwks}\n    Audience bench\n"
CUSTOM_TLS = CUSTOM + "    TLSCAFile {cert}\n"


def openidc(verify="introspection", tls=True, more=""):
    """Debian's mod_auth_openidc as an OAuth 2 resource server.

    It takes an http endpoint only from server metadata, which it then reads from its cache with each request;
    hence the rows where the scheme does not matter use TLS.
    """
    def setup(lab, endpoint):
        if verify == "unique":
            lines = f"OIDCOAuthVerifyCertFiles {jwts.KID}#{lab.tokens.public_key('RS256')}"
        elif verify == "jwt":
            lines = f"OIDCOAuthVerifyCertFiles bench#{lab.cert}"
        else:
            where = (f"OIDCOAuthIntrospectionEndpoint https://127.0.0.1:{endpoint.tls}/introspect" if tls
                     else f"OIDCOAuthServerMetadataURL http://127.0.0.1:{endpoint.http}/metadata")
            lines = f"{where}\nOIDCOAuthClientID bench\nOIDCOAuthClientSecret secret\nOIDCCABundlePath {lab.cert}"
        return Setup(module=("auth_openidc_module", httpd.module_path("mod_auth_openidc.so")),
                     server_part=f"OIDCCryptoPassphrase bench\nOIDCOAuthRemoteUserClaim sub\n{lines}\n{more}",
                     location_part="    AuthType oauth20\n    Require valid-user")
    return setup


def nginx_peer(protected=True, cache="", tls=False):
    def start(lab, name, endpoint):
        port = endpoint.tls if tls else endpoint.http
        return nginx.start_peer(lab, name, port, protected, cache, tls=tls)
    return start


def body_rows(lab):
    """Bodies that RequireModel reads, over the same bodies that no rule reads. A file is served to GET only, and RequireMcp reads no
    body of a GET; it reads others with the same code."""
    rows = []
    for size, over_us in ((2, 5), (100, 150)):
        words = "as long as a prompt is, " * (size * 1024 // 24)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "model": "m", "params": {"name": "x", "arguments": {"text": words}}}
        load = Load(TOKEN_40, mode="body", file=lab.write(f"body-{size}k.json", json.dumps(message)))
        rows.append(Row(f"body-{size}k", f"mod_llama_auth, body of {size} KB, no rule needs it", load, base="",
                        setup=ours("static", "    File {keys}\n")))
        rows.append(Row(f"model-{size}k", f"mod_llama_auth, body of {size} KB, RequireModel", load, base=f"body-{size}k",
                        setup=ours("static", "    File {keys}\n", rules="    RequireModel *\n"), budget=Budget(over_us=over_us)))
    return rows


def all_rows(lab):
    """Every row, in the order of the report; the base of a group comes first."""
    short, long, new = Load(TOKEN_40), Load(TOKEN_900), Load(mode="unique")
    jwt = Load(lab.jwt({"iss": "https://idp.example", "sub": "alice", "aud": "bench", "exp": int(time.time()) + 86400,
                        "iat": int(time.time()), "scope": "models.read telemetry.read"}))
    prover = Prover(lab, PATH)
    unique = {alg: Load(mode="file", count=jwts.COUNT, file=lab.root / f"{alg}.tokens") for alg in ("RS256", "ES256")}
    return [
        Row("plain", "httpd, no authentication", Load(), base="", setup=_plain),
        Row("again", "the same once more: what is only noise", Load(), setup=_plain),
        Row("cached-40", "mod_llama_auth, cached, 40-byte token", short,
            setup=ours(options=CUSTOM), budget=Budget(over_us=3, throughput=0.95)),
        Row("cached-900", "mod_llama_auth, cached, 900-byte token", long,
            setup=ours(options=CUSTOM), budget=Budget(over_us=4, throughput=0.94)),
        Row("scopes", "mod_llama_auth, cached, two RequireScope", short, setup=ours(options=CUSTOM, rules=SCOPES)),
        Row("forward", "mod_llama_auth, cached, two RequireScope, three LlamaAuthForward", short,
            setup=ours(options=CUSTOM, rules=SCOPES + FORWARD), budget=Budget(over_us=5)),
        Row("static", "mod_llama_auth, `static` key", short,
            setup=ours("static", "    File {keys}\n"), budget=Budget(over_us=3)),
        Row("no-quota", "mod_llama_auth, cached, 40-byte token: what the next four are measured against", short, base="",
            setup=ours(options=CUSTOM)),
        Row("quota", "a quota with `Rate` and `Tokens`, counted here", short, base="no-quota",
            setup=ours(options=CUSTOM, rules=USE, more=QUOTA), budget=Budget(over_us=1.5)),
        Row("quota-redis", "the same, counted in Redis", short, base="no-quota",
            setup=ours(options=CUSTOM, rules=USE, more=REDIS + QUOTA), budget=Budget(over_us=60)),
        Row("usage", "tokens counted in five events of 200 bytes", short, base="no-quota",
            setup=ours(options=CUSTOM, rules=EVENTS), budget=Budget(over_us=5)),
        Row("assertion", "an assertion, ES256, reused", short, base="no-quota",
            setup=ours(options=CUSTOM, rules=ASSERTION, more=SIGNER), budget=Budget(over_us=2)),
        Row("no-assertion", "mod_llama_auth, cached, 5,000 tokens in turn: what the next is measured against",
            Load(mode="many", count=5000), base="", setup=ours(options=CUSTOM)),
        Row("assertion-new", "an assertion, ES256, signed for each request", Load(mode="many", count=5000), base="no-assertion",
            setup=ours(options=CUSTOM, rules=ASSERTION, more=SIGNER)),
        Row("tokens-5000", "mod_llama_auth, cached, 5,000 tokens in turn", Load(mode="many", count=5000),
            setup=ours(options=CUSTOM)),
        Row("tokens-100000", "mod_llama_auth, cached, 100,000 tokens in turn", Load(mode="many", count=100000),
            setup=ours(options=CUSTOM), extra=True),
        Row("openidc-40", "mod_auth_openidc, introspection cached, 40-byte token", short, setup=openidc()),
        Row("openidc-900", "mod_auth_openidc, introspection over http, 900-byte token", long,
            setup=openidc(tls=False)),
        Row("openidc-jwt", "mod_auth_openidc, local RS256 JWT", jwt, setup=openidc("jwt")),
        Row("openidc-5000", "mod_auth_openidc, introspection cached, 5,000 tokens in turn",
            Load(mode="many", count=5000), setup=openidc(more="OIDCCacheShmMax 20000"), extra=True),
        Row("cold-http", "mod_llama_auth, `custom` over http", new, cold=True,
            setup=ours(options=CUSTOM), budget=Budget(over_us=75)),
        Row("cold-tls", "mod_llama_auth, `custom` over TLS", new, cold=True,
            setup=ours(options=CUSTOM_TLS, tls=True), budget=Budget(over_us=85)),
        Row("jwt-rs256", "mod_llama_auth, unique RS256 JWTs", unique["RS256"], cold=True, alg="RS256",
            setup=ours("jwt", JWT, jwks="RS256")),
        Row("jwt-es256", "mod_llama_auth, unique ES256 JWTs", unique["ES256"], cold=True, alg="ES256",
            setup=ours("jwt", JWT, jwks="ES256")),
        Row("openidc-unique", "mod_auth_openidc, unique RS256 JWTs", unique["RS256"], cold=True,
            setup=openidc("unique")),
        Row("openidc-cold-http", "mod_auth_openidc, introspection over http", new, cold=True,
            setup=openidc(tls=False)),
        Row("openidc-cold-tls", "mod_auth_openidc, introspection over TLS", new, cold=True, setup=openidc()),
        Row("cached-jwt", "mod_llama_auth, cached ES256 JWT, by Bearer: what the next is measured against",
            Load(lab.tokens.signer("ES256").token(1)), base="", setup=ours("jwt", BOUND, jwks="ES256")),
        Row("dpop", "mod_llama_auth, cached ES256 JWT with a new DPoP proof, ES256, each time", Load(mode="proofs", prover=prover),
            base="cached-jwt", alg="ES256", setup=ours("jwt", BOUND, jwks="ES256"), beyond_us=10),
        *body_rows(lab),
        Row("nginx", "nginx, no authentication", Load(), base="", peer=nginx_peer(protected=False)),
        Row("nginx-40", "nginx, auth_request with proxy_cache, 40-byte token", short, base="nginx",
            peer=nginx_peer(cache=nginx.CACHED)),
        Row("nginx-900", "nginx, auth_request with proxy_cache, 900-byte token", long, base="nginx",
            peer=nginx_peer(cache=nginx.CACHED)),
        Row("nginx-cold-http", "nginx, auth_request over http", new, base="nginx", cold=True, peer=nginx_peer()),
        Row("nginx-cold-tls", "nginx, auth_request over TLS", new, base="nginx", cold=True, peer=nginx_peer(tls=True)),
    ]


def choose(rows, only):
    """The rows named in `only` and their bases; without it all but the extra ones."""
    if not only:
        return [row for row in rows if not row.extra]
    known = {row.name for row in rows}
    unknown = set(only) - known
    if unknown:
        raise SystemExit(f"bench: no such row: {', '.join(sorted(unknown))} (--list names them)")
    bases = {row.base for row in rows if row.name in only}
    return [row for row in rows if row.name in only or row.name in bases]
