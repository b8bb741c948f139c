"""One httpd with many trees: starts it, sends the requests, and collects what the scripts were told."""

import base64
import json
import shlex
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "http"))

from behaviour import accept, reply
from client import build
from generate import PASSWORD, PROVIDERS, SOURCES
from judge import Run
from model import AUDIENCES, BY_PATH, ISSUER, SIGNING_KEY, by_path
from sections import FORWARDED, IMPLIES
from server import Httpd, key_entry
from ways import BACKEND

MODULES = ("authn_file", "auth_basic", "access_compat", "rewrite", "include", "actions", "negotiation", "filter", "cgid", "proxy",
           "proxy_http")
THREADS = 4

# What the trees make httpd say, by design of theirs. AH02430: where FallbackResource names a directory without its slash, mod_dir frees the
# Location that it answers with (httpd 2.4.71, without our module too).
EXPECTED = (
    r"AH01630|AH01631|AH01614|AH01627|AH00027|LA0020",  # refused, and nobody to ask
    r"unable to include|AH01230|AH00687|AH00124|AH02430|AH01619")

# A script must read its body: else its end resets the connection to httpd.
PAGE = """#!/bin/sh
read -r body
export -p > "{runs}/$HTTP_X_RUN.$$" 2>/dev/null
printf 'Content-Type: text/plain\\n\\npage %s\\n' "$SCRIPT_NAME"
"""

BASE = """
ScriptSock {root}/run/cgisock
{providers}
<Directory "{root}/htdocs">
    Options +ExecCGI +Includes +MultiViews +FollowSymLinks
    AllowOverride All
    AddHandler cgi-script .cgi
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    MultiviewsMatch Any
    DirectoryIndex page.cgi
    CGIPassAuth On
    AuthBasicProvider file
    AuthUserFile conf/passwords
</Directory>
<Location "/announced/">
    Require all denied
    LlamaAuthTokenSource {sources}
    {forwards}
</Location>
RewriteEngine On
"""

BACK = """
KeepAlive Off
ScriptSock {root}/run/cgisock
<Directory "{root}/htdocs">
    Options +ExecCGI
    AddHandler cgi-script .cgi
    CGIPassAuth On
</Directory>
"""


def implying(inside_host):
    return "".join(f"LlamaAuthScopeImplies {scope} {implied}\n" for scope, implied in IMPLIES[inside_host])


def answer_by_path(peer, call):
    """The endpoint of the provider that says another thing for each path."""
    caller = by_path(call.token, call.json["request"]["path"])
    answer = accept(caller.principal, {k: list(v) for k, v in caller.attributes}) if caller else reply(401)
    answer(peer, call)


class Client:
    """Keeps its connection, since the module remembers things for one."""

    def __init__(self, httpd, port):
        self.connect = lambda: httpd.connect(port)
        self.connection = None

    def send(self, number, ask):
        """The status, or 0 when there is no answer."""
        kept = self.connection is not None
        status = self.exchange(number, ask)
        return self.exchange(number, ask) if kept and not status else status

    def exchange(self, number, ask):
        body = b"x" if ask.method in ("POST", "PUT") else b""
        data = build(ask.method, f"{ask.url}?{ask.client.query}", headers=[("X-Run", str(number)), *ask.client.headers()], body=body)
        self.connection = self.connection or self.connect()
        try:
            self.connection.socket.sendall(data)
            response = self.connection.read(ask.method)
        except (AssertionError, OSError):
            self.close()
            return 0
        if (response.header("Connection") or "").lower() == "close":
            self.close()
        return response.status

    def close(self):
        self.connection.close()
        self.connection = None


class Laboratory:
    def __init__(self, configurations, providers):
        self.configurations = configurations
        self.httpd = Httpd(modules=MODULES, expected=EXPECTED, notes=False)
        self.host_port = self.httpd.listen()
        # Another server: this one takes the module's headers off what comes to it.
        self.back = Httpd(modules=("cgid",), processes=1, module=False, notes=False)
        self.root = self.httpd.root
        self.runs = self.root / "runs"
        self.count = 0
        self.prepare(providers)

    def __enter__(self):
        self.back.start()
        self.httpd.start()
        return self

    def __exit__(self, *_):
        for server in (self.httpd, self.back):
            if server.process:  # nobody reads what it says when it ends
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(30)
            server.remove()

    # ---- the server --------------------------------------------------------------------------------------

    def prepare(self, providers):
        self.runs.mkdir()
        self.runs.chmod(0o777)
        self.httpd.write_passwords("conf/passwords", **{"basic-user": PASSWORD})
        for name, callers in providers.items():
            self.httpd.write_keys(f"conf/{name}.json", *(
                key_entry(token, caller.principal, {k: list(v) for k, v in caller.attributes}) for token, caller in callers.items()))
        key = base64.urlsafe_b64encode(SIGNING_KEY).rstrip(b"=").decode()
        self.httpd.write("conf/jwks.json", json.dumps({"keys": [{"kty": "oct", "kid": "k", "k": key}]}))
        for configuration in self.configurations:
            self.write_tree(configuration)
        self.httpd.configure(self.text())
        self.back.configure(BACK.format(root=self.back.root))
        self.write_script(self.back, BACKEND)

    def write_tree(self, configuration):
        files = {}
        for page in configuration.pages:
            self.write_script(self.httpd, page)
        for way in configuration.ways:
            files.update(way.files)
        files.update({f"{where}/.htaccess": (text, False) for where, text in configuration.htaccess().items()})
        for path, (content, executable) in files.items():
            self.httpd.write(f"htdocs{path}", content).chmod(0o755 if executable else 0o644)

    def write_script(self, server, page):
        (server.root / "run").chmod(0o777)
        server.write(f"htdocs{page}", PAGE.replace("{runs}", str(self.runs))).chmod(0o755)

    def text(self):
        providers = "".join(f"<LlamaAuthProvider {name} static>\n    File conf/{name}.json\n</LlamaAuthProvider>\n" for name in PROVIDERS)
        endpoint = self.httpd.endpoint()
        endpoint.default = answer_by_path
        providers += (f"<LlamaAuthProvider {ISSUER} jwt>\n    JwksFile conf/jwks.json\n    Audience {AUDIENCES[0]}\n    Algorithms HS256\n"
                      "    Claim scope scopes split\n</LlamaAuthProvider>\n")
        providers += f"<LlamaAuthProvider {BY_PATH} custom>\n    Endpoint {endpoint.url()}\n    Breaker off\n</LlamaAuthProvider>\n"
        forwards = "\n    ".join(f"LlamaAuthForward {header} {what}" for header, what in FORWARDED.items())
        base = implying(False) + BASE.format(root=self.root, providers=providers, sources=" ".join(SOURCES), forwards=forwards)
        back = f"127.0.0.1:{self.back.port}"
        hosted = "".join(c.text(self.root, back) for c in self.configurations if c.inside_host)
        return (base + "".join(c.text(self.root, back) for c in self.configurations if not c.inside_host) +
                f"<VirtualHost *:{self.host_port}>\nServerName host.example\n{implying(True)}RewriteEngine On\n{hosted}</VirtualHost>\n")

    # ---- requests ----------------------------------------------------------------------------------------

    def send(self, asks):
        """Sends all; returns for each its status and the runs that it caused."""
        numbers = range(self.count, self.count + len(asks))
        self.count += len(asks)
        with ThreadPoolExecutor(THREADS) as pool:
            statuses = list(pool.map(self.send_some, [list(zip(numbers, asks))[i::THREADS] for i in range(THREADS)]))
        status = {number: code for some in statuses for number, code in some}
        runs = self.collect()
        return [(status[number], runs.get(number, [])) for number in numbers]

    def send_some(self, some):
        ports = {False: self.httpd.port, True: self.host_port}
        clients = {inside: Client(self.httpd, port) for inside, port in ports.items()}
        return [(number, clients[ask.configuration.inside_host].send(number, ask)) for number, ask in some]

    def collect(self):
        runs = {}
        for path in sorted(self.runs.iterdir()):
            variables = {}
            for word in shlex.split(path.read_text("utf-8", "replace")):
                name, mark, value = word.partition("=")
                if mark:
                    variables[name] = value
            runs.setdefault(int(path.name.partition(".")[0]), []).append(Run(variables, str(self.root)))
            path.unlink()
        return runs

    # ---- the end -----------------------------------------------------------------------------------------

    def end(self):
        """Stops httpd; what its logs say was wrong."""
        logged = [line for line in self.httpd.access_lines() if "key=token-" in line or "key=ey" in line]
        wrong = [f"log: {line}" for line in self.httpd.stop()]
        return wrong + [f"log: a token is in the access log: {line}" for line in logged[:1]]
