"""What a token is bound to, where another machine has cached it in Redis; and entries that do not tell it."""

import hmac
import os
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from behaviour import accept
from configs import everywhere, location, provider
from conftest import new_token
from endpoint import Endpoint
from redis_server import Redis
from server import Httpd
from test_binding import Client, cnf_of, held, refused, virtual_host
from test_second import entries

SECRET = "0123456789abcdef0123456789abcdef0123456789"
HEAD, SALT, NONCE = b"LA\1", 16, 12
LAYOUT, ENTRY = 0x4C413033, 40  # of an entry: its number, and where the identity begins behind it
CONFIRMATIONS = ENTRY + 40      # the identity's count of them
FORMER_LAYOUT, FORMER_MAGIC = 0x4C413032, b"LAI1"  # of versions that did not look at cnf


def cipher(salt):
    """As seal.h draws it."""
    key = HKDF(SHA256(), 32, None, b"mod_llama_auth sealing").derive(SECRET.encode())
    return AESGCM(hmac.digest(key, salt, "sha256"))


def unseal(name, sealed):
    salt, nonce, text = sealed[3:19], sealed[19:31], sealed[31:]
    assert sealed[:3] == HEAD
    return cipher(salt).decrypt(nonce, text, name.encode())


def seal(name, plain):
    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    return HEAD + salt + nonce + cipher(salt).encrypt(nonce, plain, name.encode())


def put(plain, at, new):
    return plain[:at] + new + plain[at + len(new):]


# What becomes of an entry, and whether it is still one.
CHANGES = {
    "nothing": (lambda plain: plain, True),
    "the former layout": (lambda plain: put(plain, 0, struct.pack("=I", FORMER_LAYOUT)), False),
    "the former identity": (lambda plain: put(plain, ENTRY, FORMER_MAGIC), False),
    "the former layout and identity": (lambda plain: put(put(plain, 0, struct.pack("=I", FORMER_LAYOUT)), ENTRY, FORMER_MAGIC), False),
    "an identity that denies its confirmation": (lambda plain: put(plain, CONFIRMATIONS, struct.pack("=I", 0)), False),
    "an identity of two": (lambda plain: put(plain, CONFIRMATIONS, struct.pack("=I", 2)), False),
}


class TestMachines:
    """What another machine cached in Redis."""

    @pytest.fixture
    def redis(self):
        server = Redis()
        yield server
        server.remove()

    @pytest.fixture
    def machines(self, redis, pki):
        endpoint = Endpoint()
        made = []
        for _ in range(2):
            httpd = Httpd(modules=("ssl", "socache_shmcb"), expected=("LA0056",))
            httpd.pki = pki
            httpd.write("conf/secret", SECRET)
            httpd.configure(f"LlamaAuthCacheShared redis://127.0.0.1:{redis.port} timeout=1s connect_timeout=1s\n"
                            "LlamaAuthCacheSecret file:conf/secret\n" + provider("corp", endpoint.url(), "CacheVary none") +
                            virtual_host(httpd, "SSLVerifyClient optional_no_ca\n" + location("/corp", "corp")) + everywhere(httpd, "/corp"))
            httpd.start()
            made.append(httpd)
        yield endpoint, *made
        wrong = [line for httpd in made for line in httpd.stop()]
        for httpd in made:
            httpd.remove()
        endpoint.stop()
        assert not wrong, wrong

    @pytest.mark.parametrize("first", ["client", None])
    def test_shared(self, machines, pki, first):
        endpoint, one, two = machines
        token = endpoint.on(new_token(), accept("alice", cnf=cnf_of(pki, "client")))
        (held if first else refused)(Client(one, first).get("/corp", token))
        response = Client(two).get("/corp", token)
        refused(response)
        assert response.note("cache") == "shared"
        response = Client(two, "client").get("/corp", token)
        held(response)
        assert response.note("cache") == "hit"
        assert len(endpoint.calls_for(token)) == 1

    @pytest.mark.parametrize("change, is_entry", CHANGES.values(), ids=CHANGES.keys())
    def test_entries_that_do_not_tell(self, machines, redis, pki, change, is_entry):
        """Whoever has the secret, as an older version of the module has, cannot make a token one that is bound to nothing."""
        endpoint, one, two = machines
        token = endpoint.on(new_token(), accept("alice", cnf=cnf_of(pki, "client")))
        held(Client(one, "client").get("/corp", token))
        name = entries(redis)[-1]
        plain = unseal(name, redis.get(name))
        assert plain[:4] == struct.pack("=I", LAYOUT) and plain[CONFIRMATIONS:CONFIRMATIONS + 4] == struct.pack("=I", 1)
        redis.set(name, seal(name, change(plain)))
        response = Client(two).get("/corp", token)
        refused(response)
        assert response.note("cache") == ("shared" if is_entry else "miss")
        assert len(endpoint.calls_for(token)) == (1 if is_entry else 2)
        held(Client(two, "client").get("/corp", token))
