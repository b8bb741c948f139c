"""What `httpd -t` finds before the first request: warnings of risky settings (issue 6), each with a neighbour that is fine."""

import re

import pytest

CUSTOM = "<LlamaAuthProvider p custom>\nEndpoint {}\n</LlamaAuthProvider>\n"
JWT = "<LlamaAuthProvider p jwt>\nJwksUri https://idp.example/jwks\n{}\n</LlamaAuthProvider>\n"
USE = '<LlamaAuthProvider p custom>\nEndpoint https://a.example/\n</LlamaAuthProvider>\n{}'
SECTION = "<Location />\nAuthType Bearer\nAuthName x\nLlamaAuthUse p\n{}\n</Location>\n"
METADATA = SECTION.format("SetHandler llama-auth-metadata\nLlamaAuthResource https://a.example/mcp\nRequire all granted")
RESOURCE = SECTION.format("LlamaAuthResource https://a.example/mcp\nLlamaAuthForwardToken off\nRequire valid-user")
KUBERNETES = "<LlamaAuthProvider p kubernetes>\nApiServer https://k.example\nReviewerToken t\n{}</LlamaAuthProvider>\n"
CLIENT = "<LlamaAuthProvider p introspection>\nEndpoint https://i.example/\nClientAuth none\n</LlamaAuthProvider>\n"
ISSUER = "<LlamaAuthProvider p jwt>\nIssuer https://idp.example\n</LlamaAuthProvider>\n"

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
    ("certificates without TLS", JWT.format("Binding mtls") + SECTION.format("Require valid-user"),
     "LA0046: .*LlamaAuthUse of provider p, which has Binding mtls, and no mod_ssl"),
    ("certificates without TLS for metadata", JWT.format("Binding mtls") + METADATA.replace(
        "Require", "LlamaAuthResourceServer https://idp.example\nRequire"), None),
    ("proofs without TLS", JWT.format("Binding dpop") + SECTION.format("Require valid-user"), None),
    ("proofs, and tokens from elsewhere", JWT.format("Binding dpop") + SECTION.format("LlamaAuthTokenSource header:x-api-key\nRequire valid-user"),
     "LA0046: .*provider p, which has Binding dpop beside a LlamaAuthTokenSource without Authorization"),
    ("proofs, and tokens from elsewhere too", JWT.format("Binding dpop") + SECTION.format(
        "LlamaAuthTokenSource header:x-api-key authorization\nRequire valid-user"), None),
    ("tokens that may be bound, from elsewhere", JWT.format("Binding require") + SECTION.format(
        "LlamaAuthTokenSource header:x-api-key\nRequire valid-user"), None),
    ("no Require", USE.format(SECTION.format("")), "LA0046: "),
    ("Require all granted alone", USE.format(SECTION.format("Require all granted")), "LA0046"),
    ("RequireScope none alone", USE.format(SECTION.format("RequireScope none")), "LA0046"),
    ("Require valid-user", USE.format(SECTION.format("Require valid-user")), None),
    ("RequireScope", USE.format(SECTION.format("Require all granted\nRequireScope a")), None),
    ("RequireModel", USE.format(SECTION.format("Require all granted\nRequireModel a")), None),
    ("RequireModel none alone", USE.format(SECTION.format("RequireModel none")), "LA0046"),
    ("LlamaAuthMcpScope", USE.format(SECTION.format("LlamaAuthMcpScope tools/call a")), None),
    ("RequireMcp and no provider", "<Location />\nRequireMcp a/b\n</Location>\n", "LA0046: .*RequireMcp, and LlamaAuthUse nowhere"),
    ("a Require inside", USE.format(SECTION.format("<RequireAny>\nRequire valid-user\n</RequireAny>")), None),
    ("a Require for some methods", USE.format(SECTION.format("<Limit POST>\nRequire valid-user\n</Limit>")), None),
    ("a Require for get", USE.format(SECTION.format("<Limit get>\nRequire valid-user\n</Limit>")),
     "LA0046: .*test.conf:8: <Limit get>: methods are written in capitals"),
    ("a Require for GET,POST", USE.format(SECTION.format("<LimitExcept GET,POST>\nRequire valid-user\n</LimitExcept>")),
     "LA0046: .*test.conf:8: <LimitExcept GET,POST>: httpd takes this for the name of one method"),
    ("metadata", ISSUER + METADATA, None),
    ("metadata with a server", USE.format(METADATA.replace("Require", "LlamaAuthResourceServer https://idp.example\nRequire")), None),
    ("metadata without a provider", METADATA.replace("LlamaAuthUse p\n", ""), "LlamaAuthResource beside providers without an Issuer"),
    ("metadata without an issuer", USE.format(METADATA), "LA0046: .*LlamaAuthResource beside providers without an Issuer"),
    ("a resource", ISSUER + RESOURCE, None),
    ("a resource without an issuer", USE.format(RESOURCE), "LA0046: .*test.conf:8: LlamaAuthResource beside providers without"),
    ("a resource whose server stands in a section above", CLIENT + "<Location />\nLlamaAuthResourceServer https://b.example\n</Location>\n" +
     RESOURCE, None),
    ("a resource of no audience", USE.format(RESOURCE), "test.conf:8: LlamaAuthResource beside provider p, of which no Audience is known"),
    ("a resource and kubernetes", KUBERNETES.format("") + RESOURCE, "provider p, of which no Audience is known"),
    ("a resource and an Audience of kubernetes", KUBERNETES.format("Audience a\n") + RESOURCE.replace(
        "Require", "LlamaAuthResourceServer https://b.example\nRequire"), None),
    ("a resource, and the token goes on", ISSUER + RESOURCE.replace("LlamaAuthForwardToken off\n", ""),
     "test.conf:8: LlamaAuthResource without LlamaAuthForwardToken off"),
    ("a resource, and the token goes on by a line", ISSUER + RESOURCE.replace("Token off", "Token on"), "without LlamaAuthForwardToken off"),
    ("a resource, and the backend's own token", ISSUER + RESOURCE.replace("LlamaAuthForwardToken off", "LlamaAuthBackendToken x"), None),
    ("a resource, and no backend's own token", ISSUER + RESOURCE.replace("LlamaAuthForwardToken off", "LlamaAuthBackendToken none"),
     "without LlamaAuthForwardToken off"),
    ("a resource, and a section above keeps the token", ISSUER + "<Location />\nLlamaAuthForwardToken off\n</Location>\n" +
     RESOURCE.replace("LlamaAuthForwardToken off\n", "").replace("<Location />", "<Location /mcp>"), None),
    ("a resource, and a section beside keeps the token", ISSUER + "<Location /mc>\nLlamaAuthForwardToken off\n</Location>\n" +
     RESOURCE.replace("LlamaAuthForwardToken off\n", "").replace("<Location />", "<Location /mcp>"), "without LlamaAuthForwardToken off"),
    ("a resource, and the main server keeps a host's token", ISSUER + "<Location />\nLlamaAuthForwardToken off\n</Location>\n<VirtualHost *>\n" +
     RESOURCE.replace("LlamaAuthForwardToken off\n", "") + "</VirtualHost>\n", None),
    ("a resource and tokens in the query", ISSUER + RESOURCE.replace("Require", "LlamaAuthTokenSource Authorization query:t\nRequire"),
     "test.conf:10: LlamaAuthTokenSource query: beside LlamaAuthResource"),
    ("a resource and tokens in a cookie", ISSUER + RESOURCE.replace("Require", "LlamaAuthTokenSource cookie:t\nRequire"), None),
    ("a resource with offline_access", ISSUER + RESOURCE.replace("/mcp", "/mcp a offline_access"), "test.conf:8: LlamaAuthResource with the scope offline_access"),
    ("AuthType Bearer without LlamaAuthUse", "<Location />\nAuthType Bearer\nAuthName x\nRequire valid-user\n</Location>\n",
     "LA0046: .*test.conf:2: AuthType Bearer, and LlamaAuthUse nowhere"),
    ("RequireScope without LlamaAuthUse", "<Directory />\n<Files x>\nRequireScope a\n</Files>\n</Directory>\n",
     "LA0046: .*test.conf:3: RequireScope, and LlamaAuthUse nowhere"),
    ("RequireAttribute without LlamaAuthUse", "<Location />\nRequireAttribute a b\n</Location>\n", "RequireAttribute, and LlamaAuthUse nowhere"),
    ("RequireScope none without LlamaAuthUse", "<Location />\nRequireScope none\n</Location>\n", None),
    ("a rule in one section, LlamaAuthUse in another", USE.format("<Location /x>\nRequireScope a\n</Location>\n" +
                                                                  SECTION.format("Require valid-user")), None),
    ("a rule in a host, LlamaAuthUse in the main server", USE.format(SECTION.format("Require valid-user") +
                                                                     "<VirtualHost *>\n<Location /x>\nRequireScope a\n</Location>\n</VirtualHost>\n"), None),
    ("a rule in the main server, LlamaAuthUse in a host", USE.format("<Location /x>\nRequireScope a\n</Location>\n<VirtualHost *>\n" +
                                                                     SECTION.format("Require valid-user") + "</VirtualHost>\n"),
     "test.conf:5: RequireScope, and LlamaAuthUse nowhere"),
    ("a rule in a host, LlamaAuthUse in another", USE.format("<VirtualHost *:1>\n<Location /x>\nRequireScope a\n</Location>\n</VirtualHost>\n"
                                                             "<VirtualHost *:2>\n" + SECTION.format("Require valid-user") + "</VirtualHost>\n"),
     "test.conf:6: RequireScope, and LlamaAuthUse nowhere"),
    ("LlamaAuthUse beside Basic", USE.format(SECTION.format("Require valid-user").replace("Bearer", "Basic")),
     "test.conf:7: LlamaAuthUse beside an AuthType that is not Bearer"),
    ("LlamaAuthUse below another AuthType", CLIENT + "<Location /a>\nAuthType Basic\nRequire valid-user\n</Location>\n<Location /a/b>\n"
     "LlamaAuthUse p\nRequire valid-user\n</Location>\n<Location /c>\nAuthType Bearer\nLlamaAuthUse p\nRequire valid-user\n</Location>\n",
     "LlamaAuthUse beside an AuthType that is not Bearer"),
    ("LlamaAuthUse beside None", USE.format(SECTION.format("Require valid-user").replace("Bearer", "None")), "that is not Bearer"),
    ("LlamaAuthUse beside a misspelled type", USE.format(SECTION.format("Require valid-user").replace("Bearer", "Baerer")), "that is not Bearer"),
    ("LlamaAuthUse beside bearer", USE.format(SECTION.format("Require valid-user").replace("Bearer", '"bearer"')), None),
    ("LlamaAuthUse beside an expression", USE.format(SECTION.format("Require valid-user").replace("Bearer", '"%{tolower:BEARER}"')), None),
    ("LlamaAuthUse without AuthType", USE.format(SECTION.format("Require valid-user").replace("AuthType Bearer\n", "")),
     "LlamaAuthUse, and AuthType Bearer nowhere"),
    ("AuthType in a section around", USE.format("<Location />\nAuthType Bearer\nAuthName x\n</Location>\n<Location /x>\nLlamaAuthUse p\n"
                                                "Require valid-user\n</Location>\n"), None),
    ("Basic in a section inside", USE.format(SECTION.format("Require valid-user") + "<Location /x>\nAuthType Basic\nAuthName x\n"
                                             "Require valid-user\n</Location>\n"), None),
    ("ConnectTimeout longer than Timeout", CUSTOM.format("https://a.example/\nTimeout 1s\nConnectTimeout 2s"), "LA0140: provider p: ConnectTimeout is longer"),
    ("a short Timeout alone", CUSTOM.format("https://a.example/\nTimeout 1s"), None),
]


@pytest.mark.parametrize("text, warning", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_configtest(bare, text, warning):
    bare.configure(text)
    code, said = bare.check()
    assert code == 0, said
    assert re.search(warning, said) if warning else not re.search("LA0[0-9]", said), said


def test_where_a_require_is_missing(bare):
    bare.configure(USE.format(SECTION.format("")))
    assert "conf/test.conf:7: LlamaAuthUse" in bare.check()[1]
