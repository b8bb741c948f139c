"""What `httpd -t` finds before the first request: warnings of risky settings (issue 6), each with a neighbour that is fine."""

import pytest

CUSTOM = "<LlamaAuthProvider p custom>\nEndpoint {}\n</LlamaAuthProvider>\n"
JWT = "<LlamaAuthProvider p jwt>\nJwksUri https://idp.example/jwks\n{}\n</LlamaAuthProvider>\n"
USE = '<LlamaAuthProvider p custom>\nEndpoint https://a.example/\n</LlamaAuthProvider>\n{}'
SECTION = "<Location />\nAuthType Bearer\nAuthName x\nLlamaAuthUse p\n{}\n</Location>\n"

CASES = [
    ("plain http to another machine", CUSTOM.format("http://auth.example/x"), "LA0006: provider p: Endpoint is plain http"),
    ("plain http to an address", CUSTOM.format("http://10.0.0.1:80/"), "LA0006"),
    ("plain http to something that begins like loopback", CUSTOM.format("http://127.0.0.1.evil.example/"), "LA0006"),
    ("plain http to localhost.example", CUSTOM.format("http://localhost.example/"), "LA0006"),
    ("plain http to loopback", CUSTOM.format("http://127.0.0.1:8080/"), None),
    ("plain http to loopback, IPv6", CUSTOM.format("http://[::1]:8080/"), None),
    ("plain http to localhost", CUSTOM.format("http://localhost/x"), None),
    ("https", CUSTOM.format("https://auth.example/"), None),
    ("plain http of a key set", "<LlamaAuthProvider p jwt>\nJwksUri http://idp.example/jwks\n</LlamaAuthProvider>\n", "LA0006"),
    ("TLSVerify off", CUSTOM.format("https://auth.example/\nTLSVerify off"), "LA0001"),
    ("jwt without audience", JWT.format("Audience none"), "LA0071"),
    ("jwt with the default audience", JWT.format(""), None),
    ("no Require", USE.format(SECTION.format("")), "LA0046: "),
    ("Require all granted alone", USE.format(SECTION.format("Require all granted")), "LA0046"),
    ("RequireScope none alone", USE.format(SECTION.format("RequireScope none")), "LA0046"),
    ("Require valid-user", USE.format(SECTION.format("Require valid-user")), None),
    ("RequireScope", USE.format(SECTION.format("Require all granted\nRequireScope a")), None),
    ("a Require inside", USE.format(SECTION.format("<RequireAny>\nRequire valid-user\n</RequireAny>")), None),
    ("a Require for some methods", USE.format(SECTION.format("<Limit POST>\nRequire valid-user\n</Limit>")), None),
    ("metadata", USE.format(SECTION.format("SetHandler llama-auth-metadata\nLlamaAuthResource https://a.example/mcp\n"
                                           "Require all granted")), None),
]


@pytest.mark.parametrize("text, warning", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_configtest(bare, text, warning):
    bare.configure(text)
    code, said = bare.check()
    assert code == 0, said
    assert (warning in said) if warning else ("LA00" not in said), said


def test_where_a_require_is_missing(bare):
    bare.configure(USE.format(SECTION.format("")))
    assert "conf/test.conf:7: LlamaAuthUse" in bare.check()[1]
