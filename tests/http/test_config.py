"""What httpd -t refuses: every mistake is named with its file, its line and, where there is one, the nearest valid
name. In the tables `>>` marks the line that must be named."""

import os
import re

import pytest

from pki import openssl
from server import key_entry, unprivileged

KEYS = "<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"
CUSTOM = "<LlamaAuthProvider corp custom>\nEndpoint http://127.0.0.1:1/\n</LlamaAuthProvider>\n"


def custom(*lines):
    return "<LlamaAuthProvider corp custom>\nEndpoint http://127.0.0.1:1/\n" + "\n".join(lines) + "\n</LlamaAuthProvider>\n"


def located(*lines):
    lines = [line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line for line in lines]
    return KEYS + "<Location /x>\nAuthType Bearer\nAuthName x\n" + "\n".join(lines) + "\n</Location>\n"


REFUSED = {
    # the section's first line
    "unknown type": (">><LlamaAuthProvider corp oauth9>\nEndpoint http://h/\n</LlamaAuthProvider>", "oauth9.*not a type"),
    "misspelled type": (">><LlamaAuthProvider corp custm>\nEndpoint http://h/\n</LlamaAuthProvider>", "custm.*did you mean custom"),
    "misspelled static": (">><LlamaAuthProvider corp statc>\nFile x\n</LlamaAuthProvider>", "did you mean static"),
    "no name, no type": (">><LlamaAuthProvider>\nEndpoint http://h/\n</LlamaAuthProvider>", "name and a type"),
    "no type": (">><LlamaAuthProvider corp>\nEndpoint http://h/\n</LlamaAuthProvider>", "name and a type"),
    "three words": (">><LlamaAuthProvider corp custom static>\nEndpoint http://h/\n</LlamaAuthProvider>", "name and a type"),
    "empty name": ('>><LlamaAuthProvider "" custom>\nEndpoint http://h/\n</LlamaAuthProvider>', "name"),
    "name with a slash": (">><LlamaAuthProvider a/b custom>\nEndpoint http://h/\n</LlamaAuthProvider>", "name"),
    "name with a space": ('>><LlamaAuthProvider "a b" custom>\nEndpoint http://h/\n</LlamaAuthProvider>', "name"),
    "duplicate name": (CUSTOM + ">><LlamaAuthProvider corp static>\nFile conf/keys.json\n</LlamaAuthProvider>", "corp.*already.*test.conf:1"),
    "duplicate in a virtual host": (CUSTOM + "<VirtualHost *>\n>><LlamaAuthProvider corp static>\nFile conf/keys.json\n"
                                    "</LlamaAuthProvider>\n</VirtualHost>", "corp.*already"),
    "duplicate of a virtual host's": ("<VirtualHost *>\n" + CUSTOM + "</VirtualHost>\n>><LlamaAuthProvider corp static>\n"
                                      "File conf/keys.json\n</LlamaAuthProvider>", "corp.*already"),
    "unclosed": ("<LlamaAuthProvider corp custom>\nEndpoint http://h/\n", "LlamaAuthProvider"),
    "closed by another": ("<LlamaAuthProvider corp custom>\nEndpoint http://h/\n>></Location>", "LlamaAuthProvider|Location"),
    "no closing bracket": (">><LlamaAuthProvider corp custom\nEndpoint http://h/\n</LlamaAuthProvider>", "closing|'>'"),
    "in a Location": ("<Location />\n>><LlamaAuthProvider corp custom>\nEndpoint http://h/\n</LlamaAuthProvider>\n</Location>", "not allowed"),
    "in a Directory": ("<Directory />\n>><LlamaAuthProvider corp custom>\nEndpoint http://h/\n</LlamaAuthProvider>\n</Directory>", "not allowed"),

    # models, operations, bodies
    "RequireModel without a pattern": (located(">>RequireModel"), "RequireModel: a pattern is missing"),
    "RequireModel none and more": (located(">>RequireModel none x"), "RequireModel: none stands alone"),
    "RequireModel after none": (located("RequireModel none", ">>RequireModel x"), "RequireModel: no line can stand beside none"),
    "RequireModel without a category": (located(">>RequireModel attribute:"), "RequireModel: attribute: has no category"),
    "RequireModel Attribute": (located(">>RequireModel Attribute:x"), "RequireModel: attribute: is written in small letters"),
    "RequireModel in RequireAny": (located("<RequireAny>", ">>RequireModel x", "</RequireAny>"), "RequireModel: <RequireAny>"),
    "RequireModel for get": (located("<Limit get>", ">>RequireModel x", "</Limit>"), "RequireModel: <Limit get>"),
    "RequireMcp without an operation": (located(">>RequireMcp"), "RequireMcp: a pattern is missing"),
    "LlamaAuthMcpScope without a scope": (located(">>LlamaAuthMcpScope tools/call"), "LlamaAuthMcpScope: takes an operation and scopes"),
    "LlamaAuthMcpScope with a comma": (located(">>LlamaAuthMcpScope tools/call a,b"), "LlamaAuthMcpScope: .*a,b"),
    "LlamaAuthMcpScope of an attribute": (located(">>LlamaAuthMcpScope attribute:x a"), "LlamaAuthMcpScope: takes an operation, not"),
    "LlamaAuthModelSource of nothing": (located(">>LlamaAuthModelSource"), "LlamaAuthModelSource: takes body:NAME"),
    "LlamaAuthModelSource of a header": (located(">>LlamaAuthModelSource header:x"), "LlamaAuthModelSource: 'header:x' is none of"),
    "LlamaAuthModelSource body": (located(">>LlamaAuthModelSource body:"), "LlamaAuthModelSource: 'body:' is none of"),
    "LlamaAuthModelSource without a group": (located(">>LlamaAuthModelSource path:^/x$"), "LlamaAuthModelSource: path:.*has no group"),
    "LlamaAuthModelSource that is no regex": (located(">>LlamaAuthModelSource path:(("), "LlamaAuthModelSource: path:.*is no regular expression"),
    "LlamaAuthModelSource twice": (located("LlamaAuthModelSource query:a", ">>LlamaAuthModelSource query:b"), "LlamaAuthModelSource: may be given only once"),
    "LlamaAuthModelSource of a long name": (located(">>LlamaAuthModelSource body:" + "x" * 65), "LlamaAuthModelSource: the name in .* is longer than 64"),
    "LlamaAuthModelSource for a method": (located("<Limit GET>\n>>LlamaAuthModelSource query:a\n</Limit>"), "LlamaAuthModelSource cannot occur within <Limit"),
    "LlamaAuthModelList for a method": (located("<Limit GET>\n>>LlamaAuthModelList off\n</Limit>"), "LlamaAuthModelList cannot occur within <Limit"),
    "LlamaAuthModelList on": (located(">>LlamaAuthModelList on"), "LlamaAuthModelList: takes filter or off"),
    "LlamaAuthModelRefusal 402": (located(">>LlamaAuthModelRefusal 402"), "LlamaAuthModelRefusal: must be 403 or 404"),
    "LlamaAuthBodyLimit 0": (located(">>LlamaAuthBodyLimit 0"), "LlamaAuthBodyLimit: takes a size above 0"),
    "LlamaAuthBodyLimit of a word": (located(">>LlamaAuthBodyLimit much"), "LlamaAuthBodyLimit: takes a size above 0"),

    # options
    "unknown option": (custom(">>Colour blue"), "Colour.*not an option"),
    "misspelled option": (custom(">>TimeOut2 3s"), "TimeOut2.*did you mean Timeout"),
    "misspelled Endpoint": ("<LlamaAuthProvider corp custom>\n>>Endpont http://h/\n</LlamaAuthProvider>", "Endpont.*did you mean Endpoint"),
    "misspelled TLSCAFile": (custom(">>TLSCAFiles x"), "did you mean TLSCAFile"),
    "misspelled File": ("<LlamaAuthProvider k static>\n>>Fil conf/keys.json\n</LlamaAuthProvider>", "Fil .*did you mean File"),
    "File in a custom": (custom(">>File conf/keys.json"), "File.*not an option of a custom"),
    "Endpoint in a static": ("<LlamaAuthProvider k static>\nFile conf/keys.json\n>>Endpoint http://h/\n</LlamaAuthProvider>",
                             "Endpoint.*not an option of a static"),
    "Binding of no kind": (custom(">>Binding on"), "Binding: 'on' is none of check.require.dpop.mtls.ignore"),
    "Binding misspelled": (custom(">>Bindign dpop"), "Bindign.*did you mean Binding"),
    "Binding in a static": ("<LlamaAuthProvider k static>\nFile conf/keys.json\n>>Binding check\n</LlamaAuthProvider>", "Binding.*not an option of a static"),
    "DPoPNonce of a word": (custom(">>DPoPNonce always"), "DPoPNonce: must be on or off"),
    "DPoPNonce in a github": ("<LlamaAuthProvider g github>\n>>DPoPNonce on\n</LlamaAuthProvider>", "DPoPNonce.*not an option of a github"),
    "DPoPNonce for nobody": (custom("Binding ignore", ">>DPoPNonce on"), "DPoPNonce has no use with Binding ignore"),
    "CacheVary by the proof": (custom(">>CacheVary path header:dpop"), "CacheVary: header:DPoP is another one in each request"),
    "SendHeaders with the proof": (custom(">>SendHeaders accept DPoP"), "SendHeaders: DPoP is never sent"),
    "a token in the proof's field": (located(">>LlamaAuthTokenSource header:dpop"), "header:dpop cannot hold a bare token"),
    "a backend's credential in the proof's field": (located(">>LlamaAuthBackendToken x header:DPoP"), "header:DPoP cannot carry"),
    "the caller in the proof's field": (located(">>LlamaAuthForward DPoP principal"), "DPoP cannot carry the caller"),
    "Timeout in a static": ("<LlamaAuthProvider k static>\nFile conf/keys.json\n>>Timeout 3s\n</LlamaAuthProvider>", "Timeout.*not an option"),
    "option twice": (custom(">>Endpoint http://other/"), "Endpoint.*once"),
    "option without argument": (custom(">>Timeout"), "Timeout.*takes"),
    "option with too many": (custom(">>Timeout 3s 4s"), "Timeout.*takes"),
    "a directive of httpd": (custom(">>DocumentRoot /tmp"), "DocumentRoot.*not an option"),
    "another directive of ours": (custom(">>LlamaAuthOutageStatus 503"), "LlamaAuthOutageStatus.*not an option"),
    "nested provider": (custom(">><LlamaAuthProvider inner static>\nFile x\n</LlamaAuthProvider>"), "inside|section"),
    "nested Location": (custom(">><Location />\nRequire all granted\n</Location>"), "inside|section"),
    "missing Endpoint": (">><LlamaAuthProvider corp custom>\nTimeout 3s\n</LlamaAuthProvider>", "Endpoint.*missing"),
    "missing File": (">><LlamaAuthProvider corp static>\n</LlamaAuthProvider>", "File.*missing"),

    # durations, sizes, switches
    "duration of a word": (custom(">>Timeout soon"), "Timeout.*soon"),
    "duration of an unknown unit": (custom(">>Timeout 3w"), "Timeout.*3w"),
    "duration with a space": (custom('>>Timeout "3 s"'), "Timeout"),
    "negative duration": (custom(">>Timeout -1s"), "Timeout.*-1s"),
    "fraction of a duration": (custom(">>Timeout 1.5s"), "Timeout"),
    "empty duration": (custom('>>Timeout ""'), "Timeout"),
    "duration of 0": (custom(">>Timeout 0"), "Timeout.*above 0"),
    "connect duration of 0": (custom(">>ConnectTimeout 0s"), "ConnectTimeout.*above 0"),
    "duration beyond reason": (custom(">>Timeout 99999999999999999999s"), "Timeout"),
    "duration beyond ten years": (custom(">>Timeout 4000d"), "Timeout"),
    "size of a word": (custom(">>ResponseLimit large"), "ResponseLimit.*large"),
    "size of 0": (custom(">>ResponseLimit 0"), "ResponseLimit.*above 0"),
    "negative size": (custom(">>ResponseLimit -5"), "ResponseLimit"),
    "size of an unknown unit": (custom(">>ResponseLimit 5T"), "ResponseLimit.*5T"),
    "size beyond 64 bits": (custom(">>ResponseLimit 99999999999999999999G"), "ResponseLimit"),
    "switch of a word": (custom(">>TLSVerify maybe"), "TLSVerify.*on or off"),
    "MaxConcurrent 0": (custom(">>MaxConcurrent 0"), "MaxConcurrent"),

    # URLs
    "URL of another scheme": ("<LlamaAuthProvider c custom>\n>>Endpoint ftp://host/\n</LlamaAuthProvider>", "Endpoint.*http"),
    "URL of a file": ("<LlamaAuthProvider c custom>\n>>Endpoint file:///etc/passwd\n</LlamaAuthProvider>", "Endpoint.*http"),
    "URL without scheme": ("<LlamaAuthProvider c custom>\n>>Endpoint auth.example.com/validate\n</LlamaAuthProvider>", "Endpoint.*http"),
    "URL without host": ("<LlamaAuthProvider c custom>\n>>Endpoint http:///validate\n</LlamaAuthProvider>", "Endpoint.*host"),
    "URL with a password": ("<LlamaAuthProvider c custom>\n>>Endpoint http://user:hunter2-secret@host/\n</LlamaAuthProvider>", "Endpoint.*password"),
    "URL with a fragment": ("<LlamaAuthProvider c custom>\n>>Endpoint http://host/#x\n</LlamaAuthProvider>", "Endpoint"),
    "URL with a space": ('<LlamaAuthProvider c custom>\n>>Endpoint "http://host/a b"\n</LlamaAuthProvider>', "Endpoint"),
    "URL with port 0": ("<LlamaAuthProvider c custom>\n>>Endpoint http://host:0/\n</LlamaAuthProvider>", "Endpoint.*port"),
    "URL with a high port": ("<LlamaAuthProvider c custom>\n>>Endpoint http://host:70000/\n</LlamaAuthProvider>", "Endpoint"),
    "URL with a port of letters": ("<LlamaAuthProvider c custom>\n>>Endpoint http://host:http/\n</LlamaAuthProvider>", "Endpoint"),
    "empty URL": ('<LlamaAuthProvider c custom>\n>>Endpoint ""\n</LlamaAuthProvider>', "Endpoint"),
    "proxy of another scheme": (custom(">>Proxy socks5://host:1"), "Proxy.*http"),
    "proxy without scheme": (custom(">>Proxy host:3128"), "Proxy"),

    # the others
    "broken expression": (custom('>>Match "(unclosed"'), "Match.*expression"),
    "Claim without category": (custom(">>Claim groups"), "Claim.*takes"),
    "Claim with three words": (custom(">>Claim groups teams roles"), "Claim.*neither split nor keys"),
    "Claim with four words": (custom(">>Claim groups teams split keys"), "Claim.*takes"),
    "Claim without source": (custom('>>Claim "" teams'), "Claim.*empty"),
    "PrincipalClaim without name": (custom(">>PrincipalClaim"), "PrincipalClaim.*takes"),
    "SendHeaders all and more": (custom(">>SendHeaders all X-Y"), "SendHeaders"),
    "SendHeaders of no name": (custom('>>SendHeaders "X Y"'), "SendHeaders"),
    "SendHeaders of the credential": (custom(">>SendHeaders Authorization"), "SendHeaders.*Authorization"),
    "SecretHeader without value": (custom(">>SecretHeader X-Key"), "SecretHeader.*takes"),
    "SecretHeader of no name": (custom('>>SecretHeader "X Key" v'), "SecretHeader"),
    "SecretHeader of the client's": (custom(">>SecretHeader Content-Length 5"), "SecretHeader.*Content-Length"),
    "secret of an unset variable": (custom(">>SecretHeader X-Key env:LA_TEST_UNSET"), "SecretHeader.*LA_TEST_UNSET"),
    "secret of an empty variable": (custom(">>SecretHeader X-Key env:LA_TEST_EMPTY"), "SecretHeader.*LA_TEST_EMPTY.*empty"),
    "secret of a missing file": (custom(">>SecretHeader X-Key file:conf/no-such-file"), "SecretHeader.*conf/no-such-file.*No such file"),
    "secret of an empty file": (custom(">>SecretHeader X-Key file:conf/empty"), "SecretHeader.*conf/empty.*empty"),
    "secret of two lines": (custom(">>SecretHeader X-Key file:conf/lines"), "SecretHeader.*conf/lines.*control"),
    "secret of a directory": (custom(">>SecretHeader X-Key file:conf"), "SecretHeader.*regular"),
    "empty secret": (custom('>>SecretHeader X-Key ""'), "SecretHeader.*empty"),
    "missing TLSCAFile": (custom(">>TLSCAFile conf/no-such-file"), "TLSCAFile.*conf/no-such-file.*No such file"),
    "TLSCAFile is a directory": (custom(">>TLSCAFile conf"), "TLSCAFile.*regular"),
    "TLSCAFile is no PEM": (custom(">>TLSCAFile conf/lines"), "TLSCAFile.*conf/lines.*no certificate"),
    "TLSCertFile is no PEM": (custom(">>TLSCertFile conf/lines"), "TLSCertFile.*conf/lines.*no certificate"),
    "CacheVary of no header": (custom(">>CacheVary 'header:X-Tenant,'"), "CacheVary.*X-Tenant"),
    "empty PrincipalClaim": (custom(">>PrincipalClaim ''"), "PrincipalClaim.*empty"),
    "missing TLSCertFile": (custom(">>TLSCertFile conf/no-such-file"), "TLSCertFile.*No such file"),
    "missing TLSKeyFile": (custom("TLSCertFile conf/ca.pem", ">>TLSKeyFile conf/no-such-file"), "TLSKeyFile.*No such file"),
    "key without certificate": (">>" + custom("TLSKeyFile conf/lines"), "TLSKeyFile.*TLSCertFile"),
    "missing key file": (">><LlamaAuthProvider k static>\nFile conf/no-such-file\n</LlamaAuthProvider>", "conf/no-such-file.*No such file"),

    # directives
    "use of an unknown provider": (located(">>LlamaAuthUse nobody"), "nobody"),
    "use of a misspelled provider": (located(">>LlamaAuthUse keis"), "keis.*did you mean keys"),
    "use in another case": (located(">>LlamaAuthUse KEYS"), "KEYS.*did you mean keys"),
    "use of nothing": (located(">>LlamaAuthUse"), "LlamaAuthUse"),
    "use of one twice": (located(">>LlamaAuthUse keys keys"), "keys.*twice"),
    "second use": (located("LlamaAuthUse keys", ">>LlamaAuthUse keys"), "LlamaAuthUse.*once"),
    "use before the definition": ("<Location /x>\n>>LlamaAuthUse corp\n</Location>\n" + CUSTOM, "corp"),
    "use of another host's": ("<VirtualHost *>\n" + CUSTOM + "</VirtualHost>\n<Location /x>\n>>LlamaAuthUse corp\n</Location>", "corp"),
    "use in If": (KEYS + '<If "true">\n>>LlamaAuthUse keis\n</If>', "keis.*did you mean keys"),
    "use in Files": (KEYS + "<Files x>\n>>LlamaAuthUse keis\n</Files>", "keis.*did you mean keys"),
    "outage status 500": (">>LlamaAuthOutageStatus 500", "LlamaAuthOutageStatus.*401 or 503"),
    "outage status of a word": (">>LlamaAuthOutageStatus unavailable", "LlamaAuthOutageStatus"),
    "outage status of nothing": (">>LlamaAuthOutageStatus", "LlamaAuthOutageStatus"),
    "outage status in a Location": ("<Location />\n>>LlamaAuthOutageStatus 503\n</Location>", "not allowed"),
    "use outside of sections": (KEYS + ">>LlamaAuthUse keys", "not allowed"),
    "scope outside of sections": (">>RequireScope a", "not allowed"),
    "attribute outside of sections": (">>RequireAttribute roles a", "not allowed"),
    "scope of nothing": (located(">>RequireScope"), "RequireScope"),
    "all of nothing": (located(">>RequireScope all"), "RequireScope"),
    "any of nothing": (located(">>RequireScope any"), "RequireScope"),
    "scope with a space": (located('>>RequireScope "a b"'), "RequireScope.*a b"),
    "scope with a quote": (located('>>RequireScope "a\\"b"'), "RequireScope"),
    "scope with a backslash": (located(">>RequireScope a\\b"), "RequireScope"),
    "scope beyond ASCII": (located(">>RequireScope é"), "RequireScope"),
    "empty scope": (located('>>RequireScope ""'), "RequireScope"),
    "none beside a scope": (located(">>RequireScope none a"), "RequireScope.*none"),
    "a scope beside none": (located(">>RequireScope a none"), "RequireScope.*none"),
    "none after a line": (located("RequireScope a", ">>RequireScope none"), "RequireScope.*none"),
    "a line after none": (located("RequireScope none", ">>RequireScope a"), "RequireScope.*none"),
    "None in another case": (located(">>RequireScope None"), "RequireScope.*none"),
    "ANY in another case": (located(">>RequireScope ANY a"), "RequireScope.*any"),
    "none after a Limit": (located("<Limit GET>\nRequireScope a\n</Limit>", ">>RequireScope none"), "RequireScope.*none"),
    "attribute of nothing": (located(">>RequireAttribute"), "RequireAttribute"),
    "attribute without value": (located(">>RequireAttribute roles"), "RequireAttribute"),
    "attribute with an empty value": (located('>>RequireAttribute roles "" x'), "RequireAttribute.*empty"),
    "attribute with an empty category": (located('>>RequireAttribute "" x'), "RequireAttribute.*empty"),
    "attribute none after a line": (located("RequireAttribute roles x", ">>RequireAttribute none"), "RequireAttribute.*none"),
    "misspelled directive": (located(">>RequireScopes a"), "RequireScopes"),

    # what httpd would take and what would mean something else
    "text after the section's bracket": (">><LlamaAuthProvider x static> junk\nFile conf/keys.json\n</LlamaAuthProvider>", "nothing may follow"),
    "option after the section's bracket": (">><LlamaAuthProvider x static> File conf/keys.json\n</LlamaAuthProvider>", "nothing may follow"),
    "comment after the section's bracket": (">><LlamaAuthProvider x static> # mine\nFile conf/keys.json\n</LlamaAuthProvider>", "nothing may follow"),
    "scope in RequireNone": (located("<RequireAll>\nRequire valid-user\n<RequireNone>", ">>RequireScope a", "</RequireNone>\n</RequireAll>"),
                             "RequireScope: <RequireNone> does not weigh it.*llama-scope"),
    "scope in RequireAny": (located("<RequireAny>", ">>RequireScope a", "Require ip 127.0.0.1\n</RequireAny>"), "RequireScope: <RequireAny>"),
    "scope in RequireAll": (located("<RequireAll>", ">>RequireScope a", "Require valid-user\n</RequireAll>"), "RequireScope: <RequireAll>"),
    "attribute in requireall": (located("<requireall>", ">>RequireAttribute roles a", "Require valid-user\n</requireall>"), "RequireAttribute: <RequireAll>"),
    "attribute in RequireNone": (located("<RequireNone>", ">>RequireAttribute roles a", "</RequireNone>"), "RequireAttribute: <RequireNone>"),
    "none in RequireAny": (located("<RequireAny>", ">>RequireScope none", "Require valid-user\n</RequireAny>"), "RequireScope: <RequireAny>"),
    "scope in Limit in RequireAny": (located("<RequireAny>\n<Limit GET>", ">>RequireScope a", "</Limit>\n</RequireAny>"), "RequireAny|Limit"),
    "scope in an alias": ("<AuthzProviderAlias user x bob>\n>>RequireScope a\n</AuthzProviderAlias>", "RequireScope: <AuthzProviderAlias>"),
    "scope in Limit get": (located("<Limit get>", ">>RequireScope a", "</Limit>"), "RequireScope: <Limit get>.*capitals.*GET"),
    "attribute in Limit GET post": (located("<Limit GET post>", ">>RequireAttribute roles a", "</Limit>"), "RequireAttribute: <Limit post>.*POST"),
    "scope in LimitExcept Get": (located("<LimitExcept Get>", ">>RequireScope a", "</LimitExcept>"), "<LimitExcept Get>"),
    "scope in Limit propfind": (located('<Limit "propfind">', ">>RequireScope a", "</Limit>"), "<Limit propfind>"),
    "llama-scope in Limit get": (located("<Limit get>", ">>Require llama-scope a", "</Limit>"), "Require llama-scope: <Limit get>"),
    "llama-attribute in Limit post": (located("<Limit post>", ">>Require llama-attribute a b", "</Limit>"), "llama-attribute: <Limit post>"),
    "scope in Limit GET,POST": (located("<Limit GET,POST>", ">>RequireScope a", "</Limit>"), "RequireScope: <Limit GET,POST>.*blanks"),
    "attribute in LimitExcept GET, HEAD": (located("<LimitExcept GET, HEAD>", ">>RequireAttribute roles a", "</LimitExcept>"), "<LimitExcept GET,>.*blanks"),
    "llama-scope in Limit *": (located("<Limit *>", ">>Require llama-scope a", "</Limit>"), "<Limit .>: .*no <Limit>"),
    "scopes with a comma": (located(">>RequireScope a,b"), "RequireScope: 'a,b' is one scope.*blanks"),
    "scopes with a comma and a blank": (located(">>RequireScope a, b"), "RequireScope: 'a,'"),
    "any of scopes with a comma": (located(">>RequireScope any a,b"), "RequireScope: 'a,b'"),
    "llama-scope with a comma": (located(">>Require llama-scope a,b"), "Require llama-scope: 'a,b'"),
    "resource's scopes with a comma": (located(">>LlamaAuthResource https://a.example/ a,b"), "LlamaAuthResource: 'a,b'"),
    "llama-scope all": (located(">>Require llama-scope all a b"), "Require llama-scope has no all"),
    "llama-scope any": (located(">>Require llama-scope any a b"), "Require llama-scope has no any"),
    "llama-scope none": (located(">>Require llama-scope none"), "Require llama-scope has no none"),
    "not llama-scope None": (located("<RequireAll>\nRequire valid-user", ">>Require not llama-scope None", "</RequireAll>"), "has no None"),
    "any value and another": (located(">>RequireAttribute roles * admin"), "RequireAttribute: . stands alone"),
    "a value and any": (located(">>RequireAttribute roles admin *"), "RequireAttribute: . stands alone"),
    "llama-attribute with any value and another": (located(">>Require llama-attribute roles a *"), "llama-attribute: . stands alone"),
    "attribute that is not UTF-8": (located(b">>RequireAttribute roles caf\xe9"), "RequireAttribute: .*UTF-8"),
    "category that is not UTF-8": (located(b">>RequireAttribute r\xf4les a"), "RequireAttribute: .*UTF-8"),
    "llama-attribute that is not UTF-8": (located(b">>Require llama-attribute roles \xff"), "llama-attribute: .*UTF-8"),
    "switch on and off": (located("LlamaAuthForwardToken off", ">>LlamaAuthForwardToken on"), "LlamaAuthForwardToken: is on and off"),
    "preflight on and off": (located("LlamaAuthPreflight on", ">>LlamaAuthPreflight off"), "LlamaAuthPreflight: is on and off"),
    "source, then forward as CGI sees it": (located("LlamaAuthTokenSource header:x-api-key", ">>LlamaAuthForward X_Api_Key principal"),
                                            "LlamaAuthForward: X_Api_Key is the header of a LlamaAuthTokenSource"),
    "forward, then source as CGI sees it": (located("LlamaAuthForward X.Api.Key principal", ">>LlamaAuthTokenSource header:x-api-key"),
                                            "LlamaAuthTokenSource: x-api-key is the header of a LlamaAuthForward"),
    "source in one section, forward in another": ("<Location /a>\nLlamaAuthTokenSource header:X-Key\n</Location>\n<Location /b>\n"
                                                  ">>LlamaAuthForward x_key principal\n</Location>", "x_key is the header of"),
    **{f"forward of {name}": (located(f">>LlamaAuthForward {name} principal"), f"LlamaAuthForward: {name} cannot carry the caller")
       for name in ("If-None-Match", "if_modified_since", "Max-Forwards", "X-Forwarded-For", "Sec-WebSocket-Key", "HTTP2-Settings", "Via")},
    **{f"source of {name}": (located(f">>LlamaAuthTokenSource header:{name}"), f"LlamaAuthTokenSource: header:{name} cannot hold")
       for name in ("TE", "Upgrade", "Expect", "Proxy", "Keep-Alive", "Trailer", "Proxy-Connection", "Origin", "Range", "Host", "Cookie",
                    "authorization", "Content_Length")},
    "not an .htaccess's file": (located(">>LlamaAuthErrorDocument 401 file:conf/no-such-file"), "LlamaAuthErrorDocument.*No such file"),

    # options that need each other, on the line of one of them
    "metadata of OpenID as Issuer": ("<LlamaAuthProvider i jwt>\n>>Issuer https://a.example/x/.well-known/openid-configuration\n</LlamaAuthProvider>",
                                     "Issuer: is the URL of the metadata.*as in: https://a.example/x\n"),
    "metadata of OAuth as Issuer": ("<LlamaAuthProvider i introspection>\n>>Issuer https://a.example/.well-known/oauth-authorization-server/x\n"
                                    "ClientAuth none\n</LlamaAuthProvider>", "Issuer: is the URL of the metadata"),
    "Issuer with a query": ("<LlamaAuthProvider i jwt>\n>>Issuer https://a.example/?x\n</LlamaAuthProvider>", "Issuer: must have no query"),
    "missing key file on its line": ("<LlamaAuthProvider k static>\n\n>>File conf/no-such-file\n</LlamaAuthProvider>", "File: .*No such file"),
    "key file without sense": ("<LlamaAuthProvider k static>\n>>File conf/lines\n</LlamaAuthProvider>", "File: .*conf/lines"),
    "key file's line": ("<LlamaAuthProvider k static>\n>>File conf/broken.json\n</LlamaAuthProvider>", "conf/broken.json: .* at line 3, column [0-9]+"),
    "key file's unknown field": ("<LlamaAuthProvider k static>\n>>File conf/field.json\n</LlamaAuthProvider>", "keys.0.: unknown field \\(number 4\\), scopes: there are"),
    "key file's secret as a field": ("<LlamaAuthProvider k static>\n>>File conf/misplaced.json\n</LlamaAuthProvider>", "unknown field \\(number 4\\): there are"),
    "key file with a key twice": ("<LlamaAuthProvider k static>\n>>File conf/twice.json\n</LlamaAuthProvider>", "File: .*keys.1.: duplicate sha256"),
    "missing JwksFile": ("<LlamaAuthProvider k jwt>\nAudience a\n>>JwksFile conf/no-such-file\n</LlamaAuthProvider>", "JwksFile: .*No such file"),
    "two sources of keys": (">><LlamaAuthProvider k jwt>\nJwksUri https://h/\nJwksFile conf/lines\n</LlamaAuthProvider>", "JwksUri and JwksFile"),
    "JwksToken for a file": ("<LlamaAuthProvider k jwt>\nJwksFile conf/lines\n>>JwksToken x\n</LlamaAuthProvider>", "JwksToken has no use"),
    "JwksRefresh for a file": ("<LlamaAuthProvider k jwt>\nJwksFile conf/lines\n>>JwksRefresh 1h\n</LlamaAuthProvider>", "JwksRefresh has no use"),
    "secret for ClientAuth none": ("<LlamaAuthProvider k introspection>\nEndpoint https://h/\n>>ClientAuth none\nClientSecret x\n</LlamaAuthProvider>",
                                   "ClientAuth none has no use"),
    "secret missing": ("<LlamaAuthProvider k introspection>\nEndpoint https://h/\n>>ClientId x\n</LlamaAuthProvider>", "ClientSecret are needed"),
    "query of ApiBase": ("<LlamaAuthProvider k github>\n>>ApiBase https://h/?x\n</LlamaAuthProvider>", "ApiBase.*query"),
    "key without certificate, on its line": (custom(">>TLSKeyFile conf/ca.key"), "TLSKeyFile needs TLSCertFile"),
    "certificate without key": (custom(">>TLSCertFile conf/ca.pem"), "TLSCertFile needs TLSKeyFile"),
    "key of another certificate": (custom("TLSCertFile conf/ca.pem", ">>TLSKeyFile conf/other.key"), "TLSKeyFile is not the key"),
    "key that is none": (custom("TLSCertFile conf/ca.pem", ">>TLSKeyFile conf/lines"), "TLSKeyFile: .*no private key"),
    "key with a passphrase": (custom("TLSCertFile conf/ca.pem", ">>TLSKeyFile conf/locked.key"), "TLSKeyFile: .*without a passphrase"),
    "Audience * of a jwt": ("<LlamaAuthProvider k jwt>\nJwksUri https://h/\n>>Audience *\n</LlamaAuthProvider>", "Audience . is no audience.*Audience none"),
    "Audience none of an introspection": ("<LlamaAuthProvider k introspection>\nEndpoint https://h/\nClientAuth none\n>>Audience none\n"
                                          "</LlamaAuthProvider>", "Audience none is no audience.*leave the line out"),
    "Audience * of a kubernetes": ("<LlamaAuthProvider k kubernetes>\nReviewerToken x\n>>Audience a *\n</LlamaAuthProvider>", "Audience . is no audience"),
    **{f"SendHeaders {word}": (custom(f">>SendHeaders {word}"), "SendHeaders: .*write all, none or names") for word in ("on", "Off", "any", "*")},
    **{f"{option} that is no text": (f"<LlamaAuthProvider k {kind}>\n>>{option} {lead}caf\udce9\n</LlamaAuthProvider>", f"{option}: .*UTF-8 without control")
       for kind, option, lead in (("jwt", "Audience", ""), ("jwt", "ExpectIssuer", ""), ("jwt", "RequireType", ""), ("jwt", "PrincipalClaim", "sub "),
                                  ("introspection", "ClientId", ""), ("jwt", "Claim", "roles "))},
    "claim with a control character": (custom(">>Claim a\x01b roles"), "Claim: the claim must be UTF-8"),
    "forwarded category that is no text": (located(">>LlamaAuthForward X-A attribute:caf\udce9"), "LlamaAuthForward: .*UTF-8"),
    "switch with two words": (located(">>LlamaAuthEnv on off"), "LlamaAuthEnv: takes on or off"),
    "empty expression": (custom('>>Match ""'), "Match.*empty"),
    "cache secret that is no file": (">>LlamaAuthCacheSecret literal-secret", "LlamaAuthCacheSecret: takes file:PATH"),
    "Redis timeout twice": (">>LlamaAuthCacheShared redis://h timeout=1s timeout=2s", "LlamaAuthCacheShared: timeout is given twice"),
    "Redis prefix twice": (">>LlamaAuthCacheShared redis://h prefix=a prefix=b", "LlamaAuthCacheShared: prefix is given twice"),
    "cache size beyond the machine": (">>LlamaAuthCacheSize 8000000000G", "LlamaAuthCacheSize"),
}

ACCEPTED = {
    "every option of a custom": custom(
        "SendHeaders none", "SecretHeader X-Key literal", "Timeout 500ms", "ConnectTimeout 1", "Match ^tok-", "Claim a b", "Claim c d",
        "PrincipalClaim a b c", "TLSVerify on", "ResponseLimit 64K", "Proxy http://127.0.0.1:3128", "TLSCAFile conf/ca.pem",
        "TLSCertFile conf/ca.pem", "TLSKeyFile conf/ca.key"),
    "every option of a static": "<LlamaAuthProvider k static>\nFile conf/keys.json\nMatch ^key-\nClaim id ids\nPrincipalClaim principal\n</LlamaAuthProvider>",
    "durations": "".join(f"<LlamaAuthProvider p{n} custom>\nEndpoint http://h/\nTimeout {d}\n</LlamaAuthProvider>\n"
                         for n, d in enumerate(("1ms", "10s", "5m", "1h", "1d", "30", "10S"))),
    "options in any case": "<LlamaAuthProvider p CUSTOM>\nENDPOINT http://h/\ntimeout 3s\ntlsverify OFF\n</LlamaAuthProvider>",
    "names of every kind": "".join(f"<LlamaAuthProvider {n} custom>\nEndpoint https://h/\n</LlamaAuthProvider>\n"
                                   for n in ("a", "A", "a-b", "a.b", "a_b", "9", "custom", "none")),
    "comments and empty lines": "<LlamaAuthProvider p custom>\n# a comment\n\n  Endpoint http://h/  \n</LlamaAuthProvider>",
    "line continued": "<LlamaAuthProvider p custom>\nEndpoint \\\nhttp://h/\n</LlamaAuthProvider>",
    "IfDefine inside": "<LlamaAuthProvider p custom>\n<IfDefine !NOTHING>\nEndpoint http://h/\n</IfDefine>\n</LlamaAuthProvider>",
    "IfModule around": "<IfModule llama_auth_module>\n" + CUSTOM + "</IfModule>",
    "same name in two virtual hosts": "".join(f"<VirtualHost *:{port}>\n{CUSTOM}</VirtualHost>\n" for port in (1, 2)),
    "URLs": "".join(f"<LlamaAuthProvider p{n} custom>\nEndpoint {u}\n</LlamaAuthProvider>\n" for n, u in enumerate(
        ("http://h", "https://h:8443/a/b?c=d", "http://[::1]:8080/", "HTTPS://H/", "http://127.0.0.1"))),
    "policy lines": located("LlamaAuthUse keys", "RequireScope all none any", "RequireScope any a b", "RequireAttribute roles x y",
                            "RequireAttribute none x", "RequireScope https://example.com/scope:read"),
    "any value": located("LlamaAuthUse keys", "RequireAttribute roles *", "Require llama-attribute roles *"),
    "keywords as later words": located("LlamaAuthUse keys", "Require llama-scope a all none", "RequireScope all none"),
    "methods in capitals, and others": located("LlamaAuthUse keys", "<Limit GET HEAD PROPFIND get-all Purge M-SEARCH>\nRequireScope a\n</Limit>",
                                               "<Limit get>\nLlamaAuthEnv on\n</Limit>"),
    "Requires of ours inside": located("LlamaAuthUse keys", "<RequireAny>\nRequire llama-scope a\nRequire llama-attribute roles a\n</RequireAny>"),
    "switch twice alike": located("LlamaAuthUse keys", "LlamaAuthEnv on", "LlamaAuthEnv on", "Require valid-user"),
    "switch in nested sections": located("LlamaAuthUse keys", "LlamaAuthEnv on", '<If "true">', "LlamaAuthEnv off", "</If>", "Require valid-user"),
    "key in the certificate's file": custom("TLSCertFile conf/both.pem"),
    "issuer with a path": "<LlamaAuthProvider i jwt>\nIssuer https://a.example/.well-known/realm\n</LlamaAuthProvider>",
    "blanks after the section's bracket": "<LlamaAuthProvider p custom> \t\nEndpoint http://h/\n</LlamaAuthProvider>",
    "none for some methods, a scope for others": located("LlamaAuthUse keys", "<Limit GET>\nRequireScope none\n</Limit>",
                                                         "<LimitExcept GET>\nRequireScope a\n</LimitExcept>"),
    "outage status": "LlamaAuthOutageStatus 503\n<VirtualHost *>\nLlamaAuthOutageStatus 401\n</VirtualHost>",
    "secret in the environment": custom("SecretHeader X-Key env:LA_TEST_SET"),
    "secret in a file": custom("SecretHeader X-Key file:conf/secret"),
}


@pytest.fixture
def ready(bare):
    bare.env.update(LA_TEST_EMPTY="", LA_TEST_SET="value")
    bare.write_keys("conf/keys.json", key_entry("some-key-or-other", "alice"))
    bare.write("conf/empty", "")
    bare.write("conf/lines", "one\ntwo\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test",
            "-keyout", "ca.key", "-out", "ca.pem", directory=bare.root / "conf")
    openssl("genpkey", "-algorithm", "ed25519", "-out", "other.key", directory=bare.root / "conf")
    openssl("pkey", "-in", "ca.key", "-aes128", "-passout", "pass:word", "-out", "locked.key", directory=bare.root / "conf")
    bare.write("conf/both.pem", "".join((bare.root / "conf" / name).read_text() for name in ("ca.pem", "ca.key")))
    bare.write("conf/broken.json", '{"keys": [\n {"id": "a"},\n]}\n')
    bare.write_keys("conf/field.json", key_entry("a-key", "alice", scopes=["a"]))
    bare.write_keys("conf/misplaced.json", key_entry("a-key", "alice", **{"hunter2-secret": 1}))
    bare.write_keys("conf/twice.json", key_entry("a-key", "alice"), key_entry("a-key", "bob"))
    bare.write("conf/secret", "a secret\n")
    return bare


def marked(text):
    """The configuration without its mark, and the number of the marked line."""
    lines = text.split("\n")
    number = next((n for n, line in enumerate(lines, 1) if line.startswith(">>")), None)
    return "\n".join(line.removeprefix(">>") for line in lines) + "\n", number


def names_line(said, file, number):
    return re.search(rf"line {number} of \S*{file}|{file}:{number}\b", said)


@pytest.mark.parametrize("text, pattern", REFUSED.values(), ids=REFUSED.keys())
def test_refused(ready, text, pattern):
    text, number = marked(text)
    ready.configure(text.encode("utf-8", "surrogateescape"))
    status, said = ready.check()
    assert status != 0, said
    assert re.search(pattern, said, re.S), said
    assert "hunter2" not in said
    if number:
        assert names_line(said, "test.conf", number), said


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(ready, text):
    ready.configure(text)
    status, said = ready.check()
    assert status == 0, said


@pytest.mark.parametrize("name", ["misspelled option", "URL of another scheme", "missing Endpoint", "use of a misspelled provider",
                                  "none after a line", "duration of 0"])
def test_error_in_an_included_file(ready, name):
    text, number = marked(REFUSED[name][0])
    ready.write("conf/more/inner.conf", text)
    ready.configure("# one\n# two\n<IfModule llama_auth_module>\nInclude conf/more/*.conf\n</IfModule>\n")
    status, said = ready.check()
    assert status != 0 and re.search(REFUSED[name][1], said, re.S), said
    assert names_line(said, "inner.conf", number), said


def test_options_included_into_a_section(ready):
    ready.write("conf/options.conf", "Timeout 3s\nEndpoint http://h/\nColour blue\n")
    ready.configure("<LlamaAuthProvider p custom>\nInclude conf/options.conf\n</LlamaAuthProvider>\n")
    status, said = ready.check()
    assert status != 0 and names_line(said, "options.conf", 3), said


def test_section_with_included_options_works(ready):
    ready.write("conf/options.conf", "Timeout 3s\nEndpoint http://h/\n")
    ready.configure("<LlamaAuthProvider p custom>\nInclude conf/options.conf\n</LlamaAuthProvider>\n")
    assert ready.check()[0] == 0


@pytest.mark.parametrize("line", ["TLSCAFile", "TLSCertFile", "TLSKeyFile", "SecretHeader X-Key", "File", "JwksFile", "LlamaAuthErrorDocument 401"])
def test_named_pipe(ready, line):
    """Nobody writes to it: opening it would wait for ever."""
    os.mkfifo(ready.root / "conf" / "pipe")
    prefix = "file:" if line.startswith(("SecretHeader", "Llama")) else ""
    kind = {"File": "static", "JwksFile": "jwt"}.get(line, "custom")
    text = f"{line} {prefix}conf/pipe\n"
    ready.configure(f"<Location />\n{text}</Location>\n" if "Llama" in line else f"<LlamaAuthProvider p {kind}>\n{text}</LlamaAuthProvider>\n")
    status, said = ready.check()
    assert status != 0 and re.search("(no|not a) regular file", said) and names_line(said, "test.conf", 2), said


@pytest.mark.parametrize("line", ["SecretHeader X-Key file:conf/private", "TLSCAFile conf/private"])
def test_unreadable_file(ready, line):
    ready.write("conf/private", "private\n").chmod(0)
    ready.configure(custom(line))
    user = None
    if os.geteuid() == 0:
        user = unprivileged()[0].pw_uid
        for directory in ("logs", "run"):
            os.chown(ready.root / directory, user, -1)
    status, said = ready.check(user)
    assert status != 0 and "ermission denied" in said and "conf/private" in said, said
    assert names_line(said, "test.conf", 3), said


def test_first_of_two_mistakes_is_named(ready):
    ready.configure(custom("Colour blue", "Shape round"))
    status, said = ready.check()
    assert status != 0 and "Colour" in said and names_line(said, "test.conf", 3), said


def test_a_literal_secret_is_never_shown(ready):
    ready.configure(custom("SecretHeader X-Key very-secret-literal", "Colour blue"))
    assert "very-secret-literal" not in ready.check()[1]
    ready.configure(custom("SecretHeader X-Key very-secret-literal another-secret-word"))
    said = ready.check()[1]
    assert "very-secret-literal" not in said and "another-secret-word" not in said


def test_tls_verify_off_warns(ready):
    ready.configure(custom("TLSVerify off"))
    status, said = ready.check()
    assert status == 0 and "TLSVerify" in said and "corp" in said


def test_server_does_not_start_either(ready):
    ready.configure(custom("Colour blue"))
    with pytest.raises(AssertionError, match="did not start"):
        ready.start()
    ready.process = None
