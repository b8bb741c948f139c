"""Random configurations, clients and providers: everything follows from one random.Random."""

import base64
from dataclasses import dataclass, field, replace

from model import AUDIENCES, BY_PATH, ISSUER, SIGNED, Caller
from sections import FORWARDED, METHODS, Configuration, Group, Line, Section
from ways import make_ways

PROVIDERS = ("first", "second", "third")
TOKENS = tuple(f"token-{name}-0000000000000001" for name in ("one", "two", "three", "four"))
# No client has it: mod_headers puts it into requests, and it is never anybody's.
INJECTED = "token-injected-0000000000000001"
UNKNOWN = "token-nobody-0000000000000001"
SCOPES = ("a", "b", "c", "top")
APP, OTHER = "https://app.example", "https://other.example"
ROLES = ("admin", "dev")
SOURCES = ("Authorization", "header:x-api-key", "query:key", "cookie:session")
PASSWORD = "basic-password"
BASIC = "Basic " + base64.b64encode(f"basic-user:{PASSWORD}".encode()).decode()


# ---- providers ------------------------------------------------------------------------------------------

def make_providers(random):
    """Name -> token -> caller: a token may be somebody else in each, or nobody."""
    def caller(provider, token):
        attributes = []
        for category, values in (("roles", ROLES), ("scopes", SCOPES)):
            some = tuple(v for v in values if random.random() < 0.5)
            if some:
                attributes.append((category, some))
        return Caller(f"{token.split('-')[1]}-of-{provider}", provider, tuple(attributes), token)
    return {provider: {token: caller(provider, token) for token in (*TOKENS, INJECTED) if token == INJECTED or random.random() < 0.7}
            for provider in PROVIDERS}


# ---- clients --------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Client:
    """`credentials`: source -> what stands there; for Authorization the whole field."""
    credentials: dict = field(hash=False)
    preflight: bool = False
    spoofs: bool = False
    basic: str = BASIC
    origin: str = None
    overrides: bool = False  # has a field that may make another method of it

    @property
    def query(self):
        key = self.credentials.get("query:key")
        return f"key={key}&z=1" if key else "z=1"

    def headers(self):
        fields = []
        for source, value in self.credentials.items():
            kind, _, name = source.partition(":")
            if kind == "header":
                fields.append((name, value))
            elif kind == "cookie":
                fields.append(("Cookie", f"a=b; {name}={value}"))
            elif kind == "Authorization":
                fields.append(("Authorization", value))
        if self.preflight:
            fields.append(("Access-Control-Request-Method", "GET"))
        if self.origin:
            fields.append(("Origin", self.origin))
        if self.overrides:
            fields.append(("X-HTTP-Method-Override", "DELETE"))
        if self.spoofs:
            fields += [("X-Fz-User", "spoofed"), ("X_Fz_Roles", "spoofed"), ("X-Fz.Provider", "spoofed")]
        return fields

    def tokens(self):
        """Those that it sends, without the scheme's name."""
        return {source: value.removeprefix("Bearer ") for source, value in self.credentials.items()}


def make_clients(random):
    """Each token in each place, and some stranger ones."""
    known = [Client({source: f"Bearer {token}" if source == "Authorization" else token}, False, random.random() < 0.3)
             for source in SOURCES for token in (*TOKENS, *SIGNED.values())]
    return known + [make_browser(random) for _ in range(24)]


def make_browser(random):
    """A client, with what a browser adds."""
    client = make_client(random)
    origin = random.choice((APP, OTHER)) if client.preflight else random.choice((None, APP, OTHER))
    return replace(client, origin=origin, overrides=random.random() < 0.3)


def make_client(random):
    preflight = random.random() < 0.25
    kind = random.random()
    if kind < 0.12:
        return Client({}, preflight, random.random() < 0.3)
    if kind < 0.2:
        return Client({"Authorization": BASIC}, preflight)
    if kind < 0.25:
        return Client({"Authorization": random.choice(["Bearer", "Bearer a,b", "Digest x", "Bearer a b"])}, preflight)
    token = random.choice((*TOKENS, *TOKENS, *SIGNED.values(), UNKNOWN))
    place = random.choice(("Authorization", "Authorization", *SOURCES))
    credentials = {place: f"Bearer {token}" if place == "Authorization" else token}
    if random.random() < 0.1:
        other = random.choice([s for s in SOURCES[1:] if s != place])
        credentials[other] = random.choice(TOKENS)
    return Client(credentials, preflight, random.random() < 0.3)


# ---- lines ----------------------------------------------------------------------------------------------

def make_limit(random):
    if random.random() < 0.6:
        return None
    kind = random.choice(("Limit", "LimitExcept"))
    return kind, tuple(sorted(random.sample(METHODS, random.choice((1, 1, 2, 3)))))


def make_require(random):
    words = random.choice((
        ("all", "granted"), ("all", "granted"), ("valid-user",), ("valid-user",), ("valid-user",), ("ip", "127.0.0.1"),
        ("ip", "192.0.2.1"), ("all", "denied"), ("llama-scope", random.choice(SCOPES)), ("llama-attribute", "roles", random.choice(ROLES)),
        ("user", f"{random.choice(TOKENS).split('-')[1]}-of-{random.choice(PROVIDERS)}", "basic-user")))
    return Line("Require", words)


def make_requires(random):
    kind = random.random()
    if kind < 0.3:
        return []
    lines = [make_require(random) for _ in range(random.choice((1, 1, 1, 2)))]
    limit = make_limit(random)
    if kind > 0.85:
        return [Group(random.choice(("RequireAny", "RequireAll")), tuple(lines), limit)]
    return [Line("Require", line.words, limit) for line in lines]


def make_rules(random):
    """RequireScope and RequireAttribute: no `none` beside others for the same methods, which httpd -t would refuse."""
    lines = []
    if random.random() < 0.45:
        limit = make_limit(random)
        if random.random() < 0.2:
            lines.append(Line("RequireScope", ("none",), limit))
        else:
            words = tuple(random.sample(SCOPES, random.choice((1, 1, 2))))
            lines.append(Line("RequireScope", random.choice(((), ("all",), ("any",))) + words, limit))
            if random.random() < 0.2:
                lines.append(Line("RequireScope", (random.choice(SCOPES),), make_limit(random)))
    if random.random() < 0.25:
        values = random.choice((("none",), ("roles", "admin"), ("roles", "admin"), ("roles", "dev"), ("roles", "admin", "dev")))
        lines.append(Line("RequireAttribute", values, make_limit(random)))
    return lines


def make_use(random):
    if random.random() < 0.15:
        return (ISSUER,)
    return tuple(random.sample((*PROVIDERS, BY_PATH, ISSUER), random.choice((1, 1, 1, 2))))


def make_authentication(random):
    kind = random.random()
    if kind < 0.25:
        return []
    if kind < 0.35:
        return [Line("AuthType", ("Basic",)), Line("AuthName", ('"basic"',))]
    if kind < 0.38:
        return [Line("AuthType", ("None",))]
    use = Line("LlamaAuthUse", make_use(random))
    if kind < 0.5:
        return [use]
    bearer = [Line("AuthType", ("Bearer",)), Line("AuthName", ('"bearer"',))]
    return bearer + ([use] if random.random() < 0.9 else [])


def make_sound(random):
    """A section as somebody would write it who means it."""
    use = make_use(random)
    lines = [Line("AuthType", ("Bearer",)), Line("AuthName", ('"bearer"',)), Line("LlamaAuthUse", use)]
    if random.random() < 0.7:
        lines.append(Line("Require", random.choice((("valid-user",), ("all", "granted")))))
    return lines + make_rules(random)


REQUEST_HEADERS = (("unset", "Authorization"), ("unset", "x-api-key"), ("unset", "Cookie"), ("set", "x-api-key", INJECTED),
                   ("set", "Authorization", f'"Bearer {INJECTED}"'), ("set", "Cookie", f'"session={INJECTED}"'))


def make_lines(random):
    if random.random() < 0.5:
        lines = make_sound(random)
    else:
        lines = make_authentication(random) + make_requires(random) + make_rules(random)
    if random.random() < 0.1:
        lines.append(Line("Satisfy", (random.choice(("any", "any", "all")),)))
    if random.random() < 0.25:
        lines.append(Line("LlamaAuthTokenSource", tuple(random.sample(SOURCES, random.choice((1, 1, 2))))))
    for header in FORWARDED:
        if random.random() < 0.3:
            what = FORWARDED[header] if random.random() < 0.8 else "principal"
            lines.append(Line("LlamaAuthForward", (header, what)))
    if random.random() < 0.25:
        lines.append(Line("LlamaAuthResource", (random.choice(AUDIENCES[1:]),)))
    if random.random() < 0.08:
        lines.append(Line("RequestHeader", random.choice(REQUEST_HEADERS)))
    for name, chance in (("LlamaAuthForwardToken", 0.2), ("LlamaAuthEnv", 0.5), ("LlamaAuthPreflight", 0.15)):
        if random.random() < chance:
            lines.append(Line(name, ("off" if (name == "LlamaAuthForwardToken") == (random.random() < 0.8) else "on",)))
    return lines


# ---- sections -------------------------------------------------------------------------------------------

IFS = (("true", True), ("-R '127.0.0.0/8'", True), ("%{HTTP_HOST} == 'nowhere.example'", False), ("%{REQUEST_URI} =~ m#/c\\d+/#", True))


def make_origins(random):
    """What an .htaccess may not say."""
    lines = []
    if random.random() < 0.25:
        lines.append(Line("RequireOrigin", random.choice(((APP,), (APP,), (APP, OTHER), ("none",))), make_limit(random)))
    if random.random() < 0.25:
        lines.append(Line("LlamaAuthCors", random.choice(((APP,), (APP, OTHER), ("*",), ("off",)))))
    return tuple(lines)


def make_section(random, directory, page):
    section = make_place(random, directory, page)
    return section if section.kind == "htaccess" else replace(section, lines=section.lines + make_origins(random))


def make_place(random, directory, page):
    """One section that meets the page (its URL), or its directory when there is no page."""
    kind = random.choice(("directory", "directory", "location", "location", "locationmatch", "htaccess", "files", "if"))
    lines = tuple(make_lines(random))
    name = page.rsplit("/", 1)[1] if page else None
    if kind == "files" and page:
        holder = random.choice(("directory", "directory", "htaccess"))
        return Section(holder, directory, lines, ("files", name))
    if kind == "if":
        holder = random.choice(("directory", "location", "htaccess"))
        return Section(holder, directory, lines, ("if", *random.choice(IFS)))
    if kind == "locationmatch":
        end = random.choice(("", "(/|$)")) if page else "(/|$)"
        return Section(kind, f"^{page or directory}{end}", lines)
    if kind == "location":
        return Section(kind, random.choice((directory, page or directory)), lines)
    return Section("htaccess" if kind == "htaccess" else "directory", directory, lines)


def make_configuration(random, number):
    prefix = f"/c{number}"
    directories = [f"{prefix}/p{i}" for i in range(3)]
    pages = tuple(f"{directory}/page.cgi" for directory in directories)
    sections = []
    if random.random() < 0.4:
        sections.append(make_section(random, prefix, None))
    for directory, page in zip(directories, pages):
        sections += [make_section(random, directory, page) for _ in range(random.choice((1, 1, 2, 3)))]
    ways = make_ways(random, prefix, pages)
    for i in range(len(ways)):
        if random.random() < 0.6:
            sections.append(make_section(random, f"{prefix}/w{i}", None))
    return Configuration(prefix, pages, one_htaccess(sections), tuple(ways), random.random() < 0.3)


def one_htaccess(sections):
    """The sections with at most one that fills a directory's .htaccess: some lines may stand there only once."""
    kept, filled = [], set()
    for section in sections:
        fills = section.kind == "htaccess" and not section.inner
        if not (fills and section.where in filled):
            kept.append(section)
        if fills:
            filled.add(section.where)
    return tuple(kept)
