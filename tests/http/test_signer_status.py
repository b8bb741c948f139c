"""Signers on the status page, in each of its forms: by which keys they sign, since when, and how many assertions."""

import re
import subprocess
import time

import pytest

from callers import key_of, write_callers
from errorlog import await_until
from jwcrypto import jwk
from signing import KNOWN, JWKS, backend_of, signer_section, write_key
from test_status import PROMTOOL, status_location

RESULTS = {"signed", "reused", "failed"}


def place(httpd, path, signer):
    return f"<Location /{path}>\n{KNOWN}LlamaAuthForward Authorization assertion:{signer}\nProxyPass {backend_of(httpd)}/\n</Location>\n"


def signers(httpd):
    return {signer["name"]: signer for signer in httpd.get("/status?format=json").json["signers"]}


def kid_of(httpd, name):
    return jwk.JWK.from_pem((httpd.root / f"conf/{name}.pem").read_bytes()).thumbprint()


def metrics(httpd):
    text = httpd.get("/status?format=prometheus").body.decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if "_signer_" in line and not line.startswith("#"))


class TestShown:
    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        write_key(httpd, "next", "es384")
        return (write_callers(httpd) + signer_section(httpd, "two", "first").replace("first.pem", "first.pem file:conf/next.pem") +
                signer_section(httpd, "idle", "eddsa") + JWKS + place(httpd, "two", "two") + place(httpd, "idle", "idle") +
                status_location("/status", "Require all granted"))

    def test_json(self, httpd):
        shown = signers(httpd)
        assert list(shown) == ["two", "idle"]
        assert all(set(signer) == {"name", "assertions", "keys"} and set(signer["assertions"]) == RESULTS for signer in shown.values())
        assert [(key["kid"], key["algorithm"]) for key in shown["two"]["keys"]] == [(kid_of(httpd, "first"), "ES256"), (kid_of(httpd, "next"), "ES384")]
        assert [(key["kid"], key["algorithm"]) for key in shown["idle"]["keys"]] == [(kid_of(httpd, "eddsa"), "EdDSA")]
        for key in shown["two"]["keys"] + shown["idle"]["keys"]:
            assert set(key) == {"kid", "algorithm", "read"} and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", key["read"])

    def test_counts(self, httpd):
        """In all processes together: one signature a process and caller, the others are used again."""
        before = signers(httpd)["two"]["assertions"]
        for _ in range(40):
            assert httpd.get("/two/x", token=key_of("full")).status == 200
        after = signers(httpd)["two"]["assertions"]
        signed, reused = after["signed"] - before["signed"], after["reused"] - before["reused"]
        assert signed >= 1 and reused >= 1 and signed + reused == 40 and after["failed"] == 0
        assert signers(httpd)["idle"]["assertions"] == {"signed": 0, "reused": 0, "failed": 0}

    def test_not_counted(self, httpd):
        before = signers(httpd)["two"]["assertions"]
        assert httpd.get("/two/x").status == 401
        assert signers(httpd)["two"]["assertions"] == before

    def test_metrics(self, httpd):
        shown, read = signers(httpd), metrics(httpd)
        for name, signer in shown.items():
            for result, count in signer["assertions"].items():
                assert read[f'llama_auth_signer_assertions_total{{signer="{name}",result="{result}"}}'] == str(count)
            for i, key in enumerate(signer["keys"]):
                at = read["llama_auth_signer_key_read_timestamp_seconds"
                          f'{{signer="{name}",place="{i + 1}",kid="{key["kid"]}",algorithm="{key["algorithm"]}"}}']
                assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(at))) == key["read"]
        assert len(read) == 3 * 2 + 3

    def test_promtool(self, httpd):
        text = httpd.get("/status?format=prometheus").body
        done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60)
        assert done.returncode == 0 and not done.stdout + done.stderr, done

    def test_page(self, httpd):
        page = httpd.get("/status").body.decode()
        two = page[page.index('<section id="signer-two">'):]
        two = two[:two.index("</section>")]
        assert re.search(r"<b>\d+</b> <span>assertions signed</span>", two)
        assert f"<tr><td>{kid_of(httpd, 'first')}</td><td>ES256</td><td>signs</td><td>20" in two
        assert f"<tr><td>{kid_of(httpd, 'next')}</td><td>ES384</td><td>published</td><td>20" in two

    def test_nothing_secret(self, httpd):
        for name in ("first", "next", "eddsa"):
            secret = (httpd.root / f"conf/{name}.pem").read_text().splitlines()[1].encode()
            for form in ("", "?format=json", "?format=prometheus"):
                assert secret not in httpd.get("/status" + form).body

    def test_rotation(self, httpd):
        """A new key is shown by the process that answers as soon as it is there, with its own time."""
        old = signers(httpd)["two"]["keys"]
        await_until(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > old[0]["read"], "another second")
        write_key(httpd, "first", "eddsa")
        new = signers(httpd)["two"]["keys"]
        assert (new[0]["kid"], new[0]["algorithm"]) == (kid_of(httpd, "first"), "EdDSA")
        assert new[0]["read"] > old[0]["read"] and new[1] == old[1]

    @pytest.mark.parametrize("change", ["none", "another signer before it", "another provider"])
    def test_counts_survive_a_restart(self, httpd, change):
        for _ in range(10):
            httpd.get("/two/x", token=key_of("full"))
        before, text = signers(httpd)["two"]["assertions"], httpd.text
        if change == "another signer before it":
            httpd.configure(signer_section(httpd, "zero", "eddsa") + text)
        elif change == "another provider":
            httpd.configure("<LlamaAuthProvider more static>\nFile conf/keys.json\n</LlamaAuthProvider>\n" + text)
        httpd.graceful()
        after = signers(httpd)
        assert after["two"]["assertions"] == before and after["idle"]["assertions"]["signed"] == 0
        assert ("zero" in after) == (change == "another signer before it")
        httpd.get("/two/x", token=key_of("full"))
        assert signers(httpd)["two"]["assertions"]["signed"] == before["signed"] + 1  # by a new process
        httpd.configure(text)
        httpd.graceful()


class TestHosts:
    """Signers of one name on two virtual hosts are two."""

    modules = ("proxy", "proxy_http")

    @staticmethod
    def configure(httpd):
        hosts = "".join(f"<VirtualHost *:{httpd.port}>\nServerName {name}.example\n{signer_section(httpd, 'inner', name)}"
                        f"{place(httpd, 'a', 'inner')}</VirtualHost>\n" for name in ("es256", "rs256"))
        return write_callers(httpd) + status_location("/status", "Require all granted") + hosts

    def test_both(self, httpd):
        assert httpd.get("/a/x", host=f"rs256.example:{httpd.port}", token=key_of("full")).status == 200
        answer = httpd.get("/status?format=json", host="es256.example").json["signers"]
        assert [(signer["keys"][0]["algorithm"], signer["assertions"]["signed"]) for signer in answer] == [("ES256", 0), ("RS256", 1)]
        assert len({signer["name"] for signer in answer}) == 2 and all(signer["name"].startswith("inner@") for signer in answer)


class TestNone:
    @staticmethod
    def configure(httpd):
        return status_location("/status", "Require all granted")

    def test_none(self, httpd):
        assert httpd.get("/status?format=json").json["signers"] is None
        assert metrics(httpd) == {} and b"signer" not in httpd.get("/status").body
