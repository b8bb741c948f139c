"""conf/kubernetes.conf before a real kube-apiserver: service account tokens, their audiences and ends, what RBAC lets the reviewer do,
rotations, and an API server that hangs, ends, changes its certificate or is started again under load.

The configuration is the shipped one; outside a pod it must be told three things that a pod has (server, authority, reviewer's token).
Beside it, sections of the tests' own whose verdicts live for a second, so that what a revocation does can be seen.
"""

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from behaviour import reply
from cluster import Cluster, ISSUER, claims_of, installed
from errorlog import await_until
from program import listens
from server import ROOT
from traffic import Load

pytestmark = pytest.mark.skipif(not installed(), reason="kube-apiserver is not built: that needs Go")

AUDIENCE = "llama-stack"
INVALID = "Invalid or expired token"
# The API server itself remembers a verdict for 10 s, and its informers take a moment.
LATE = 30


@pytest.fixture(scope="module", autouse=True)
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="la-cluster-"))
    made = Site.cluster = Cluster(folder / "cluster")
    try:
        for namespace, names in (("gateway", ["httpd", "spare"]), ("apps", ["bot", "other"]), ("platform", ["admin"])):
            made.create_namespace(namespace)
            for name in names:
                made.create_account(namespace, name)
        made.bind_reviewer("llama-auth", "gateway", "httpd")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def user_of(token):
    return claims_of(token)["sub"]


def reviewed(cluster, *options):
    """What a pod has, and more options."""
    lines = [f"ApiServer https://127.0.0.1:{cluster.port}", "TLSCAFile conf/ca.crt", "ReviewerToken file:conf/token", *options]
    return "".join(f"    {line}\n" for line in lines)


class Site:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630", "AH01631")
    processes = 1

    @classmethod
    def configure(cls, httpd):
        httpd.endpoint("backend").default = reply(200, b'{"backend": true}')
        httpd.write("conf/ca.crt", cls.cluster.pki.read("ca.pem")).chmod(0o644)
        cls.give_reviewer(httpd, cls.cluster.create_token("gateway", "httpd", ISSUER))
        text = (ROOT / "conf" / "kubernetes.conf").read_text()
        for pattern, new in ((r"^Define LLAMA_BACKEND +\S+$", f"Define LLAMA_BACKEND http://127.0.0.1:{httpd.endpoint('backend').port}"),
                             (r"^<LlamaAuthProvider cluster kubernetes>\n", "\\g<0>" + reviewed(cls.cluster))):
            text, count = re.subn(pattern, new, text, flags=re.M)
            assert count == 1, pattern
        return text + cls.sections()

    @classmethod
    def sections(cls):
        """Beside the shipped ones: what the test of the class needs."""
        return ""

    @classmethod
    def section(cls, name, *options):
        return f"""
<LlamaAuthProvider {name} kubernetes>
    CacheTTL 1s
    CacheNegativeTTL 1s
{reviewed(cls.cluster, *options)}</LlamaAuthProvider>
<Location "/{name}">
    LlamaAuthUse {name}
</Location>
"""

    @staticmethod
    def give_reviewer(httpd, token):
        httpd.secrets.add(token.encode())
        httpd.write("conf/token", token).chmod(0o644)

    @staticmethod
    def told(httpd):
        """Who the backend was told called."""
        return httpd.endpoint("backend").calls[-1].header("X-Auth-User-Id")

    def accepted(self, httpd, token, path="/v1/models"):
        """Whether a caller is let through, who then is the right one; else the token is refused as such."""
        response = httpd.get(path, token=token)
        assert response.status in (200, 401), response
        if response.status == 200:
            assert response.note("user") == user_of(token) == self.told(httpd)
        else:
            assert (response.message, response.note("error")) == (INVALID, "invalid_token")
        return response.status == 200


class TestTokens(Site):
    @classmethod
    def sections(cls):
        return (cls.section("mapped", f"Audience {AUDIENCE}", "Claim extra.authentication.kubernetes.io/pod-name pods",
                            "Claim extra.authentication.kubernetes.io/credential-id ids", "Claim groups teams", "PrincipalClaim uid") +
                cls.section("default") +
                cls.section("self", "Review self").replace("    ReviewerToken file:conf/token\n", ""))

    def test_service_account(self, httpd, cluster):
        token = cluster.create_token("apps", "bot", AUDIENCE)
        for cache in ("miss", "hit"):
            response = httpd.get("/v1/models", token=token)
            assert (response.status, response.note("cache")) == (200, cache)
        call = httpd.endpoint("backend").calls[-1]
        assert call.header("X-Auth-User-Id") == "system:serviceaccount:apps:bot"
        assert json.loads(call.header("X-Auth-Attributes")) == {
            "roles": ["system:serviceaccount:apps:bot"],
            "teams": ["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"]}

    @pytest.mark.parametrize("audiences, status", [((AUDIENCE,), 200), ((ISSUER,), 401), (("other",), 401), (("other", AUDIENCE), 200), ((), 401)])
    def test_audience(self, httpd, cluster, audiences, status):
        assert self.accepted(httpd, cluster.create_token("apps", "bot", *audiences)) == (status == 200)

    @pytest.mark.parametrize("audiences, status", [((AUDIENCE,), 401), ((ISSUER,), 200), ((), 200)])
    @pytest.mark.parametrize("place", ["default", "self"])
    def test_audience_of_the_server(self, httpd, cluster, place, audiences, status):
        """Without `Audience`, and in a review in the caller's own name."""
        assert self.accepted(httpd, cluster.create_token("apps", "bot", *audiences), f"/{place}/x") == (status == 200)

    @pytest.mark.parametrize("change", [lambda token: token[:-4], lambda token: token.rsplit(".", 1)[0] + ".", lambda token: "a-stranger-s-token",
                                        lambda token: ".".join(reversed(token.split(".")))])
    @pytest.mark.parametrize("place", ["v1/models", "self/x"])
    def test_forged(self, httpd, cluster, place, change):
        assert not self.accepted(httpd, change(cluster.create_token("apps", "bot", AUDIENCE, ISSUER)), f"/{place}")

    def test_administration_for_one_namespace(self, httpd, cluster):
        admin, bot = cluster.create_token("platform", "admin", AUDIENCE), cluster.create_token("apps", "bot", AUDIENCE)
        assert httpd.get("/v1/admin/x", token=admin).status == 200
        assert httpd.get("/v1/admin/x", token=bot).status == 403 and self.accepted(httpd, bot)
        assert httpd.get("/v1%2Fadmin/x", token=admin).status == 403

    def test_extra(self, httpd, cluster):
        token = cluster.create_token("apps", "bot", AUDIENCE, bound_to=cluster.create_pod("apps", "bot-7", "bot"))
        response = httpd.get("/mapped/x", token=token)
        claims = claims_of(token)
        assert (response.status, response.note("user")) == (200, claims["kubernetes.io"]["serviceaccount"]["uid"])
        assert json.loads(response.note("attributes")) == {
            "pods": ["bot-7"], "ids": [f"JTI={claims['jti']}"],
            "teams": ["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"]}

    def test_no_token(self, httpd):
        assert httpd.get("/v1/models").message.endswith("Please provide a valid Kubernetes service account token as a Bearer token")


class TestRevocation(Site):
    @classmethod
    def sections(cls):
        return cls.section("quick", f"Audience {AUDIENCE}") + cls.section("self", "Review self").replace("    ReviewerToken file:conf/token\n", "")

    def test_pod_is_deleted(self, httpd, cluster):
        pods = {name: cluster.create_pod("apps", name, "bot") for name in ("going", "staying")}
        tokens = {name: cluster.create_token("apps", "bot", AUDIENCE, ISSUER, bound_to=pod) for name, pod in pods.items()}
        for path in ("/quick/x", "/self/x", "/v1/models"):
            assert all(self.accepted(httpd, token, path) for token in tokens.values())
        cluster.delete_pod("apps", "going")
        for path in ("/quick/x", "/self/x"):
            await_until(lambda: not self.accepted(httpd, tokens["going"], path), "the end of the pod's token", LATE)
            assert self.accepted(httpd, tokens["staying"], path)
        assert httpd.get("/v1/models", token=tokens["going"]).note("cache") in ("hit", "miss")

    def test_account_is_deleted(self, httpd, cluster):
        """As shipped, the verdict lives for a minute. Another account of the same name is somebody else."""
        cluster.create_account("apps", "leaver")
        token = cluster.create_token("apps", "leaver", AUDIENCE)
        assert self.accepted(httpd, token) and self.accepted(httpd, token, "/quick/x")
        cluster.delete_account("apps", "leaver")
        await_until(lambda: not self.accepted(httpd, token, "/quick/x"), "the end of the account's token", LATE)
        cluster.create_account("apps", "leaver")
        await_until(lambda: not self.accepted(httpd, token), "its end as shipped", 60 + LATE)
        assert not self.accepted(httpd, token, "/quick/x")
        assert self.accepted(httpd, cluster.create_token("apps", "leaver", AUDIENCE))


class Mishaps(Site):
    expected = (*Site.expected, r"\[llama_auth:error\].*provider \w+ is unavailable", "LA0110")

    @classmethod
    def sections(cls):
        return cls.section("quick", f"Audience {AUDIENCE}", "Timeout 2s", "Breaker 5 2s")

    def outage(self, httpd, token, path="/quick/x"):
        """The message of an outage, or nothing if there is none; a caller who is let through is the right one."""
        response = httpd.get(path, token=token)
        assert response.status in (200, 503), response
        if response.status == 200:
            assert response.note("user") == user_of(token)
            return None
        assert response.note("error") in ("provider_error", "provider_timeout") and response.note("user") is None
        return response.message

    def await_service(self, httpd, cluster, path="/quick/x"):
        """Until a caller gets in whom nobody knows yet."""
        await_until(lambda: not self.outage(httpd, cluster.create_token("apps", "bot", AUDIENCE), path), "service", 60)


class TestReviewer(Mishaps):
    def test_rbac(self, httpd, cluster):
        known = cluster.create_token("apps", "bot", AUDIENCE)
        assert self.accepted(httpd, known)
        mark = httpd.log.mark()
        cluster.unbind_reviewer("llama-auth")
        fresh = [cluster.create_token("apps", "bot", AUDIENCE) for _ in range(40)]
        await_until(lambda: self.outage(httpd, fresh.pop()) == "Token validation failed: 403", "RBAC to refuse")
        httpd.log.await_line(r"RBAC does not let the reviewer create tokenreviews \(cluster role system:auth-delegator\)", mark)
        assert self.accepted(httpd, known)
        cluster.bind_reviewer("llama-auth", "gateway", "httpd")
        self.await_service(httpd, cluster)

    def test_rotation(self, httpd, cluster):
        """As the kubelet does it: another token in the file, and some time later the old one is worth nothing."""
        old, new = (cluster.create_token("gateway", "httpd", ISSUER, bound_to=cluster.create_pod("gateway", name, "httpd"))
                    for name in ("httpd-1", "httpd-2"))
        self.give_reviewer(httpd, old)
        self.await_service(httpd, cluster)
        self.give_reviewer(httpd, new)
        time.sleep(1.5)  # once a second it is looked whether the file has changed
        cluster.delete_pod("gateway", "httpd-1")
        for _ in range(15):
            assert self.outage(httpd, cluster.create_token("apps", "bot", AUDIENCE)) is None
            time.sleep(1)  # past the time that the API server remembers the old one
        mark = httpd.log.mark()
        self.give_reviewer(httpd, old)
        await_until(lambda: self.outage(httpd, cluster.create_token("apps", "bot", AUDIENCE)) == "Token validation failed: 401", "its end")
        httpd.log.await_line("does not accept ReviewerToken", mark)
        self.give_reviewer(httpd, new)
        self.await_service(httpd, cluster)


class TestOutage(Mishaps):
    processes = 2

    def test_it_hangs(self, httpd, cluster):
        known, fresh = cluster.create_token("apps", "bot", AUDIENCE), cluster.create_token("apps", "other", AUDIENCE)
        assert self.accepted(httpd, known)
        cluster.api.pause()
        try:
            assert self.outage(httpd, fresh) == self.outage(httpd, fresh, "/v1/models") == "Authentication service timeout"
            assert self.outage(httpd, "a-stranger-s-token") == "Authentication service timeout"
            assert httpd.get("/v1/models", token=known).note("cache") == "hit"
        finally:
            cluster.api.resume()
        self.await_service(httpd, cluster)
        assert self.accepted(httpd, fresh)

    def test_it_ends_and_comes_back(self, httpd, cluster):
        known, fresh = cluster.create_token("apps", "bot", AUDIENCE), cluster.create_token("apps", "other", AUDIENCE)
        assert self.accepted(httpd, known)
        cluster.api.kill()
        assert self.outage(httpd, fresh) == self.outage(httpd, fresh, "/v1/models") == "Authentication service error"
        assert httpd.get("/v1/models", token=known).note("cache") == "hit"
        cluster.api.start()
        self.await_service(httpd, cluster)
        self.await_service(httpd, cluster, "/v1/models")
        assert self.accepted(httpd, fresh)

    def test_etcd_hangs(self, httpd, cluster):
        """The API server reviews from what it knows: nobody notices, and nobody gets in who should not."""
        known, fresh = cluster.create_token("apps", "bot", AUDIENCE), cluster.create_token("apps", "other", AUDIENCE)
        assert self.accepted(httpd, known)
        cluster.etcd.pause()
        try:
            for path in ("/v1/models", "/quick/x"):
                assert self.accepted(httpd, known, path) and self.accepted(httpd, fresh, path)
                assert not self.accepted(httpd, "a-stranger-s-token", path)
        finally:
            cluster.etcd.resume()
        self.await_service(httpd, cluster)

    def test_restart_under_load(self, httpd, cluster):
        """Callers who are known notice nothing; the others get in as themselves, or hear of an outage."""
        known, others = ([cluster.create_token("apps", name, AUDIENCE) for name in ("bot", "other") for _ in range(5)] for _ in range(2))
        assert all(self.accepted(httpd, token) for token in known)
        end = time.monotonic() + 50  # of what is remembered of them

        def judge(token, response):
            if response.status == 200:
                assert response.note("user") == user_of(token), response
            else:
                assert response.status == 503 and response.note("error") in ("provider_error", "provider_timeout"), response
                assert token in others or time.monotonic() > end, response
        with Load(httpd, lambda chance: chance.choice([("/v1/models", chance.choice(known)), ("/quick/x", chance.choice(others))]), judge, clients=4):
            cluster.api.restart()
            self.await_service(httpd, cluster)
        assert all(self.accepted(httpd, token, "/quick/x") for token in known + others)


class TestKeys(Mishaps):
    def test_service_account_keys(self, httpd, cluster):
        """A new key signs, the old one is still known; then it is not."""
        old = cluster.create_token("apps", "bot", AUDIENCE)
        assert self.accepted(httpd, old)
        cluster.pki.account_key("accounts-2")
        cluster.use_account_keys("accounts-2", ["accounts-1", "accounts-2"])
        self.await_service(httpd, cluster)
        new = cluster.create_token("apps", "bot", AUDIENCE)
        self.give_reviewer(httpd, cluster.create_token("gateway", "httpd", ISSUER))
        assert self.accepted(httpd, old, "/quick/x") and self.accepted(httpd, new, "/quick/x")
        cluster.use_account_keys("accounts-2", ["accounts-2"])
        self.await_service(httpd, cluster)
        await_until(lambda: not self.accepted(httpd, old, "/quick/x"), "the old key's end", LATE)
        assert self.accepted(httpd, new, "/quick/x")

    def test_certificates(self, httpd, cluster):
        """Another certificate of the same authority is nothing new; one of another authority gets no token to see."""
        cluster.use_certificate("serving-next")
        cluster.api.restart()
        self.await_service(httpd, cluster)
        cluster.use_certificate("serving-foreign")
        ready, cluster.api.ready = cluster.api.ready, lambda program: listens(cluster.port)  # its administrator cannot trust it either
        mark = httpd.log.mark()
        try:
            cluster.api.restart()
            def met():
                """Nobody is let through, and the log says why: not of each call, since the breaker opens."""
                assert self.outage(httpd, "a-token-that-nobody-sees")
                return any("certificate" in entry.text for entry in httpd.log.since(mark, "llama_auth"))
            await_until(met, "its certificate to be met", 60)
        finally:
            cluster.use_certificate("serving")
            cluster.api.ready = ready
            cluster.api.restart()
        self.await_service(httpd, cluster)


class Pod:
    """What a pod has, for an httpd with a view of the files of its own: the names of the cluster, and the mounted credentials, which are
    changed as the kubelet does it (links to a folder that is replaced as a whole)."""

    def __init__(self, httpd, address):
        self.folder, self.number = httpd.root / "pod", 0
        self.folder.mkdir()
        for name in ("token", "ca.crt"):
            (self.folder / name).symlink_to(f"..data/{name}")
        hosts = httpd.write("conf/hosts", f"127.0.0.1 localhost\n{address} kubernetes.default.svc\n")
        hosts.chmod(0o644)
        place = "/run/secrets/kubernetes.io/serviceaccount"
        script = f'mount -t tmpfs none /run && mkdir -p {place} && mount --bind {self.folder} {place} && mount --bind {hosts} /etc/hosts && exec "$@"'
        command = httpd.command
        httpd.command = lambda *arguments: ["unshare", "--mount", "sh", "-c", script, "sh", *command(*arguments)]

    def give(self, token, authority):
        self.number += 1
        data = self.folder / f"..data-{self.number}"
        data.mkdir()
        (data / "token").write_text(token)
        (data / "ca.crt").write_text(authority)
        (self.folder / "..data_tmp").symlink_to(data.name)
        os.replace(self.folder / "..data_tmp", self.folder / "..data")


def can_be_a_pod():
    """Root may have port 443, and, if its root directory is a file system's, a view of the files of its own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_a_pod(), reason="needs root, and to be no chroot: a view of the files of its own, and port 443")
class TestInAPod(Site):
    """The file as it is shipped, but for the backend's port."""

    @classmethod
    def configure(cls, httpd):
        address = f"127.0.0.{random.randrange(2, 255)}"
        httpd.endpoints["api"] = cls.cluster.serve_also(address, 443)
        httpd.endpoint("backend").default = reply(200, b'{"backend": true}')
        httpd.pod = Pod(httpd, address)
        cls.give(httpd, "httpd-3")
        text, count = re.subn(r"^(Define LLAMA_BACKEND) +\S+$", rf"\1 http://127.0.0.1:{httpd.endpoint('backend').port}",
                              (ROOT / "conf" / "kubernetes.conf").read_text(), flags=re.M)
        assert count == 1
        return text

    @classmethod
    def give(cls, httpd, pod):
        """The credentials of a new pod of that name."""
        token = cls.cluster.create_token("gateway", "httpd", ISSUER, bound_to=cls.cluster.create_pod("gateway", pod, "httpd"))
        httpd.secrets.add(token.encode())
        httpd.pod.give(token, cls.cluster.pki.read("ca.pem"))

    def test_callers(self, httpd, cluster):
        assert self.accepted(httpd, cluster.create_token("apps", "bot", AUDIENCE))
        assert not self.accepted(httpd, cluster.create_token("apps", "bot", ISSUER))
        assert not self.accepted(httpd, "a-stranger-s-token")
        assert httpd.get("/v1/admin/x", token=cluster.create_token("platform", "admin", AUDIENCE)).status == 200

    def test_rotation(self, httpd, cluster):
        self.give(httpd, "httpd-4")
        time.sleep(1.5)  # once a second it is looked whether the file has changed
        cluster.delete_pod("gateway", "httpd-3")
        for _ in range(15):
            assert self.accepted(httpd, cluster.create_token("apps", "bot", AUDIENCE))
            time.sleep(1)  # past the time that the API server remembers the old one
