"""Who gets in, and as whom: httpd's and the module's rules said once more, for a request that asks for a page directly.

It knows the order in which httpd merges sections, mod_authz_core's logic of Require, Satisfy, and the contract's own rules
(sections 2, 3, 5, 9 and 14): not how the module does it.
"""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field

from sections import IMPLIES, METHODS

# ANSWERED: a preflight, by LlamaAuthCors.
SERVED, REFUSED, BROKEN, ANSWERED = "served", "refused", "broken", "answered"

GRANTED, DENIED, NO_USER, NEUTRAL = "granted", "denied", "no user", "neutral"


# ---- sections -------------------------------------------------------------------------------------------

@dataclass
class Conf:
    """What is in force for one request; `uri` is what it asks for."""
    uri: str = ""
    type: str = None
    use: tuple = None
    scopes: list = field(default_factory=list)      # of (covers, Line); the Line is None for `none`
    attributes: list = field(default_factory=list)
    origins: list = field(default_factory=list)
    cors: tuple = None
    resource: str = None
    implies: tuple = ()
    requires: tuple = ()
    satisfy: str = None
    sources: tuple = ("Authorization",)
    forwards: dict = field(default_factory=dict)
    forward_token: bool = True
    env: bool = False
    preflight: bool = False


def merge_rules(parent, lines):
    """A section's lines replace those around it for the methods that they cover."""
    covered = {method for line in lines for method in METHODS if line.covers(method)}
    kept = [(methods - covered, line) for methods, line in parent]
    own = [({m for m in METHODS if line.covers(m)}, line) for line in lines]
    return [(methods, line) for methods, line in kept + own if methods]


def merge(conf, lines):
    named = {}
    for line in lines:
        named.setdefault(line.name, []).append(line)
    conf.scopes = merge_rules(conf.scopes, named.get("RequireScope", []))
    conf.attributes = merge_rules(conf.attributes, named.get("RequireAttribute", []))
    conf.origins = merge_rules(conf.origins, named.get("RequireOrigin", []))
    requires = tuple(line for line in lines if line.name in ("Require", "RequireAny", "RequireAll"))
    conf.requires = requires or conf.requires
    for name, set_it in SETTERS.items():
        for line in named.get(name, []):
            set_it(conf, line)


SETTERS = {
    "AuthType": lambda conf, line: setattr(conf, "type", None if line.words[0] == "None" else line.words[0]),
    "LlamaAuthUse": lambda conf, line: setattr(conf, "use", line.words),
    "Satisfy": lambda conf, line: setattr(conf, "satisfy", line.words[0]),
    "LlamaAuthCors": lambda conf, line: setattr(conf, "cors", line.words),
    "LlamaAuthResource": lambda conf, line: setattr(conf, "resource", line.words[0]),
    "LlamaAuthTokenSource": lambda conf, line: setattr(conf, "sources", line.words),
    "LlamaAuthForward": lambda conf, line: conf.forwards.update({line.words[0]: line.words[1]}),
    "LlamaAuthForwardToken": lambda conf, line: setattr(conf, "forward_token", line.words[0] == "on"),
    "LlamaAuthEnv": lambda conf, line: setattr(conf, "env", line.words[0] == "on"),
    "LlamaAuthPreflight": lambda conf, line: setattr(conf, "preflight", line.words[0] == "on"),
}


def in_path(where, path):
    return path == where or path.startswith(where.rstrip("/") + "/")


def effective(configuration, uri, filename):
    """The configuration of a request for `uri` that is mapped to `filename` (below htdocs; None where it is mapped to no file)."""
    held = [s for s in configuration.sections if s.kind in ("directory", "htaccess") and filename and
            in_path(s.where, filename)]
    held.sort(key=lambda s: (s.where.count("/"), s.kind == "htaccess"))
    for section in configuration.sections:
        matches = (section.kind == "location" and in_path(section.where, uri) or
                   section.kind == "locationmatch" and re.search(section.where, uri))
        if matches:
            held.append(section)
    conf = Conf(uri, implies=IMPLIES[False] + IMPLIES[True] * configuration.inside_host)
    name = filename.rsplit("/", 1)[1] if filename else None
    url = [s for s in held if s.kind.startswith("location")]
    merged = [s for s in held if not s.inner and s not in url]
    merged += [s for s in held if s.inner and s.inner[0] == "files" and s.inner[1] == name]
    merged += [s for s in url if not s.inner]
    merged += [s for s in held if s.inner and s.inner[0] == "if" and s.inner[2]]
    for section in merged:
        merge(conf, section.lines)
    return conf


# ---- callers --------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Caller:
    principal: str
    provider: str = None      # None: of another AuthType
    attributes: tuple = ()    # of (category, values)
    token: str = None

    def values(self, category):
        return dict(self.attributes).get(category, ())


# The provider that says another thing for each path.
BY_PATH = "path"


def by_path(token, path):
    """A caller with some scopes for three paths of four."""
    if not token.startswith("token-"):
        return None
    digest = hashlib.sha256(f"{token} {path}".encode()).digest()
    scopes = tuple(scope for scope, byte in zip("abc", digest[1:]) if byte < 170)
    attributes = (("scopes", scopes),) if scopes else ()
    return Caller(f"{token.split('-')[1]}-at-{digest.hex()[:8]}", BY_PATH, attributes, token) if digest[0] < 192 else None


# The provider of signed tokens: audience -> token. Its Audience line names the first.
ISSUER = "issuer"
AUDIENCES = ("api", "https://api.example/one", "https://api.example/two")


def sign(audience):
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    text = ".".join(encode(json.dumps(part).encode()) for part in (
        {"alg": "HS256", "kid": "k"}, {"sub": audience[-3:], "aud": audience, "exp": 4102444800, "scope": "a top"}))
    return f"{text}.{encode(hmac.digest(SIGNING_KEY, text.encode(), 'sha256'))}"


SIGNING_KEY = b"0123456789abcdef0123456789abcdef"
SIGNED = {audience: sign(audience) for audience in AUDIENCES}


def by_issuer(token, resource):
    """The resource's own tokens, and those that the provider's Audience names."""
    for audience in {AUDIENCES[0], resource or AUDIENCES[0]}:
        if SIGNED[audience] == token:
            return Caller(audience[-3:], ISSUER, (("scopes", ("a", "top")),), token)
    return None


class Refusal(Exception):
    """No caller: REFUSED or BROKEN."""


TOKEN = re.compile(r"[\x21-\x2b\x2d-\x7e]+")


def find_token(sources, client):
    found = set()
    for source in sources:
        value = client.credentials.get(source)
        if value is None:
            continue
        if source != "Authorization":
            found.add(value)
        elif value.startswith("Bearer "):
            found.add(value[7:])
        elif len(sources) == 1:
            raise Refusal(REFUSED)
    token = found.pop() if len(found) == 1 else ""
    if not TOKEN.fullmatch(token):
        raise Refusal(REFUSED)
    return token


def ask(provider, token, conf, providers):
    if provider == BY_PATH:
        return by_path(token, conf.uri)
    return by_issuer(token, conf.resource) if provider == ISSUER else providers[provider].get(token)


def bearer_caller(conf, client, providers):
    if not conf.use or conf.type != "Bearer":
        raise Refusal(BROKEN)
    token = find_token(conf.sources, client)
    for name in conf.use:
        caller = ask(name, token, conf, providers)
        if caller:
            return caller
    raise Refusal(REFUSED)


def authenticate(conf, demanded, client, providers):
    if conf.type == "Bearer" or (demanded and (not conf.use or not conf.type)):
        return bearer_caller(conf, client, providers)
    if conf.type != "Basic":
        raise Refusal(BROKEN)
    if client.credentials.get("Authorization") != client.basic:
        raise Refusal(REFUSED)
    return Caller("basic-user")


# ---- rules ----------------------------------------------------------------------------------------------

def rules(conf, method):
    return [line for methods, line in conf.scopes + conf.attributes if method in methods and line.words != ("none",)]


def scopes_of(conf, caller):
    has = set(caller.values("scopes"))
    while True:
        more = {implied for scope, implied in conf.implies if scope in has}
        if more <= has:
            return has
        has |= more


def holds(conf, line, caller):
    if line.name == "RequireAttribute":
        return bool(set(line.words[1:]) & set(caller.values(line.words[0])))
    words = line.words
    some = words[0] == "any"
    wanted = set(words[1:] if words[0] in ("any", "all") else words)
    has = scopes_of(conf, caller)
    return bool(wanted & has) if some else wanted <= has


def rules_hold(conf, method, caller):
    mine = rules(conf, method)
    return not mine or (caller is not None and caller.provider is not None and all(holds(conf, line, caller) for line in mine))


def provider_says(conf, words, caller):
    """One Require line."""
    kind = words[0]
    if kind == "all":
        return GRANTED if words[1] == "granted" else DENIED
    if kind == "ip":
        return GRANTED if words[1].startswith("127.") else DENIED
    if caller is None:
        return NO_USER
    if kind == "valid-user":
        return GRANTED
    if kind == "user":
        return GRANTED if caller.principal in words[1:] else DENIED
    if kind == "llama-scope":
        return GRANTED if set(words[1:]) & scopes_of(conf, caller) else DENIED
    return GRANTED if set(words[2:]) & set(caller.values(words[1])) else DENIED


def fold(results, every):
    """mod_authz_core's <RequireAll> and <RequireAny>."""
    total = NEUTRAL
    for result in results:
        if result == NEUTRAL:
            continue
        if result == (DENIED if every else GRANTED):
            return result
        if total == NEUTRAL or (result == NO_USER and (total != DENIED if every else total == DENIED)):
            total = result
    return total


def judged(conf, line, method, caller, every):
    if not line.covers(method):
        return GRANTED if every else NEUTRAL
    if line.name == "Require":
        return provider_says(conf, line.words, caller)
    inside = line.name == "RequireAll"
    return fold([judged(conf, inner, method, caller, inside) for inner in line.lines], inside)


def require_says(conf, method, caller):
    if not any(line.covers(method) for line in conf.requires):
        return GRANTED
    return fold([judged(conf, line, method, caller, False) for line in conf.requires], False)


def origins_hold(conf, method, client):
    lines = [line for methods, line in conf.origins if method in methods and line.words != ("none",)]
    return client.origin is None or all(client.origin in line.words for line in lines)


def looks_like_preflight(method, client):
    return method == "OPTIONS" and client.preflight and not client.overrides


def is_answered(conf, method, client):
    """By LlamaAuthCors."""
    return looks_like_preflight(method, client) and bool({"*", client.origin} & set(conf.cors or ()))


def is_preflight(conf, method, client):
    return conf.preflight and conf.type == "Bearer" and looks_like_preflight(method, client)


def decide(conf, method, client, providers):
    """A direct request: (SERVED | REFUSED | BROKEN | ANSWERED, caller)."""
    method = "GET" if method == "HEAD" else method
    if not origins_hold(conf, method, client):
        return REFUSED, None
    if is_answered(conf, method, client):
        return ANSWERED, None
    in_force = bool(rules(conf, method))
    demands = in_force and not is_preflight(conf, method, client)
    requires = any(line.covers(method) for line in conf.requires)
    if conf.satisfy == "any" and not demands:
        return SERVED, None
    if in_force and not requires:
        first = GRANTED
    elif not conf.requires:
        first = BROKEN if conf.type else GRANTED
    else:
        first = require_says(conf, method, None)
    if first == BROKEN:
        return BROKEN, None
    if first in (DENIED, NEUTRAL):
        return REFUSED, None
    if first == GRANTED and not demands:
        return SERVED, None
    if is_preflight(conf, method, client):
        return SERVED, None
    try:
        caller = authenticate(conf, in_force, client, providers)
    except Refusal as refusal:
        return refusal.args[0], None
    if not rules_hold(conf, method, caller):
        return REFUSED, caller
    if requires and require_says(conf, method, caller) != GRANTED:
        return REFUSED, caller
    return SERVED, caller


# ---- what the handler is told ---------------------------------------------------------------------------

def value_of(what, caller):
    if what.startswith("attribute:"):
        values = caller.values(what.partition(":")[2])
        return ",".join(values) if values else None
    return {"principal": caller.principal, "provider": caller.provider,
            "client_id": hashlib.sha256(caller.token.encode()).hexdigest()[:32]}[what]


def told(conf, caller):
    """The variables about the caller that a CGI script must have; what is not among them must not be set."""
    seen = {}
    if caller is None or caller.provider is None:
        return seen
    seen.update(REMOTE_USER=caller.principal, AUTH_TYPE="Bearer")
    for header, what in conf.forwards.items():
        value = value_of(what, caller)
        if value is not None:
            seen["HTTP_" + header.upper().replace("-", "_")] = value
    if conf.env:
        seen.update(LLAMA_AUTH_PRINCIPAL=caller.principal, LLAMA_AUTH_PROVIDER=caller.provider,
                    LLAMA_AUTH_CLIENT_ID=value_of("client_id", caller))
        for category, values in caller.attributes:
            seen["LLAMA_AUTH_ATTRIBUTE_" + category.upper()] = ",".join(values)
    return seen
