"""RequireScope and RequireAttribute: what a line means, how sections nest, which methods are covered."""

import re

import pytest

from callers import BEARER, check, key_of, write_callers
from configs import everywhere
from conftest import every_mpm

# name: (configuration of the location {p}, {caller and method: what happens})
RULES = {
    "no rule": ("Require all granted", {"anon": True, "full": True}),
    "no rule and no Require is an error to httpd": ("", {"anon": "httpd", "full": "httpd"}),
    "one scope": ("RequireScope a", {"anon": 401, "full": True, "some": True, "bare": "scope a"}),
    "two scopes": ("RequireScope a b", {"anon": 401, "full": True, "some": "scope b", "bare": "scope a"}),
    "all, in so many words": ("RequireScope all a b", {"full": True, "some": "scope b", "bare": "scope a"}),
    "any": ("RequireScope any b a", {"anon": 401, "full": True, "some": True, "bare": "scope b, a"}),
    "any of one": ("RequireScope any b", {"full": True, "some": "scope b"}),
    "any of unknown ones": ("RequireScope any x y z", {"full": "scope x, y, z"}),
    "the first missing is named": ("RequireScope a x b y", {"full": "scope x", "some": "scope x", "bare": "scope a"}),
    "two lines": ("RequireScope a\nRequireScope b", {"full": True, "some": "scope b", "bare": "scope a"}),
    "two lines of any": ("RequireScope any a x\nRequireScope any b y", {"full": True, "some": "scope b, y", "bare": "scope a, x"}),
    "all and any": ("RequireScope a\nRequireScope any x b", {"full": True, "some": "scope x, b"}),
    "a scope named none": ("RequireScope all none", {"none": True, "full": "scope none", "anon": 401}),
    "scopes named all and any": ("RequireScope all all any", {"none": True, "full": "scope all"}),
    "any of scopes named so": ("RequireScope any none all", {"none": True, "full": "scope none, all"}),
    "case matters": ("RequireScope A", {"case": True, "full": "scope A"}),
    "a scope is compared whole": ("RequireScope b", {"case": "scope b"}),
    "URL as a scope": ("RequireScope https://example.com/read.all", {"full": "scope https://example.com/read.all"}),
    "one attribute": ("RequireAttribute roles admin", {"anon": 401, "full": True, "some": "attribute roles", "bare": "attribute roles"}),
    "any value of it": ("RequireAttribute roles x dev", {"full": True, "some": True, "bare": "attribute roles"}),
    "two attribute lines": ("RequireAttribute roles dev\nRequireAttribute teams core", {"full": True, "some": "attribute teams"}),
    "same category twice": ("RequireAttribute roles dev\nRequireAttribute roles admin", {"full": True, "some": "attribute roles"}),
    "unknown category": ("RequireAttribute groups x", {"full": "attribute groups"}),
    "category's case matters": ("RequireAttribute Roles admin", {"case": True, "full": "attribute Roles"}),
    "value's case matters": ("RequireAttribute roles admin", {"case": "attribute roles"}),
    "no prefix, no suffix": ("RequireAttribute roles dmin adminn", {"full": "attribute roles", "case": "attribute roles"}),
    "category named none": ("RequireAttribute none none", {"none": True, "full": "attribute none"}),
    "scopes as an attribute": ("RequireAttribute scopes b", {"full": True, "some": "attribute scopes"}),
    "value with a space": ('RequireAttribute scopes "a b"', {"case": True, "full": "attribute scopes"}),
    "scope and attribute": ("RequireScope a\nRequireAttribute roles admin",
                            {"full": True, "some": "attribute roles", "bare": "scope a", "anon": 401}),
    "scope is said first": ("RequireAttribute roles admin\nRequireScope b", {"some": "scope b"}),
    "none alone": ("RequireScope none\nRequireAttribute none\nRequire all granted", {"anon": True, "bare": True}),

    "under all granted": ("RequireScope a\nRequire all granted", {"anon": 401, "some": True, "bare": "scope a"}),
    "attribute under all granted": ("RequireAttribute roles admin\nRequire all granted",
                                    {"anon": 401, "full": True, "some": "attribute roles"}),
    "under an address": ("RequireScope a\nRequire ip 127.0.0.1", {"anon": 401, "some": True, "bare": "scope a"}),
    "under local": ("RequireScope a\nRequire local", {"anon": 401, "some": True, "bare": "scope a"}),
    "under any of address and user": ("RequireScope a\n<RequireAny>\nRequire ip 127.0.0.1\nRequire user nobody\n</RequireAny>",
                                      {"anon": 401, "some": True, "bare": "scope a"}),
    "under Satisfy any": ("RequireScope a\nSatisfy any\nOrder allow,deny\nAllow from all",
                          {"anon": 401, "some": True, "bare": "scope a"}),
    "attribute under Satisfy any": ("RequireAttribute roles admin\nSatisfy any\nAllow from all",
                                    {"anon": 401, "full": True, "bare": "attribute roles"}),
    "under Satisfy any with valid-user": ("RequireScope a\nSatisfy any\nAllow from all\nRequire valid-user",
                                          {"anon": 401, "some": True, "bare": "scope a"}),
    "under Satisfy any with all granted": ("RequireScope a\nSatisfy any\nAllow from all\nRequire all granted",
                                           {"anon": 401, "some": True, "bare": "scope a"}),
    "under valid-user": ("RequireScope a\nRequire valid-user", {"anon": 401, "some": True, "bare": "scope a"}),
    "Satisfy any without a rule stays httpd's": ("Satisfy any\nAllow from all\nRequire valid-user", {"anon": True, "bare": True}),

    "Limit": ("<Limit POST>\nRequireScope b\n</Limit>\nRequire all granted",
              {"anon": True, "anon POST": 401, "some POST": "scope b", "full POST": True, "anon PUT": True}),
    "Limit GET is HEAD too": ("<Limit GET>\nRequireScope b\n</Limit>\nRequire all granted",
                              {"anon": 401, "some HEAD": 403, "anon HEAD": 401, "full HEAD": True, "anon POST": True}),
    "Limit of several": ("<Limit POST DELETE>\nRequireAttribute roles admin\n</Limit>\nRequire all granted",
                         {"anon": True, "some DELETE": "attribute roles", "full POST": True, "anon PATCH": True}),
    "two Limits": ("<Limit GET>\nRequireScope a\n</Limit>\n<Limit POST>\nRequireScope b\n</Limit>\nRequire all granted",
                   {"some": True, "bare": "scope a", "some POST": "scope b", "full POST": True, "anon PUT": True}),
    "overlapping Limits": ("<Limit GET POST>\nRequireScope a\n</Limit>\n<Limit POST PUT>\nRequireScope b\n</Limit>",
                           {"some": True, "some POST": "scope b", "full POST": True, "some PUT": "scope b"}),
    "LimitExcept": ("<LimitExcept GET>\nRequireScope b\n</LimitExcept>\nRequire all granted",
                    {"anon": True, "anon HEAD": True, "anon POST": 401, "some DELETE": "scope b", "full PUT": True,
                     "anon OPTIONS": 401, "anon MADEUP": 401, "some PROPFIND": "scope b"}),
    "no Limit covers every method": ("RequireScope b", {"some MADEUP": "scope b", "anon OPTIONS": 401, "some PURGE": "scope b",
                                                        "some PROPFIND": "scope b", "some POST": "scope b", "some HEAD": 403}),
    "none for some methods": ("<Limit GET>\nRequireScope none\n</Limit>\n<LimitExcept GET>\nRequireScope b\n</LimitExcept>\nRequire all granted",
                              {"anon": True, "some POST": "scope b"}),
    "Require for another method only": ("RequireScope a\n<Limit POST>\nRequire user full\n</Limit>",
                                        {"anon": 401, "bare": "scope a", "some": True, "full POST": True, "some POST": "access"}),
    "rule and Require for other methods": ("<Limit POST>\nRequireScope a\n</Limit>\n<Limit GET>\nRequire user full\n</Limit>",
                                           {"anon POST": 401, "some POST": True, "full": True, "some": "access", "anon": 401}),

    "nested replaces": ("RequireScope b\n</Location>\n<Location {p}sub>\nRequireScope a",
                        {"some": "scope b", "some /sub": True, "bare /sub": "scope a", "anon /sub": 401}),
    "nested adds nothing": ("RequireScope b\n</Location>\n<Location {p}sub>\nOptions None", {"some /sub": "scope b"}),
    "nested none clears": ("RequireScope b\n</Location>\n<Location {p}sub>\nRequire all granted\nRequireScope none",
                           {"some": "scope b", "some /sub": True, "anon /sub": True}),
    "none of scopes leaves attributes": ("RequireScope b\nRequireAttribute roles admin\n</Location>\n<Location {p}sub>\nRequireScope none",
                                         {"some /sub": "attribute roles", "anon /sub": 401}),
    "scopes replaced, attributes kept": ("RequireScope b\nRequireAttribute roles admin\n</Location>\n<Location {p}sub>\nRequireScope a",
                                         {"some /sub": "attribute roles", "full /sub": True, "bare /sub": "scope a"}),
    "nested for one method keeps the others": (
        "RequireScope a\n</Location>\n<Location {p}sub>\n<Limit POST>\nRequireScope b\n</Limit>",
        {"bare /sub": "scope a", "some /sub": True, "some /sub POST": "scope b", "some POST": True}),
    "nested none for one method keeps the others": (
        "RequireScope a\n</Location>\n<Location {p}sub>\nRequire all granted\n<Limit GET>\nRequireScope none\n</Limit>",
        {"anon /sub": True, "anon /sub POST": 401, "bare /sub POST": "scope a"}),
    "three levels": ("RequireScope a\n</Location>\n<Location {p}sub>\nRequire all granted\nRequireScope none\n</Location>\n<Location {p}sub/sub>\nRequireScope b",
                     {"bare": "scope a", "anon /sub": True, "some /sub/sub": "scope b", "anon /sub/sub": 401}),
    "nested all granted keeps the rule": ("RequireScope b\n</Location>\n<Location {p}sub>\nRequire all granted",
                                          {"anon /sub": 401, "some /sub": "scope b", "full /sub": True}),
    "hole in the example of the contract": ("RequireScope b\nRequire valid-user\n</Location>\n<Location {p}sub>\nRequire all granted\nRequireScope none",
                                            {"anon": 401, "anon /sub": True, "anon /sub/deep": True}),
}


def cases():
    for number, (name, (_, expectations)) in enumerate(RULES.items()):
        for who, expected in expectations.items():
            yield pytest.param(number, who, expected, id=f"{name}: {who}")


def config(httpd):
    text = write_callers(httpd) + everywhere(httpd, "/r")
    for number, (lines, _) in enumerate(RULES.values()):
        path = f"/r/{number}/"
        text += f"<Location {path}>\n{BEARER}AuthzSendForbiddenOnFailure On\n{lines.replace('{p}', path)}\n</Location>\n"
    return text


class TestRules:
    modules = ("access_compat",)
    expected = (r"AH01631: user some: authorization failure", r"AH00135: Invalid method in request", r"AH01627")

    @staticmethod
    def configure(httpd):
        return config(httpd)

    @pytest.mark.parametrize("number, who, expected", cases())
    def test_rule(self, httpd, number, who, expected):
        caller, *more = who.split(" ")
        method = next((m for m in more if not m.startswith("/")), "GET")
        below = next((m for m in more if m.startswith("/")), "/x")
        response = httpd.request(method, f"/r/{number}{below}", token=key_of(caller))
        if method == "HEAD" and expected is not True:
            assert response.status == expected
        else:
            check(response, expected)

    @pytest.mark.parametrize("number", [pytest.param(number, id=name) for number, (name, (_, expectations)) in enumerate(RULES.items())
                                        if expectations.get("anon") == 401])
    def test_unknown_token_is_no_better_than_none(self, httpd, number):
        response = httpd.get(f"/r/{number}/x", token="token-of-nobody-at-all")
        assert (response.status, response.note("error"), response.message) == (401, "invalid_token", "Invalid API key")


@every_mpm
class TestEveryMpm:
    modules = ("access_compat",)
    expected = TestRules.expected

    @staticmethod
    def configure(httpd):
        return config(httpd)

    def test_all_rules_over_one_connection(self, httpd):
        wrong = []
        with httpd.connect() as connection:
            for case in cases():
                number, who, expected = case.values
                if who.split(" ")[1:] or expected == "httpd":
                    continue
                try:
                    check(connection.get(f"/r/{number}/x", token=key_of(who)), expected)
                except AssertionError as error:
                    wrong.append((case.id, error))
        assert not wrong, wrong

    def test_challenges(self, httpd):
        number = list(RULES).index("two scopes")
        missing = httpd.get(f"/r/{number}/x")
        assert missing.header("WWW-Authenticate") == 'Bearer realm="policy", scope="a b"'
        refused = httpd.get(f"/r/{number}/x", token=key_of("some"))
        challenge = refused.challenge
        assert (challenge["realm"], challenge["error"], challenge["scope"]) == ("policy", "insufficient_scope", "a b")

    def test_scopes_of_all_lines_in_the_challenge(self, httpd):
        number = list(RULES).index("all and any")
        assert httpd.get(f"/r/{number}/x").challenge["scope"] == "a x"
        refused = httpd.get(f"/r/{number}/x", token=key_of("bare"))
        assert (refused.challenge["scope"], refused.status) == ("a x", 403)

    def test_log(self, httpd):
        """A refusal names the line, what it needs and what the caller has."""
        mark = httpd.log.mark()
        number = list(RULES).index("all and any")
        httpd.get(f"/r/{number}/x", token=key_of("some"))
        line = httpd.log.await_line("LA0030", mark).text
        found = re.search(r"scope: x, b: the line at (\S+):(\d+) needs one of x, b in scopes, and the caller has a$", line)
        assert found, line
        with open(found[1], encoding="utf-8") as file:
            assert file.readlines()[int(found[2]) - 1].strip() == "RequireScope any x b"
