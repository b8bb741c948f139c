"""The custom provider when its endpoint behaves: the question asked, byte for byte of meaning, the secret that
goes with it, and where it never goes. The answers are in test_answers.py, misbehaviour in test_faults.py."""

from urllib.parse import parse_qs

import pytest

from behaviour import reply
from configs import everywhere, location, provider
from conftest import every_mpm, new_token
from errorlog import await_until

QUERIES = {
    "none": ("", {}),
    "example of the contract": ("limit=100&tag=a&tag=b", {"limit": ["100"], "tag": ["a", "b"]}),
    "order of repeated keys": ("a=3&b=x&a=1&a=2", {"a": ["3", "1", "2"], "b": ["x"]}),
    "plus is a space": ("q=one+two", {"q": ["one two"]}),
    "plus in the name": ("a+b=c", {"a b": ["c"]}),
    "encoded plus": ("q=1%2B1", {"q": ["1+1"]}),
    "encoded name": ("%61%62=1", {"ab": ["1"]}),
    "empty value": ("a=&b=1", {"b": ["1"]}),
    "no equals sign": ("a&b=1", {"b": ["1"]}),
    "empty among full": ("a=&a=1&a=", {"a": ["1"]}),
    "only empty ones": ("a=&b&=&&", {}),
    "empty pairs": ("&&a=1&&b=2&", {"a": ["1"], "b": ["2"]}),
    "empty name": ("=v", {"": ["v"]}),
    "equals sign in the value": ("a=b=c==", {"a": ["b=c=="]}),
    "semicolon is no separator": ("a=1;b=2", {"a": ["1;b=2"]}),
    "encoded separators": ("a=1%26b%3D2", {"a": ["1&b=2"]}),
    "question mark": ("a=b?c", {"a": ["b?c"]}),
    "broken escape at the end": ("a=%", {"a": ["%"]}),
    "half an escape": ("a=%4", {"a": ["%4"]}),
    "escape of no hex": ("a=%zz&b=%g1&c=%1g", {"a": ["%zz"], "b": ["%g1"], "c": ["%1g"]}),
    "escape of an escape": ("a=%2541", {"a": ["%41"]}),
    "percent percent": ("a=%%41", {"a": ["%A"]}),
    "lower-case hex": ("a=%e2%82%ac", {"a": ["€"]}),
    "euro": ("a=%E2%82%AC", {"a": ["€"]}),
    "emoji": ("a=%F0%9F%A6%99", {"a": ["🦙"]}),
    "name beyond ASCII": ("%C3%A9=1", {"é": ["1"]}),
    "raw UTF-8": ("a=é".encode(), {"a": ["é"]}),
    "raw byte that is not UTF-8": (b"a=x\xffy", {"a": ["x\ufffdy"]}),
    "encoded byte that is not UTF-8": ("a=x%FFy", {"a": ["x\ufffdy"]}),
    "start of a character": ("a=%E2%82", {"a": ["\ufffd"]}),
    "start of a character, then text": ("a=%E2%82x", {"a": ["\ufffdx"]}),
    "overlong": ("a=%C0%AF", {"a": ["\ufffd\ufffd"]}),
    "surrogate": ("a=%ED%A0%80", {"a": ["\ufffd\ufffd\ufffd"]}),
    "beyond Unicode": ("a=%F4%90%80%80", {"a": ["\ufffd" * 4]}),
    "name not UTF-8": ("%FF=1&%FF=2", {"\ufffd": ["1", "2"]}),
    "names equal after repair": ("%FF=1&%FE=2", {"\ufffd": ["1", "2"]}),
    "encoded NUL": ("a=x%00y", {"a": ["x\0y"]}),
    "encoded newline": ("a=x%0D%0Ay", {"a": ["x\r\ny"]}),
    "JSON's own characters": ("a=%22%5C%2F%7B%7D%5B%5D", {"a": ['"\\/{}[]']}),
    "JSON in a name": ('%22%7D%2C%22x=1', {'"},"x': ["1"]}),
    "members of the question as names": ("api_key=x&request=y&__proto__=z",
                                         {"api_key": ["x"], "request": ["y"], "__proto__": ["z"]}),
    "1,000 names": ("&".join(f"p{n}=1" for n in range(1000)), {f"p{n}": ["1"] for n in range(1000)}),
    "1,000 values of one name": ("&".join(f"p={n}" for n in range(1000)), {"p": [str(n) for n in range(1000)]}),
    "1,000 broken escapes": ("a=" + "%" * 1000, {"a": ["%" * 1000]}),
    "value of 8,000 bytes": ("a=" + "x" * 8000, {"a": ["x" * 8000]}),
}

PATHS = {
    "plain": ("/all/v1/models", "/all/v1/models"),
    "encoded space": ("/all/a%20b", "/all/a b"),
    "plus stays": ("/all/a+b", "/all/a+b"),
    "encoded letter": ("/all/%61", "/all/a"),
    "UTF-8": ("/all/%E2%82%AC", "/all/€"),
    "not UTF-8": ("/all/%FFx", "/all/\ufffdx"),
    "question mark encoded": ("/all/a%3Fb", "/all/a?b"),
    "quotes and backslash": ("/all/%22%5C%22", '/all/"\\"'),
    "escape of an escape": ("/all/%2541", "/all/%41"),
    "dot segments": ("/all/x/../y/./z", "/all/y/z"),
    "parameter": ("/all/x;v=1", "/all/x;v=1"),
    "trailing slash": ("/all/x/", "/all/x/"),
    "absolute form": ("http://127.0.0.1/all/abs", "/all/abs"),
    "control character": ("/all/a%01%1Fb", "/all/a\x01\x1fb"),
}

FIELDS = {
    "example of the contract": ([("User-Agent", "curl/8.0"), ("Content-Type", "application/json")],
                                {"user-agent": "curl/8.0", "content-type": "application/json"}),
    "names in lower case": ([("X-MIXED-Case", "Value")], {"x-mixed-case": "Value"}),
    "empty value": ([("X-Empty", "")], {"x-empty": ""}),
    "repeated": ([("X-Twice", "a"), ("x-twice", "b")], {"x-twice": "a, b"}),
    "credentials left out": ([("Proxy-Authorization", "Basic eDp5"), ("X-Stays", "1")], {"x-stays": "1"}),
    "cookies stay": ([("Cookie", "a=b; c=d")], {"cookie": "a=b; c=d"}),
    "not UTF-8": ([("X-Bytes", b"a\xffb")], {"x-bytes": "a\ufffdb"}),
    "UTF-8": ([("X-Text", "naïve €")], {"x-text": "naïve €"}),
    "quotes and backslash": ([("X-Text", '"\\"')], {"x-text": '"\\"'}),
    "tab inside": ([("X-Tab", "a\tb")], {"x-tab": "a\tb"}),
    "8 KB": ([("X-Long", "x" * 8150)], {"x-long": "x" * 8150}),
    "90 fields": ([(f"X-N{n}", str(n)) for n in range(90)], {f"x-n{n}": str(n) for n in range(90)}),
}


@every_mpm
class TestQuestion:
    expected = (r"AH00135: Invalid method in request MADEUP",)

    @staticmethod
    def configure(httpd):
        main = httpd.endpoint()
        return ("LimitRequestFieldSize 20000\n" + provider("all", main.url("/check?v=1")) + location("/all", "all") + everywhere(httpd, "/all") +
                provider("none", main.url("/none"), "SendHeaders none") + location("/none", "none") +
                everywhere(httpd, "/none") +
                provider("some", main.url("/some"), "SendHeaders x-tenant User-Agent X-Absent") +
                location("/some", "some") + everywhere(httpd, "/some"))

    def ask(self, httpd, path, **arguments):
        token = new_token()
        response = httpd.get(path, token=token, **arguments)
        assert (response.status, response.body) == (200, b"ok\n"), response
        return httpd.endpoint().call(token)

    def test_call(self, httpd):
        call = self.ask(httpd, "/all/x")
        assert (call.method, call.target, call.version) == ("POST", "/check?v=1", "HTTP/1.1")
        assert call.header("Content-Type") == "application/json"
        assert call.header("Host") == f"127.0.0.1:{httpd.endpoint().port}"
        for name in ("Authorization", "Proxy-Authorization", "Cookie", "Expect", "Accept-Encoding", "Transfer-Encoding"):
            assert call.header(name) is None
        assert call.body.isascii()

    def test_shape(self, httpd):
        token = new_token()
        httpd.get("/all/x", token=token)
        question = httpd.endpoint().call(token).json
        assert question == {"api_key": token, "request": {"path": "/all/x", "headers": {"host": "127.0.0.1"},
                                                          "params": {}}}

    @pytest.mark.parametrize("query, expected", QUERIES.values(), ids=QUERIES.keys())
    def test_params(self, httpd, query, expected):
        raw = query if isinstance(query, bytes) else query.encode()
        request = self.ask(httpd, b"/all/q?" + raw).json["request"]
        assert request["params"] == expected
        assert list(request["params"]) == list(expected)
        assert request["path"] == "/all/q"

    @pytest.mark.parametrize("path, expected", PATHS.values(), ids=PATHS.keys())
    def test_path(self, httpd, path, expected):
        assert self.ask(httpd, path).json["request"]["path"] == expected

    @pytest.mark.parametrize("fields, expected", FIELDS.values(), ids=FIELDS.keys())
    def test_headers(self, httpd, fields, expected):
        request = self.ask(httpd, "/all/x", headers=fields).json["request"]
        assert request["headers"] == {"host": "127.0.0.1", **expected}

    def test_send_none(self, httpd):
        request = self.ask(httpd, "/none/x?a=1", headers=[("X-Tenant", "t")]).json["request"]
        assert request == {"path": "/none/x", "headers": {}, "params": {"a": ["1"]}}

    def test_send_named(self, httpd):
        fields = [("X-Tenant", "t"), ("USER-AGENT", "ua"), ("X-Other", "no"), ("X-Tenant-Id", "no")]
        request = self.ask(httpd, "/some/x", headers=fields).json["request"]
        assert request["headers"] == {"x-tenant": "t", "user-agent": "ua"}

    def test_token_of_every_character(self, httpd):
        token = new_token() + "".join(chr(c) for c in range(0x21, 0x7f) if chr(c) != ",")
        assert httpd.get("/all/x", token=token).status == 200
        assert httpd.endpoint().call(token).json["api_key"] == token

    def test_token_of_16384_characters(self, httpd):
        token = new_token().ljust(16384, "y")
        assert httpd.get("/all/x", token=token).status == 200
        assert httpd.endpoint().call(token).json["api_key"] == token

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "MADEUP"])
    def test_every_method_asks(self, httpd, method):
        token = new_token()
        httpd.request(method, "/all/x", token=token)
        assert httpd.endpoint().call(token).method == "POST"

    def test_body_of_the_request_stays_here(self, httpd):
        token = new_token()
        assert httpd.request("POST", "/all/x", token=token, body=b"private=1",
                             headers=[("Content-Type", "application/x-www-form-urlencoded")]).status in (200, 405)
        assert b"private" not in httpd.endpoint().call(token).body

    @pytest.mark.parametrize("headers", [[], [("Authorization", "Basic eDp5")], [("Authorization", "Bearer a,b")]],
                             ids=["no token", "Basic", "comma"])
    def test_nothing_is_asked_without_a_token(self, httpd, headers):
        before = len(httpd.endpoint().calls)
        assert httpd.get("/all/x", headers=headers).status == 401
        assert len(httpd.endpoint().calls) == before

    def test_hint_names_the_endpoint(self, httpd):
        assert httpd.get("/all/x").message == (
            "Authentication required. Please provide your API key as a Bearer token "
            f"(validated by 127.0.0.1:{httpd.endpoint().port})")


def test_the_table_of_queries_is_pythons_reading():
    """Llama Stack reads queries with urllib: our table must not have drifted from it."""
    for name, (query, expected) in QUERIES.items():
        raw = query if isinstance(query, bytes) else query.encode()
        text = raw.decode("latin-1")
        read = parse_qs(text, encoding="utf-8", errors="replace", separator="&", max_num_fields=None)
        if raw.isascii():
            assert read == expected, name


class TestRedirect:
    expected = (r"provider ep is unavailable",)

    @staticmethod
    def configure(httpd):
        httpd.endpoint("elsewhere")
        return provider("ep", httpd.endpoint().url()) + location("/", "ep")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_is_not_followed(self, httpd, status):
        elsewhere = httpd.endpoint("elsewhere")
        token = httpd.endpoint().on(new_token(), reply(status, b"", [("Location", elsewhere.url("/steal"))]))
        response = httpd.get("/index.html", token=token)
        assert (response.status, response.message) == (401, f"Authentication failed: {status}")
        assert response.header("Location") is None
        assert (elsewhere.connections, elsewhere.calls) == (0, [])
        httpd.endpoint().call(token)

    def test_cookies_are_not_kept(self, httpd):
        first = httpd.endpoint().on(new_token(), reply(200, {"principal": "a"}, [("Set-Cookie", "s=1; Path=/")]))
        assert httpd.get("/index.html", token=first).status == 200
        for _ in range(20):
            token = new_token()
            assert httpd.get("/index.html", token=token).status == 200
            assert httpd.endpoint().call(token).header("Cookie") is None


class TestSecretHeader:
    processes = 1  # each process looks at the file for itself, within a second
    env = {"LA_TEST_SECRET": "secret-from-the-environment"}

    @staticmethod
    def configure(httpd):
        main = httpd.endpoint()
        httpd.write("conf/secret", "secret-from-a-file\n")
        httpd.secrets.update([b"secret-from-a-file", b"secret-from-the-environment", b"secret-as-a-literal",
                              b"secret-rotated"])
        return "".join(provider(name, main.url("/" + name), f"SecretHeader {header} {value}") + location("/" + name, name) +
                       everywhere(httpd, "/" + name) for name, header, value in (
                           ("literal", "X-Service-Key", "secret-as-a-literal"),
                           ("quoted", "X-Service-Key", '"secret as a literal with spaces"'),
                           ("bearer", "Authorization", '"Bearer secret-as-a-literal"'),
                           ("environment", "X-Service-Key", "env:LA_TEST_SECRET"),
                           ("file", "X-Service-Key", "file:conf/secret")))

    @pytest.mark.parametrize("name, header, value", [
        ("literal", "X-Service-Key", "secret-as-a-literal"), ("quoted", "X-Service-Key", "secret as a literal with spaces"),
        ("bearer", "Authorization", "Bearer secret-as-a-literal"),
        ("environment", "X-Service-Key", "secret-from-the-environment"), ("file", "X-Service-Key", "secret-from-a-file")])
    def test_is_sent(self, httpd, token, name, header, value):
        assert httpd.get(f"/{name}/x", token=token).status == 200
        call = httpd.endpoint().call(token)
        assert call.header(header) == value
        assert header.lower() not in call.json["request"]["headers"]

    def test_client_cannot_speak_in_its_name(self, httpd, token):
        assert httpd.get("/literal/x", token=token, headers=[("X-Service-Key", "forged")]).status == 200
        call = httpd.endpoint().call(token)
        assert call.all("X-Service-Key") == ["secret-as-a-literal"]

    def test_file_is_rotated(self, httpd):
        def sent():
            token = new_token()
            assert httpd.get("/file/x", token=token).status == 200
            return httpd.endpoint().call(token).header("X-Service-Key")
        assert sent() == "secret-from-a-file"
        httpd.write("conf/secret", "secret-rotated")
        await_until(lambda: all(sent() == "secret-rotated" for _ in range(10)), "the new secret")

    def test_broken_rotation_keeps_the_old(self, httpd):
        def sent():
            token = new_token()
            assert httpd.get("/file/x", token=token).status == 200
            return httpd.endpoint().call(token).header("X-Service-Key")
        httpd.expect(r"\[llama_auth:error\].*conf/secret")
        old, mark = sent(), httpd.log.mark()
        httpd.write("conf/secret", "broken\nsecret-with-a-line-break")
        await_until(lambda: sent() == old and httpd.log.since(mark, "llama_auth", "error"), "the error")
        assert sent() == old
