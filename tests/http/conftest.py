"""Fixtures: one httpd per test class, configured by the class.

A test class has `configure(httpd)`, a static method that returns configuration text and may write files and
start endpoints; and, where it needs them, the attributes `modules` (more httpd modules), `expected` (patterns of
error lines that belong to the tests), `processes`, `env`, `notes`. A class runs under each MPM when it is marked with
`every_mpm`.
"""

import itertools
import shutil
import signal
import uuid

import pytest

pytest.register_assert_rewrite("callers", "client", "endpoint", "errorlog", "keyserver")

from idp import Idp
from pki import Authority
from server import MODULE, Httpd

counter = itertools.count(1)

# Whoever asks the tests to end has them end what they started; where SIGINT was ignored, as for a job in the background, too.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)


def pytest_report_header(config):
    return f"module: {MODULE}"


def new_token(name="tok"):
    """A token that no other test uses: nothing remembered of another can answer for it."""
    return f"{name}-{next(counter)}-{uuid.uuid4().hex}"


@pytest.fixture
def token():
    return new_token()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def idp():
    server = Idp()
    yield server
    server.stop()


@pytest.fixture(scope="class")
def mpm(request):
    return getattr(request, "param", "event")


@pytest.fixture(scope="class")
def httpd(request, mpm):
    """The class's server; the state of its log at the end is part of the class's verdict."""
    owner = request.cls
    server = Httpd(mpm=mpm, modules=getattr(owner, "modules", ()), processes=getattr(owner, "processes", 2),
                   expected=getattr(owner, "expected", ()), env=getattr(owner, "env", None),
                   module=getattr(owner, "module", True), notes=getattr(owner, "notes", True))
    try:
        server.pki = request.getfixturevalue("pki") if getattr(owner, "needs_pki", False) else None
        server.idp = request.getfixturevalue("idp") if getattr(owner, "needs_idp", False) else None
        server.configure(owner.configure(server))
        server.start()
        yield server
        wrong = server.stop()
    finally:
        server.stop()
        server.remove()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def bare():
    """An httpd that is configured by the test itself and need not run."""
    server = Httpd()
    try:
        yield server
        wrong = server.stop()
    finally:
        server.stop()
        server.remove()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="class")
def chromium():
    import browser  # selenium takes a while to load
    driver = browser.start()
    yield driver
    profile = driver.capabilities["chrome"]["userDataDir"]
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


every_mpm = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"], indirect=True, scope="class")
