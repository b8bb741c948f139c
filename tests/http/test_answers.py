"""The custom provider's verdict on every row of the answer table, and the claims in an answer (spec section 4)."""

import json

import pytest

from behaviour import accept, reply
from configs import everywhere, location, provider
from conftest import new_token
from server import client_id

MALFORMED = "Invalid authentication response format"

ACCEPTED = {
    "principal and attributes": ({"principal": "alice", "attributes": {"roles": ["admin"]}}, "alice", {"roles": ["admin"]}),
    "access_attributes": ({"principal": "alice", "access_attributes": {"roles": ["a", "b"]}}, "alice",
                          {"roles": ["a", "b"]}),
    "one string for a list": ({"principal": "alice", "attributes": {"roles": "admin"}}, "alice", {"roles": ["admin"]}),
    "no attributes": ({"principal": "alice"}, "alice", {}),
    "empty attributes": ({"principal": "alice", "attributes": {}}, "alice", {}),
    "empty category": ({"principal": "alice", "attributes": {"roles": []}}, "alice", {"roles": []}),
    "nothing at all": ({}, None, {}),
    "attributes only": ({"attributes": {"teams": ["x"]}}, None, {"teams": ["x"]}),
    "unknown members": ({"principal": "alice", "more": {"deep": [1, None, True]}, "n": 1e9}, "alice", {}),
    "principal with spaces": ({"principal": "Alice B. Cooper"}, "Alice B. Cooper", {}),
    "principal beyond ASCII": ({"principal": "Ålice 🦙"}, "Ålice 🦙", {}),
    "principal with quotes": ({"principal": 'a"b\\c'}, 'a"b\\c', {}),
    "value repeated": ({"principal": "a", "attributes": {"roles": ["x", "y", "x"]}}, "a", {"roles": ["x", "y"]}),
    "value beyond ASCII": ({"principal": "a", "attributes": {"roles": ["naïve", "🦙"]}}, "a", {"roles": ["naïve", "🦙"]}),
    "value with newline": ({"principal": "a", "attributes": {"roles": ["x\r\nX-Evil: 1"]}}, "a",
                           {"roles": ["x\r\nX-Evil: 1"]}),
    "value with NUL": ({"principal": "a", "attributes": {"roles": ["x\0y"]}}, "a", {"roles": ["x\0y"]}),
    "a thousand values": ({"principal": "a", "attributes": {"n": [str(n) for n in range(1000)]}}, "a",
                          {"n": [str(n) for n in range(1000)]}),
    "expires_in": ({"principal": "a", "expires_in": 60}, "a", {}),
    "thirty levels": ({"principal": "a", "x": json.loads("[" * 30 + "]" * 30)}, "a", {}),
}

SPELLINGS = {
    "spaces around": b' \r\n\t {"principal": "alice"} \n ',
    "escaped letters": b'{"princip\\u0061l": "\\u0061lice"}',
    "half a surrogate pair": b'{"principal": "alice", "x": "\\ud800"}',
    "surrogate pair": b'{"principal": "alice", "x": "\\ud83e\\udd99"}',
    "UTF-8 in a value": '{"principal": "alice", "x": "🦙"}'.encode(),
    "numbers of every form": b'{"principal": "alice", "n": [0, -0, 1.5, 1e5, 1E-5, -12.5e+10, 123456789012345678901234567890]}',
}

WRONG = {
    "text": b"welcome", "nothing": b"", "white space": b"  \n", "a list": b"[]", "a string": b'"alice"', "a number": b"7",
    "null": b"null", "true": b"true", "HTML": b"<html><body>Login</body></html>",
    "unfinished": b'{"principal": "alice"', "unfinished string": b'{"principal": "alice',
    "something after": b'{"principal": "alice"} x', "a second object": b'{"principal": "alice"}{}',
    "NUL after": b'{"principal": "alice"}\0', "NUL and more": b'{"principal": "alice"}\0{"principal": "bob"}',
    "byte order mark": b'\xef\xbb\xbf{"principal": "alice"}', "UTF-16": '{"principal": "alice"}'.encode("utf-16"),
    "single quotes": b"{'principal': 'alice'}", "no quotes": b"{principal: alice}", "trailing comma": b'{"principal": "alice",}',
    "comment": b'{"principal": "alice" /* x */}', "NaN": b'{"principal": "alice", "x": NaN}',
    "Infinity": b'{"principal": "alice", "x": Infinity}', "leading zero": b'{"principal": "alice", "x": 01}',
    "plus sign": b'{"principal": "alice", "x": +1}', "hex": b'{"principal": "alice", "x": 0x10}',
    "True": b'{"principal": "alice", "x": True}',
    "duplicate member": b'{"principal": "alice", "principal": "bob"}',
    "duplicate member deep inside": b'{"principal": "alice", "attributes": {"roles": ["a"], "roles": ["b"]}}',
    "duplicate by escape": b'{"principal": "alice", "princip\\u0061l": "bob"}',
    "raw newline in a string": b'{"principal": "alice", "x": "a\nb"}', "raw NUL in a string": b'{"principal": "ali\0ce"}',
    "not UTF-8": b'{"principal": "al\xffice"}', "overlong UTF-8": b'{"principal": "alice", "x": "\xc0\xaf"}',
    "raw surrogate": b'{"principal": "alice", "x": "\xed\xa0\x80"}', "unknown escape": b'{"principal": "alice", "x": "\\x41"}',
    "short escape": b'{"principal": "alice", "x": "\\u12"}',
    "10,000 levels of lists": b'{"principal": "alice", "x": ' + b"[" * 10000 + b"]" * 10000 + b"}",
    "10,000 levels of objects": b'{"a": ' * 10000 + b"1" + b"}" * 10000,
    "10,000 levels unfinished": b"[" * 10000,
}

# Who the caller is, but not in a way that can be used.
UNUSABLE = {
    "principal true": b'{"principal": true}', "principal list": b'{"principal": ["alice"]}',
    "principal object": b'{"principal": {"name": "alice"}}', "principal empty": b'{"principal": ""}',
    "principal beyond 64 bits": b'{"principal": 99999999999999999999}',
    "principal with a blank before it": b'{"principal": " alice"}', "principal with a blank behind it": b'{"principal": "alice "}',
    "principal with newline": b'{"principal": "alice\\nbob"}', "principal with NUL": b'{"principal": "alice\\u0000"}',
    "principal with DEL": b'{"principal": "alice\\u007f"}', "principal with C1 control": b'{"principal": "alice\\u0085"}',
    "attributes a list": b'{"principal": "alice", "attributes": ["admin"]}',
    "attributes a string": b'{"principal": "alice", "attributes": "admin"}',
    "attributes a number": b'{"principal": "alice", "attributes": 7}',
    "access_attributes a list": b'{"principal": "alice", "access_attributes": ["admin"]}',
    "category an object": b'{"principal": "alice", "attributes": {"roles": {"admin": true}}}',
    "value a list": b'{"principal": "alice", "attributes": {"roles": [["a"]]}}',
    "value an object": b'{"principal": "alice", "attributes": {"roles": [{}]}}',
    "expires_in a string": b'{"principal": "alice", "expires_in": "60"}',
}

REJECTIONS = [400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 415, 418, 422, 423, 424, 426, 428, 431, 451, 499]
OUTAGES = [201, 202, 203, 204, 206, 207, 226, 300, 301, 302, 303, 304, 307, 308, 399, 408, 425, 429, 500, 501, 502, 503,
           504, 507, 511, 599]


class TestAnswer:
    expected = (r"\[llama_auth:error\].*provider ep is unavailable", r"LA0110: .*cannot be used")

    @staticmethod
    def configure(httpd):
        return provider("ep", httpd.endpoint().url()) + location("/", "ep")

    def answer(self, httpd, behaviour):
        token = httpd.endpoint().on(new_token(), behaviour)
        response = httpd.get("/index.html", token=token)
        assert response.note("client_id") == client_id(token)
        httpd.endpoint().call(token)
        return token, response

    @pytest.mark.parametrize("body, principal, attributes", ACCEPTED.values(), ids=ACCEPTED.keys())
    def test_accepted(self, httpd, body, principal, attributes):
        token, response = self.answer(httpd, reply(200, body))
        assert (response.status, response.body) == (200, b"hello\n"), response
        assert response.note("principal") == response.note("user") == (principal or "token:" + client_id(token)[:16])
        assert json.loads(response.note("attributes") or "{}") == attributes
        assert response.note("provider") == "ep"
        assert response.header("X-Evil") is None

    @pytest.mark.parametrize("body", SPELLINGS.values(), ids=SPELLINGS.keys())
    def test_spelling(self, httpd, body):
        assert self.answer(httpd, reply(200, body))[1].note("user") == "alice"

    @pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json; charset=utf-8", "x"])
    def test_content_type_does_not_matter(self, httpd, kind):
        assert self.answer(httpd, reply(200, {"principal": "a"}, [("Content-Type", kind)]))[1].status == 200

    def test_message(self, httpd):
        _, response = self.answer(httpd, accept("alice", message="Welcome\r\nback"))
        assert response.status == 200
        assert response.note("message") == "Welcome  back"

    def test_notes_of_attributes(self, httpd):
        _, response = self.answer(httpd, accept("a", {"roles": ["a,b", "c%", "x\r\ny", "é"], "teams": ["t"]}))
        assert response.note("attribute.roles") == "a%2Cb,c%25,x%0D%0Ay,%C3%A9"
        assert response.note("attribute.teams") == "t"

    @pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
    def test_malformed(self, httpd, body):
        _, response = self.answer(httpd, reply(200, body))
        assert (response.status, response.message) == (401, MALFORMED)
        assert response.note("error") == "provider_error"
        assert response.challenge == {"realm": "custom"}
        assert response.note("user") is None and response.note("principal") is None

    @pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
    def test_unusable(self, httpd, body):
        """A rejection, which is kept like any other."""
        token, response = self.answer(httpd, reply(200, body))
        assert (response.status, response.message, response.note("cache")) == (401, MALFORMED, "miss")
        assert response.note("error") == "invalid_token"
        assert response.challenge == {"realm": "custom", "error": "invalid_token", "error_description": MALFORMED}
        assert response.note("user") is None and response.note("principal") is None
        again = httpd.get("/index.html", token=token)
        assert (again.status, again.message, again.note("cache")) == (401, MALFORMED, "negative")
        httpd.endpoint().call(token)

    @pytest.mark.parametrize("status", REJECTIONS)
    def test_rejected(self, httpd, status):
        _, response = self.answer(httpd, reply(status, {"principal": "alice"}))
        message = f"Authentication failed: {status}"
        assert (response.status, response.message) == (401, message)
        assert response.note("error") == "invalid_token"
        assert response.challenge == {"realm": "custom", "error": "invalid_token", "error_description": message}

    @pytest.mark.parametrize("status", OUTAGES)
    def test_unavailable(self, httpd, status):
        body = b"" if status in (204, 304) else {"principal": "alice"}
        _, response = self.answer(httpd, reply(status, body))
        assert (response.status, response.message) == (401, f"Authentication failed: {status}")
        assert response.note("error") == "provider_error"
        assert response.challenge == {"realm": "custom"}

    @pytest.mark.parametrize("field", ["Basic realm=x", "Bearer", "NTLM", "Negotiate"])
    def test_a_challenge_of_the_endpoint_stays_there(self, httpd, field):
        _, response = self.answer(httpd, reply(401, {}, [("WWW-Authenticate", field), ("Set-Cookie", "a=b")]))
        assert response.message == "Authentication failed: 401"
        assert response.challenge["realm"] == "custom"
        assert response.header("Set-Cookie") is None


class TestClaims:
    """Claim and PrincipalClaim over a custom endpoint's answer."""
    expected = (r"LA0110: .*cannot be used",)
    cases = {
        "defaults": ([], {"principal": "alice", "attributes": {"roles": ["x"]}}, "alice", {"roles": ["x"]}),
        "a member": (["Claim groups teams"], {"principal": "alice", "groups": ["g1", "g2"]}, "alice", {"teams": ["g1", "g2"]}),
        "replaces the defaults": (["Claim groups teams"], {"principal": "alice", "groups": "g", "attributes": {"roles": ["x"]}},
                                  "alice", {"teams": ["g"]}),
        "an attribute by its name": (["Claim roles groups"], {"principal": "alice", "attributes": {"roles": ["x", "y"]}}, "alice",
                                     {"groups": ["x", "y"]}),
        "a string is one value": (["Claim name roles"], {"principal": "alice", "name": "eve admin"}, "alice", {"roles": ["eve admin"]}),
        "split": (["Claim scope scopes split"], {"principal": "alice", "scope": " a  b\tc "}, "alice",
                                    {"scopes": ["a", "b", "c"]}),
        "list keeps spaces": (["Claim scope scopes"], {"principal": "alice", "scope": ["a b", "c"]}, "alice",
                              {"scopes": ["a b", "c"]}),
        "split in a list": (["Claim scp scopes split"], {"scp": ["a b", "c"], "principal": "alice"}, "alice", {"scopes": ["a", "b", "c"]}),
        "keys": (["Claim access roles keys"], {"principal": "alice", "access": {"a.b": {}, "c": 1, "d": None}}, "alice",
                 {"roles": ["a.b", "c"]}),
        "the longest name of a path": (["Claim resource_access.my.client.roles roles"],
                                       {"principal": "alice", "resource_access": {"my.client": {"roles": ["x"]}}}, "alice", {"roles": ["x"]}),
        "an escaped dot": (["Claim a\\.b roles"], {"principal": "alice", "a": {"b": "path"}, "a.b": "name"}, "alice", {"roles": ["name"]}),
        "null is absent": (["Claim a.b roles"], {"principal": "alice", "a.b": None, "a": {"b": "path"}}, "alice", {"roles": ["path"]}),
        "numbers and booleans": (["Claim ids ids"], {"principal": "alice", "ids": [1, True, "x", None, [1], {"a": 1}]}, "alice",
                                 {"ids": ["1", "true", "x"]}),
        "dotted path": (["Claim realm.access.roles roles"],
                        {"principal": "alice", "realm": {"access": {"roles": ["deep"]}}}, "alice", {"roles": ["deep"]}),
        "literal name before path": (["Claim a.b roles"], {"principal": "alice", "a.b": "literal", "a": {"b": "path"}}, "alice",
                                     {"roles": ["literal"]}),
        "accumulate without repeats": (["Claim one all", "Claim two all"],
                                       {"principal": "alice", "one": ["x", "y"], "two": ["y", "z"]}, "alice",
                                       {"all": ["x", "y", "z"]}),
        "absent claim": (["Claim nothing roles"], {"principal": "alice"}, "alice", {}),
        "principal from elsewhere": (["PrincipalClaim sub"], {"principal": "alice", "sub": "subject"}, "subject", {}),
        "first that is present": (["PrincipalClaim upn email sub"], {"email": "a@b", "sub": "subject"}, "a@b", {}),
        "principal from a path": (["PrincipalClaim user.name"], {"user": {"name": "nested"}}, "nested", {}),
        "principal is a number": (["PrincipalClaim sub"], {"sub": 7, "principal": "alice"}, "7", {}),
        "first that is not null": (["PrincipalClaim upn sub"], {"upn": None, "sub": "subject"}, "subject", {}),
        "first present is no string": (["PrincipalClaim uid sub"], {"uid": [7], "sub": "subject"}, None, None),
        "principal empty": (["PrincipalClaim sub"], {"sub": ""}, None, None),
    }

    @classmethod
    def configure(cls, httpd):
        text = ""
        for number, (options, _, _, _) in enumerate(cls.cases.values()):
            text += provider(f"p{number}", httpd.endpoint().url(), *options) + location(f"/p{number}/", f"p{number}")
            text += everywhere(httpd, f"/p{number}")
        return text

    @pytest.mark.parametrize("name", cases)
    def test_mapping(self, httpd, name):
        number = list(self.cases).index(name)
        _, body, principal, attributes = self.cases[name]
        token = httpd.endpoint().on(new_token(), reply(200, body))
        response = httpd.get(f"/p{number}/x", token=token)
        if principal is None:
            assert (response.status, response.message, response.note("error")) == (401, MALFORMED, "invalid_token")
        else:
            assert (response.status, response.note("user")) == (200, principal)
            assert json.loads(response.note("attributes") or "{}") == attributes
