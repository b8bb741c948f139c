"""The callers of the authorization tests: static keys with different attributes, and what a rule should say."""

from server import key_entry

CALLERS = {
    "full": ("key-of-full-0000000001", {"scopes": ["a", "b", "c"], "roles": ["admin", "dev"], "teams": ["core"]}),
    "some": ("key-of-some-0000000002", {"scopes": ["a"], "roles": ["dev"]}),
    "bare": ("key-of-bare-0000000003", None),
    "none": ("key-of-none-0000000004", {"scopes": ["none", "all", "any"], "none": ["none"]}),
    "case": ("key-of-case-0000000005", {"scopes": ["A", "a b", "a,b"], "Roles": ["admin"], "roles": ["Admin", "adm", "admins"]}),
}
REALM = "policy"

PROVIDER = """
<LlamaAuthProvider keys static>
    File conf/keys.json
</LlamaAuthProvider>
"""
BEARER = f"""AuthType Bearer
AuthName "{REALM}"
LlamaAuthUse keys
"""


def write_callers(httpd):
    httpd.write_keys("conf/keys.json", *(key_entry(key, name, attributes) for name, (key, attributes) in CALLERS.items()))
    return PROVIDER


def key_of(caller):
    """The key of a caller; `anon` has none."""
    return CALLERS[caller][0] if caller != "anon" else None


def passed(response):
    """The request got by us: the handler may still dislike its method."""
    return response.status in (200, 405) and response.note("error") is None


def check(response, expected, realm=REALM):
    """Compares an answer with the table's word for it:

    True: passed; 401: no token; `scope X`, `attribute X`: refused for that; 500: misconfigured; `access`: httpd's Require,
    as 403 or 401; `httpd`: httpd's own 500.
    """
    if expected is True:
        assert passed(response), response
        return
    if expected == "httpd":
        assert response.status == 500 and response.note("error") is None, response
        return
    assert response.header("Content-Type") == "application/json", response
    if expected == 401:
        assert (response.status, response.note("error")) == (401, "missing_token"), response
        assert response.challenge["realm"] == realm
    elif expected == 500:
        assert (response.status, response.note("error")) == (500, "misconfigured"), response
        assert response.body == b'{"error": {"message": "Authentication is not configured"}}'
    elif expected in ("access", "access 401"):
        assert (response.status, response.note("error")) == (401 if "401" in expected else 403, "access_denied"), response
        assert response.body == b'{"error": {"detail": "Access denied"}}'
    else:
        kind, _, what = expected.partition(" ")
        code = {"scope": "insufficient_scope", "attribute": "insufficient_attributes"}[kind]
        assert (response.status, response.note("error")) == (403, code), response
        assert response.json == {"error": {"detail": f"Access denied: user does not have required {kind}: {what}"}}
        if kind == "scope":
            assert response.challenge["error"] == "insufficient_scope"
        else:
            assert response.header("WWW-Authenticate") is None
