"""mod_info and `httpd -D DUMP_CONFIG` show the configuration with *** in the place of literal secrets."""

import subprocess

import pytest

S = "hunter2"
URL = "http://127.0.0.1:1/x"

LINES = {
    "ClientSecret": ("introspection", f"Endpoint {URL}\nClientId me\nClientSecret {S}", "ClientSecret ***"),
    "quoted": ("introspection", f"Endpoint {URL}\nClientId me\nClientSecret '{S} and more \"'", "ClientSecret ***"),
    "in another case": ("introspection", f"Endpoint {URL}\nClientId me\nclientsecret {S}", "clientsecret ***"),
    "continued": ("introspection", f"Endpoint {URL}\nClientId me\nClientSecret \\\n{S}", "ClientSecret ***"),
    "SecretHeader": ("custom", f"Endpoint {URL}\nSecretHeader X-Key {S}", "SecretHeader X-Key ***"),
    "JwksToken": ("jwt", f"JwksUri {URL}\nJwksToken {S}", "JwksToken ***"),
    "ReviewerToken": ("kubernetes", f"ApiServer https://127.0.0.1:1\nReviewerToken {S}", "ReviewerToken ***"),
    "query of an Endpoint": ("custom", f"Endpoint {URL}?key={S}&b=c", f"Endpoint {URL}?***"),
    "query of a JwksUri": ("jwt", f"JwksUri {URL}?key={S}", f"JwksUri {URL}?***"),
    "file stays": ("custom", f"Endpoint {URL}\nSecretHeader X-Key file:conf/secret", "SecretHeader X-Key file:conf/secret"),
    "env stays": ("custom", f"Endpoint {URL}\nSecretHeader X-Key env:LA_TEST_SET", "SecretHeader X-Key env:LA_TEST_SET"),
    "what looks like a reference": ("custom", f"Endpoint {URL}\nSecretHeader X-Key FILE:{S}", "SecretHeader X-Key ***"),
    "at sign in a path": ("custom", f"Endpoint {URL}/@me", f"Endpoint {URL}/@me"),
}
SHARED = {
    "in the URL": (f"redis://:{S}@127.0.0.1:1/0", "redis://:***@127.0.0.1:1/0"),
    "of a user": (f"redis://me:{S}%40x@127.0.0.1:1/0 timeout=50ms", "redis://me:***@127.0.0.1:1/0 timeout=50ms"),
    "of a socket": (f"unix://:{S}@/run/redis.sock", "unix://:***@/run/redis.sock"),
}
REFUSED = {
    "password in an Endpoint": f"<LlamaAuthProvider p custom>\nEndpoint http://me:{S}@h/\n</LlamaAuthProvider>",
    "password in a Proxy": f"<LlamaAuthProvider p custom>\nEndpoint {URL}\nProxy http://me:{S}@h/\n</LlamaAuthProvider>",
    "secret in two words": f"<LlamaAuthProvider p introspection>\nEndpoint {URL}\nClientSecret my {S}\n</LlamaAuthProvider>",
    "secret with a control character": f"<LlamaAuthProvider p custom>\nEndpoint {URL}\nSecretHeader X-K '{S}\x01'\n</LlamaAuthProvider>",
    "query that is none": f"<LlamaAuthProvider p custom>\nEndpoint 'http://h/?k={S} x'\n</LlamaAuthProvider>",
    "bad port of a Redis": f"LlamaAuthCacheShared redis://:{S}@h:99999",
    "another scheme": f"LlamaAuthCacheShared http://:{S}@h",
    "unknown word": f"LlamaAuthCacheShared redis://h passwort={S}",
    "password as a word": f"LlamaAuthCacheShared redis://h password={S}",
    "password in a query": f"LlamaAuthCacheShared redis://h?password={S}",
    "slash in a password": f"LlamaAuthCacheShared redis://:/{S}@h",
    "second URL": f"LlamaAuthCacheShared redis://h redis://:{S}=x@h",
    "password in the path": f"LlamaAuthCacheShared redis://h/{S}",
    "literal LlamaAuthCacheSecret": f"LlamaAuthCacheSecret {S}",
}


@pytest.fixture
def ready(bare):
    bare.modules += ("info",)
    bare.env.update(LA_TEST_SET="value")
    bare.write("conf/secret", "a secret\n")
    return bare


def dump(httpd):
    done = subprocess.run(httpd.command("-t", "-D", "DUMP_CONFIG"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          env=httpd.environment(), cwd=httpd.root)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("kind, lines, shown", LINES.values(), ids=LINES)
def test_dump(ready, kind, lines, shown):
    ready.configure(f"<LlamaAuthProvider p {kind}>\n{lines}\n</LlamaAuthProvider>\n")
    said = dump(ready)
    assert S not in said and shown + "\n" in said, said


@pytest.mark.parametrize("arguments, shown", SHARED.values(), ids=SHARED)
def test_dump_shared(ready, arguments, shown):
    ready.write("conf/seal", "0123456789abcdef0123456789abcdef\n")
    ready.configure(f"<IfModule info_module>\nLlamaAuthCacheShared {arguments}\n</IfModule>\nLlamaAuthCacheSecret file:conf/seal\n")
    said = dump(ready)
    assert S not in said and f"LlamaAuthCacheShared {shown}\n" in said, said


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_not_in_an_error(ready, text):
    ready.configure(text + "\n")
    code, said = ready.check()
    assert code != 0 and S not in said, said


def test_mod_info_after_a_restart(ready):
    ready.write("conf/seal", "0123456789abcdef0123456789abcdef\n")
    ready.configure(f"LlamaAuthCacheShared redis://:{S}@127.0.0.1:1/0\nLlamaAuthCacheSecret file:conf/seal\n"
                    f"<LlamaAuthProvider p custom>\nEndpoint {URL}?k={S}\nSecretHeader X-Key {S}\n</LlamaAuthProvider>\n"
                    '<Location "/info">\nSetHandler server-info\n</Location>\n')
    ready.expect("LA00")
    ready.start()
    for _ in range(2):
        for query in ("", "?config", "?mod_llama_auth.c"):
            page = ready.get("/info" + query).body.decode()
            assert "LlamaAuthCacheShared" in page and S not in page
        ready.graceful()
