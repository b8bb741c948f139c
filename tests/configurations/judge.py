"""What must follow: a page that was served, by whatever way, against what the contract gives the same client there.

A run is one start of a page's script, with the environment that it was given. A finding is a sentence that begins with its kind.
"""

from dataclasses import dataclass, replace

import model
from model import ANSWERED, SERVED
from sections import FORWARDED
from ways import BACKEND

VARIABLES = {"HTTP_" + header.upper().replace("-", "_") for header in FORWARDED}


@dataclass(frozen=True)
class Ask:
    """A request: `way` is None where it asks for the page itself."""
    configuration: object
    way: object
    method: str
    url: str
    client: object

    def shown(self):
        fields = " ".join(f"-H '{name}: {value}'" for name, value in self.client.headers())
        return f"curl -X {self.method} {fields} http://127.0.0.1:PORT{self.url}?{self.client.query}"


@dataclass
class Run:
    """`variables`: the script's environment."""
    variables: dict
    root: str

    @property
    def proxied(self):
        """What came to the backend: /url or /file, as the request was mapped to a file or not, and the URL before the proxy."""
        script, path = self.variables.get("SCRIPT_NAME"), self.variables.get("PATH_INFO", "")
        return path.lstrip("/").partition("/") if script == BACKEND else None

    @property
    def uri(self):
        if self.proxied:
            return "/" + self.proxied[2]
        return self.variables.get("SCRIPT_NAME", "") + self.variables.get("PATH_INFO", "")

    @property
    def filename(self):
        if self.proxied:
            return self.uri if self.proxied[0] == "file" else None
        return self.variables.get("SCRIPT_FILENAME", "").removeprefix(f"{self.root}/htdocs")

    @property
    def method(self):
        return self.variables["REQUEST_METHOD"]

    def told(self):
        """What it was told of the caller. REDIRECT_ variables are httpd's names for what the request before had. A Basic user is httpd's own
        business: it forgets one at an index file, and leaves one in the environment of what a page includes."""
        basic = self.variables.get("AUTH_TYPE") == "Basic"
        return {name: value for name, value in self.variables.items()
                if name in ("REMOTE_USER", "AUTH_TYPE") and not basic or name in VARIABLES or
                name.startswith("LLAMA_AUTH_") and name != "LLAMA_AUTH_ATTRIBUTES"}


def plain(method):
    return "GET" if method == "HEAD" else method


def rules_hold(conf, method, client, providers):
    """RequireOrigin, RequireScope and RequireAttribute alone, whatever httpd's Require says."""
    method = plain(method)
    if not model.origins_hold(conf, method, client):
        return False
    if not model.rules(conf, method) or model.is_preflight(conf, method, client):
        return True
    try:
        return model.rules_hold(conf, method, model.bearer_caller(conf, client, providers))
    except model.Refusal:
        return False


def is_token(text):
    return text.startswith("token-") or text in model.SIGNED.values()


def shows(run, conf, client):
    """Variables in which the script sees a token that LlamaAuthForwardToken off takes out."""
    if conf.forward_token:
        return []
    tokens = client.tokens()
    elsewhere = {token for source, token in tokens.items() if source not in conf.sources}
    hidden = {tokens[source] for source in conf.sources if source in tokens and is_token(tokens[source])} - elsewhere
    return [name for name, value in run.variables.items() if any(token in value for token in hidden)]


def judge_direct(ask, runs, status, providers):
    """A page that was asked for: the model says who gets in, and what the script is told."""
    if not status:
        return ["direct: no answer"]
    path = ask.url
    filename = runs[0].filename if runs else path
    conf = model.effective(ask.configuration, path, filename)
    outcome, caller = model.decide(conf, ask.method, ask.client, providers)
    served = bool(runs)
    if served != (outcome == SERVED):
        return [f"direct: {'served' if served else 'not served'} ({status}), and the model says {outcome}"]
    if (status == 204) != (outcome == ANSWERED):
        return [f"preflight: {status}, and the model says {outcome}"]
    if not served and (status >= 500) != (outcome == model.BROKEN):
        return [f"status: {status}, and the model says {outcome}"]
    return [finding for run in runs for finding in judge_told(run, [model.told(conf, caller)]) + judge_token(run, conf, ask.client)]


def judge_told(run, expected):
    told = run.told()
    if run.proxied:  # a backend is told by headers alone
        expected = [{name: value for name, value in one.items() if name in VARIABLES} for one in expected]
    if told in expected:
        return []
    return [f"caller: {run.method} {run.uri} is told {told}, and should be told {' or '.join(map(str, expected))}"]


def judge_token(run, conf, client):
    names = shows(run, conf, client)
    return [f"token: {run.uri} sees in {' '.join(names)} the token that LlamaAuthForwardToken off takes out"] if names else []


def judge_way(ask, run, providers):
    """A page that was served otherwise: only to whom it would be served directly, with the client's own method and with the one
    that the script sees."""
    conf = model.effective(ask.configuration, run.uri, run.filename)
    conf = replace(conf, cors=None)  # the section that was asked for answers preflights
    methods = list(dict.fromkeys((plain(ask.method), plain(run.method))))
    for method in methods:
        if not rules_hold(conf, method, ask.client, providers):
            return [f"bypass: {run.method} {run.uri} was served, though its rules do not hold for {method}"]
    decided = {method: model.decide(conf, method, ask.client, providers) for method in (*methods, "GET")}
    by_preflight = any(model.is_preflight(conf, method, ask.client) for method in methods)
    heard = [plain(run.method)] if by_preflight else list(decided)
    if not any(decided[method][0] == SERVED for method in heard):
        return [f"require: {run.method} {run.uri} was served, though Require holds neither for {' nor for '.join(heard)}"]
    expected = [model.told(conf, decided[method][1]) for method in methods if decided[method][0] == SERVED]
    return (judge_told(run, expected) if expected else []) + judge_token(run, conf, ask.client)


def judge_lost(ask, runs, providers):
    """Nothing was served, though every section on the way lets the client in."""
    methods = {"include": ("GET", "POST"), "exec cgi": ("GET", "POST"), "error 404": ("GET", "HEAD", "POST"),
               "error 404 beside the page": ("GET", "HEAD", "POST")}.get(ask.way.name, ("GET", "HEAD", "POST", "PUT", "DELETE"))
    if ask.way.page is None or runs or ask.method not in methods:
        return []
    asked = {(ask.url, ask.method), (ask.way.page, ask.method), (ask.way.page, "GET")}
    outcomes = {model.decide(model.effective(ask.configuration, url, url), method, ask.client, providers)[0] for url, method in asked}
    return ["lost: nothing was served, though nobody refuses"] if outcomes == {SERVED} else []


def judge_difference(run, direct, forgotten):
    """The same against what httpd itself did for direct requests: method -> runs. `forgotten`: it may tell of nobody."""
    if not any(direct.values()):
        return [f"difference: {run.method} {run.uri} was served, and not directly by any of {' '.join(direct)}"]
    expected = [other.told() for runs in direct.values() for other in runs] + [{}] * forgotten
    return [finding.replace("caller:", "difference:", 1) for finding in judge_told(run, expected)]
