"""The files that the configuration names: read when they are regular, whatever leads to them, and nothing of an editor's is part of
them. A named pipe in their place would hold httpd up for ever."""

import json
import os
import re

import pytest

from behaviour import reply
from configs import location, provider
from errorlog import await_until
from keyserver import accepted, jwt
from pki import openssl
from server import key_entry
from signer import key, key_set

ALICE = "key-of-alice-000000000001"
KEY = key("ES256", "one")
MARK = b"\xef\xbb\xbf"
CUSTOM = "<LlamaAuthProvider corp custom>\n    Endpoint https://127.0.0.1:9/\n    {}\n</LlamaAuthProvider>\n"

# option: a configuration that names the file {0} there
NAMED = {
    "File": "<LlamaAuthProvider keys static>\n    File {0}\n</LlamaAuthProvider>\n",
    "JwksFile": "<LlamaAuthProvider idp jwt>\n    JwksFile {0}\n</LlamaAuthProvider>\n",
    "TLSCAFile": CUSTOM.format("TLSCAFile {0}"),
    "TLSCertFile": CUSTOM.format("TLSCertFile {0}\n    TLSKeyFile conf/pair.pem"),
    "TLSKeyFile": CUSTOM.format("TLSCertFile conf/pair.pem\n    TLSKeyFile {0}"),
    "SecretHeader": CUSTOM.format("SecretHeader X-Key file:{0}"),
    "ClientSecret": "<LlamaAuthProvider ask introspection>\n    Endpoint http://127.0.0.1:9/\n    ClientId a\n    ClientSecret file:{0}\n"
                    "</LlamaAuthProvider>\n",
    "LlamaAuthCacheSecret": "LlamaAuthCacheSecret file:{0}\nLlamaAuthCacheShared redis://127.0.0.1:9\n",
    "LlamaAuthErrorDocument": '<Location "/">\n    LlamaAuthErrorDocument 401 file:{0}\n</Location>\n',
}


def contents():
    """What is sound for each."""
    document = json.dumps({"said": "é %{message}"}, ensure_ascii=False).encode()
    return {"File": json.dumps({"keys": [key_entry(ALICE, "älice")]}, ensure_ascii=False).encode(), "JwksFile": json.dumps(key_set(KEY)).encode(),
            "LlamaAuthErrorDocument": document, "SecretHeader": b"a secret", "ClientSecret": b"a secret", "LlamaAuthCacheSecret": b"s" * 40}


@pytest.fixture
def ready(bare):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
            "-keyout", "pair.key", "-out", "pair.crt", directory=bare.root / "conf")
    pair = (bare.root / "conf/pair.crt").read_bytes() + (bare.root / "conf/pair.key").read_bytes()
    bare.write("conf/pair.pem", pair)
    for option in NAMED:
        bare.write(f"conf/{option}", contents().get(option, pair))
        bare.write(f"conf/{option}.marked", MARK + contents().get(option, pair))
    return bare


@pytest.mark.parametrize("option", NAMED)
class TestNamed:
    def test_pipe(self, ready, option):
        os.mkfifo(ready.root / "conf/pipe")
        ready.configure(NAMED[option].format("conf/pipe"))
        status, said = ready.check()
        assert status != 0 and re.search(f"{option}|conf/pipe", said) and "regular file" in said, said

    def test_device(self, ready, option):
        ready.configure(NAMED[option].format("/dev/zero"))
        status, said = ready.check()
        assert status != 0 and "regular file" in said, said

    def test_link(self, ready, option):
        """As Kubernetes mounts files: a link through a directory that is a link."""
        os.mkdir(ready.root / "conf/..2026")
        os.rename(ready.root / f"conf/{option}", ready.root / "conf/..2026/file")
        os.symlink("..2026", ready.root / "conf/..data")
        os.symlink("..data/file", ready.root / f"conf/{option}")
        ready.configure(NAMED[option].format(f"conf/{option}"))
        status, said = ready.check()
        assert status == 0, said


@pytest.mark.parametrize("option", [option for option in NAMED if not option.startswith("TLS")])  # those are curl's to read
def test_byte_order_mark(ready, option):
    ready.configure(NAMED[option].format(f"conf/{option}.marked"))
    status, said = ready.check()
    assert status == 0, said


class TestMarked:
    """What was written on Windows says the same."""

    @staticmethod
    def configure(httpd):
        endpoint = httpd.endpoint()
        endpoint.default = reply(200, {"principal": "bob"})
        made = contents()
        httpd.write("conf/keys.json", MARK + made["File"])
        httpd.write("conf/jwks.json", MARK + made["JwksFile"])
        httpd.write("conf/document.json", MARK + made["LlamaAuthErrorDocument"])
        httpd.write("conf/secret", MARK + b" \t the secret\t\r\n\r\n")
        httpd.secrets.add(b"the secret")
        return (NAMED["File"].format("conf/keys.json") + jwt("idp", "JwksFile conf/jwks.json") +
                provider("corp", endpoint.url(), "SecretHeader X-Key file:conf/secret") +
                location("/", "keys", "idp", "corp", lines=("Require valid-user", "LlamaAuthErrorDocument 401 file:conf/document.json")))

    def test_keys(self, httpd):
        assert httpd.get("/", token=ALICE).note("principal") == "älice"

    def test_key_set(self, httpd):
        accepted(httpd.get("/", token=KEY.sign()))

    def test_document(self, httpd):
        assert "é" in json.loads(httpd.get("/").body)["said"]

    def test_secret(self, httpd):
        assert httpd.get("/", token="of-bob-0001").note("user") == "bob"
        assert httpd.endpoint().calls[-1].header("X-Key") == "the secret"


class TestSecretThatIsEmptied:
    expected = (r"conf/secret: is empty; its last good version is still used",)

    @staticmethod
    def configure(httpd):
        endpoint = httpd.endpoint()
        endpoint.default = reply(200, {"principal": "bob"})
        httpd.write("conf/secret", "the secret\n")
        return provider("corp", endpoint.url(), "SecretHeader X-Key file:conf/secret", "CacheVary none") + location("/", "corp")

    def test_the_old_one_stays(self, httpd):
        httpd.write("conf/secret", MARK + b" \n")

        def is_seen():
            assert httpd.get("/", token=f"of-bob-{is_seen.count}").status == 200
            is_seen.count += 1
            return any("is empty" in entry.text for entry in httpd.log.since())
        is_seen.count = 1000
        await_until(is_seen, "a look at the secret")
        assert httpd.get("/", token="of-bob-again").status == 200
        assert {call.header("X-Key") for call in httpd.endpoint().calls} == {"the secret"}
