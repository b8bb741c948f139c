"""Callers of a real identity server's tokens, whose every answer is checked, and the backend that says what it was told of them."""

import json
from collections import Counter

from behaviour import render
from errorlog import await_until
from server import client_id
from test_status import purge
from traffic import Load

PATH = "/v1/models"
STATUS = "/llama-auth-status"
INACTIVE, INVALID = "Token not active", "Invalid JWT token"
# Seconds between two requests of a client: the server shares the machine with them.
PACE = 0.01


def backend(httpd):
    """Answers with what it was told of the caller."""
    def tell(peer, call):
        told = {"user": call.header("X-Auth-User-Id"), "token": call.header("Authorization") is not None}
        peer.send(render(200, {**told, **json.loads(call.header("X-Auth-Attributes") or "{}")}))
    server = httpd.endpoint("backend")
    server.default = tell
    return f"http://127.0.0.1:{server.port}"


def ask(httpd, token):
    return httpd.get(PATH, token=token)


def told(httpd, token):
    """What the backend was told."""
    response = ask(httpd, token)
    assert response.status == 200, response
    return response.json


def sort_lists(answer):
    return {name: sorted(value) if isinstance(value, list) else value for name, value in answer.items()}


def forget(httpd, what):
    """A purge; returns how many verdicts were dropped."""
    answer = purge(httpd, what, STATUS)
    assert answer.status == 200, answer
    return answer.json["dropped"]


def refused(httpd, token, message, reason, outage=False):
    """Asks, and looks into the log for why. outage: asks again while that is the answer, until a fetch has shown that a key is gone."""
    mark = httpd.log.mark()
    response = ask(httpd, token)
    if outage and response.status == 503:
        response = await_status(httpd, token, 401)
    assert (response.status, response.message, response.note("user")) == (401, message, None), response
    assert reason in httpd.log.await_line(f"LA0026: .*{client_id(token)[:8]}", mark, level="info").text


def await_status(httpd, token, status):
    """The answer, when it comes; others before it do not count."""
    return await_until(lambda: (response := ask(httpd, token)).status == status and response, f"a {status}", 300)


def revive(server):
    """For the next test, when one has failed while the server was down."""
    if server.has_ended():
        server.kill()  # what it left
        server.start()


class Crowd:
    """Callers whose every answer is checked while a `with` block runs. outages: whether they may be answered 503."""

    def __init__(self, httpd, name, token, outages=False):
        self.outages = outages
        self.names, self.callers, self.seen = {token: name}, [token], Counter()
        self.load = Load(httpd, self.choose, self.judge, clients=4, may_break=True)  # httpd ends idle connections when it restarts

    def __enter__(self):
        self.load.__enter__()
        return self

    def __exit__(self, *error):
        self.load.__exit__(*error)

    def add(self, name, token):
        self.names[token] = name
        self.callers = [*self.callers, token]
        return token

    def leave(self, *tokens):
        """Nobody asks for them any more once it returns."""
        self.callers = [token for token in self.callers if token not in tokens]
        self.await_answers()

    def end_outages(self):
        """From here on nobody may meet one, once those who were under way have been answered."""
        self.await_answers()
        self.outages = False

    def choose(self, chance):
        return PATH, chance.choice(self.callers)

    def judge(self, token, response):
        outages, self.seen[response.status] = self.outages, self.seen[response.status] + 1
        self.load.stopping.wait(PACE)
        if outages and response.status == 503:
            assert response.note("error") in ("provider_error", "provider_timeout") and response.header("Retry-After"), response
            return
        assert response.status == 200 and response.json["user"] == response.note("user") == self.names[token], response

    def await_answers(self, count=100, status=200):
        """Further ones of that status; fails if somebody got a wrong one."""
        until = self.seen[status] + count
        await_until(lambda: self.load.failures or self.seen[status] >= until, f"{count} answers of {status}", 300)
        if self.load.failures:
            raise self.load.failures[0]
