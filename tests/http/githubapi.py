"""GitHub's REST API as far as `/user`, `/user/orgs` and `/user/teams` go: the header fields, the pages, the scopes that each
path asks for, and the rate-limit answers of its documentation. A token with a behaviour of its own (endpoint.py) gets that."""

import time
from urllib.parse import parse_qs, urlsplit

from behaviour import REASONS, render
from endpoint import Call, Endpoint

DOCS = "https://docs.github.com/rest"
VERSIONS = ("2022-11-28",)

REASONS.update({403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"})


def message(text, path=""):
    return {"message": text, "documentation_url": DOCS + path, "status": "4xx"}


def limited(status=403, secondary=False):
    """A behaviour: too many calls, by the primary limit or a secondary one."""
    if secondary:
        fields, text = [("Retry-After", "60"), ("X-RateLimit-Remaining", "4321")], "You have exceeded a secondary rate limit."
    else:
        fields = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(time.time()) + 3600))]
        text = "API rate limit exceeded for user ID 1."

    def behave(peer, call):
        peer.send(render(status, message(text), fields))
    return behave


class Person:
    """Whom a token belongs to. scopes: None for a fine-grained token or an app's, which have permissions instead."""

    def __init__(self, login, number=1, scopes=(), orgs=(), teams=(), ends=None):
        self.login = login
        self.number = number
        self.scopes = scopes
        self.orgs = list(orgs)
        self.teams = list(teams)  # of (organization, slug)
        self.ends = ends

    @property
    def user(self):
        return {"login": self.login, "id": self.number, "node_id": "MDQ6VXNlcjE=", "type": "User", "site_admin": False,
                "name": "monalisa admin", "company": None, "email": None, "public_repos": 2, "two_factor_authentication": True}

    def may_list(self):
        return self.scopes is None or {"user", "read:org", "write:org", "admin:org"} & set(self.scopes)


class ApiCall(Call):
    @property
    def token(self):
        kind, _, token = (self.header("Authorization") or "").partition(" ")
        return token if kind == "Bearer" else None

    @property
    def path(self):
        return urlsplit(self.target).path


class GithubApi(Endpoint):
    def __init__(self, root="", **arguments):
        """root: what an enterprise server has before its paths."""
        self.root = root
        self.people = {}
        self.remaining = {}  # token -> calls that it may still make
        self.on_path = {}    # (token, path) -> a behaviour for it
        super().__init__(**arguments)
        self.default = self.answer

    def person(self, token, *arguments, **more):
        self.people[token] = Person(*arguments, **more)
        return token

    def base(self, host="127.0.0.1"):
        return self.url(self.root, host)

    def targets(self, token):
        return [call.target for call in self.calls_for(token)]

    def converse(self, peer):
        while peer.open and not self.stopping.is_set():
            call = peer.read_call()
            if call is None:
                return
            call.__class__ = ApiCall
            with self.lock:
                self.calls.append(call)
            special = self.on_path.get((call.token, call.path))
            (special or self.behaviours.get(call.token, self.default))(peer, call)

    # ---- the API ---------------------------------------------------------------------------------

    def answer(self, peer, call):
        status, body, fields = self.judge(call)
        peer.send(render(status, body, [("Server", "github.com"), ("Content-Type", "application/json; charset=utf-8"),
                                        ("Cache-Control", "private, max-age=60, s-maxage=60"), ("Vary", "Accept, Authorization"),
                                        ("X-GitHub-Media-Type", "github.v3; format=json"),
                                        ("X-GitHub-Request-Id", "CAFE:1234:5678:9ABC:65000000"), *fields]))

    def judge(self, call):
        """Status, body and the fields that depend on the token."""
        if not call.header("User-Agent"):
            return 403, b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header", []
        if call.header("X-GitHub-Api-Version") not in (None, *VERSIONS):
            return 400, message("The API version is not supported."), []
        person = self.people.get(call.token)
        if person is None:
            return 401, message("Bad credentials"), []
        left = self.remaining.get(call.token, 5000) - 1
        self.remaining[call.token] = max(left, 0)
        fields = self.fields(person, max(left, 0))
        if left < 0:
            return 403, message("API rate limit exceeded for user ID 1."), fields
        url = urlsplit(call.target)
        resource = {self.root + "/user": self.user, self.root + "/user/orgs": self.orgs,
                    self.root + "/user/teams": self.teams}.get(url.path)
        if resource is None or call.method != "GET":
            return 404, message("Not Found"), fields
        return resource(person, parse_qs(url.query), fields)

    @staticmethod
    def fields(person, left):
        fields = [("X-RateLimit-Limit", "5000"), ("X-RateLimit-Remaining", str(left)),
                  ("X-RateLimit-Reset", str(int(time.time()) + 3600)), ("X-RateLimit-Used", str(5000 - left)),
                  ("X-RateLimit-Resource", "core")]
        if person.scopes is not None:
            fields += [("X-OAuth-Scopes", ", ".join(person.scopes)), ("X-Accepted-OAuth-Scopes", "")]
        if person.ends:
            fields.append(("GitHub-Authentication-Token-Expiration", person.ends))
        return fields

    def user(self, person, query, fields):
        return 200, person.user, fields

    def orgs(self, person, query, fields):
        if not person.may_list():
            return 403, message("You need at least read:org scope or user scope to list your organizations."), fields
        return self.page([{"login": o, "id": n, "description": "", "url": f"https://api.github.com/orgs/{o}"}
                          for n, o in enumerate(person.orgs, 1)], "/user/orgs", query, fields)

    def teams(self, person, query, fields):
        if not person.may_list():
            return 403, message("You need at least read:org scope to list your teams."), fields
        return self.page([{"id": n, "name": s.title(), "slug": s, "privacy": "closed", "parent": None,
                           "organization": {"login": o, "id": 1, "type": "Organization"}}
                          for n, (o, s) in enumerate(person.teams, 1)], "/user/teams", query, fields)

    def page(self, entries, path, query, fields):
        size = min(int(query.get("per_page", ["30"])[0]), 100)
        page = int(query.get("page", ["1"])[0])
        if page * size < len(entries):
            fields = fields + [("Link", f'<{self.base()}{path}?per_page={size}&page={page + 1}>; rel="next"')]
        return 200, entries[(page - 1) * size:page * size], fields
