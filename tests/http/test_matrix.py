"""The written matrix of authorization: every kind of section, every way by which httpd reaches a page, every Require that may
stand beside our rules, every limit of methods; and who gave the answer: we (a code of ours), httpd, or the page.

The page needs scope `b`, which `full` has, `some` has not, and `anon` is nobody. Unless a table says otherwise the answers
are those of THREE. `make -f Makefile.apxs mutants` shows that each protection is needed: it turns one after another off.
"""

import pytest

from callers import BEARER, key_of, write_callers
from test_http2 import curl

PAGE = b"the page that needs scope b"
THREE = {"anon": "missing_token", "some": "insufficient_scope", "full": "page"}
STATUS = {"missing_token": 401, "insufficient_scope": 403, "access_denied": 401, "misconfigured": 500, "page": 200}

# ---- kinds of sections: {d} is the directory of the page, {u} its URL; {rules} what stands in the section ----

KINDS = {
    "Location": "<Location {u}>\n{rules}\n</Location>",
    "LocationMatch": '<LocationMatch "^{u}">\n{rules}\n</LocationMatch>',
    "Directory": "<Directory {d}>\n{rules}\n</Directory>",
    "DirectoryMatch": '<DirectoryMatch "^{d}">\n{rules}\n</DirectoryMatch>',
    "Files": "<Directory {d}>\n<Files page.txt>\n{rules}\n</Files>\n</Directory>",
    "FilesMatch": "<Directory {d}>\n<FilesMatch \"^page\\.txt$\">\n{rules}\n</FilesMatch>\n</Directory>",
    "If": '<If "%{REQUEST_FILENAME} =~ m#^{d}/page.txt#">\n{rules}\n</If>',
    "If in Directory": "<Directory {d}>\n<If \"true\">\n{rules}\n</If>\n</Directory>",
    "htaccess": None,
}
SLUGS = {kind: kind.lower().replace(" ", "-") for kind in KINDS}


def protect(httpd, kind, slug, rules):
    """Configuration that puts the rules into a section of that kind around /SLUG/page.txt."""
    directory = httpd.root / "htdocs" / slug
    httpd.write(f"htdocs/{slug}/page.txt", PAGE)
    httpd.write(f"htdocs/{slug}/error.html", "an error page")
    if kind == "htaccess":
        httpd.write(f"htdocs/{slug}/.htaccess", rules)
        return ""
    return KINDS[kind].replace("{d}", str(directory)).replace("{u}", f"/{slug}").replace("{rules}", rules) + "\n"


RULES = BEARER + "RequireScope b\nRequire all granted\n"

GENERAL = """
AddOutputFilter INCLUDES .shtml
AddType text/html .shtml
<Directory "{root}/htdocs">
    Options +Includes +FollowSymLinks +MultiViews
    AcceptPathInfo On
    AllowOverride AuthConfig FileInfo Limit Options=All
</Directory>
RewriteEngine on
"""


def answer(response, expected):
    """Whether the answer is the expected one, and from whom."""
    if expected == "page":
        assert response.status == 200 and PAGE in response.body and response.note("error") is None, response
    elif expected == "httpd's 500":
        assert response.status == 500 and response.note("error") is None and PAGE not in response.body, response
    elif expected == "open":
        assert response.status == 200 and PAGE in response.body, response
    else:
        assert PAGE not in response.body, response
        assert (response.status, response.note("error")) == (STATUS[expected], expected), response
        assert response.header("Content-Type") == "application/json"


# ---- ways to the page ----

# name: (configuration for each kind, request path). {k}: the kind's slug.
WAYS = {
    "plain": ("", "/{k}/page.txt"),
    "dot segments": ("", "/x/../{k}/page.txt"),
    "escaped": ("", "/{k}/%70age.txt"),
    "double slash": ("", "/{k}//page.txt"),
    "rewritten": ("RewriteRule \"^/rewritten/{k}$\" \"/{k}/page.txt\" [PT]", "/rewritten/{k}"),
    "rewritten in a directory": ("<Directory {root}/htdocs/perdir/{k}>\nRewriteEngine on\nRewriteRule \"^x$\" \"/{k}/page.txt\" [L]\n</Directory>",
                                 "/perdir/{k}/x"),
    "DirectoryIndex": ("<Directory {root}/htdocs/{k}>\nDirectoryIndex page.txt\n</Directory>", "/{k}/"),
    "negotiated": ("", "/{k}/page"),
    "fallback": ("<Location /fallback/{k}>\nFallbackResource /{k}/page.txt\n</Location>", "/fallback/{k}/x"),
    "action": ("Action act-{k} /{k}/page.txt virtual\n<Location /action/{k}>\nSetHandler act-{k}\n</Location>", "/action/{k}/x"),
    "ErrorDocument": ("<Location /missing/{k}>\nErrorDocument 404 /{k}/page.txt\n</Location>", "/missing/{k}"),
    "SSI": ("", "/ssi/{k}.shtml"),
    "proxied": ("ProxyPass /proxied/{k} http://127.0.0.1:{port}/{k}", "/proxied/{k}/page.txt"),
    "HTTP/2": ("", "/{k}/page.txt"),
}

# (kind, way): {caller: who answers}, where it is not THREE.
OTHERWISE = {
    # mod_negotiation looks at the files themselves, and leaves out what a caller may not see.
    **{(kind, "negotiated"): {"anon": "httpd", "some": "httpd", "full": "page"} for kind in ("Files", "FilesMatch", "If")},
}


class TestWays:
    modules = ("rewrite", "include", "actions", "negotiation", "filter", "proxy", "proxy_http", "http2")
    expected = ("AH01374", "AH01375", "unable to include", "AH00687", "AH01276", "AH00690")

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd) + GENERAL + "Protocols h2c http/1.1\n"
        for kind, slug in SLUGS.items():
            text += protect(httpd, kind, slug, RULES)
            httpd.write(f"htdocs/perdir/{slug}/x", "x")
            httpd.write(f"htdocs/ssi/{slug}.shtml", f'<!--#include virtual="/{slug}/page.txt" -->')
            text += "\n".join(lines.replace("{k}", slug) for lines, _ in WAYS.values()) + "\n"
        return text.replace("{root}", str(httpd.root)).replace("{port}", str(httpd.port))

    @pytest.mark.parametrize("caller", THREE)
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_way(self, httpd, kind, way, caller):
        expected = OTHERWISE.get((kind, way), THREE)[caller]
        path = WAYS[way][1].replace("{k}", SLUGS[kind])
        if way == "HTTP/2":
            ((status, headers, body),) = curl(httpd, f"http://127.0.0.1:{httpd.port}{path}", token=key_of(caller))
            assert (status, headers["x-note-error"]) == (STATUS[expected], "" if expected == "page" else expected)
            assert (PAGE.decode() in body) == (expected == "page")
            return
        response = httpd.get(path, token=key_of(caller))
        if way in ("SSI", "ErrorDocument") or expected == "httpd":
            # The outer request has an answer of its own; what matters is that the page is not in it.
            assert (PAGE in response.body) == (expected == "page"), response
        elif way == "proxied":
            assert (response.status, PAGE in response.body) == (STATUS[expected], expected == "page"), response
        else:
            answer(response, expected)


# ---- what stands beside the rule ----

SATISFY = "Satisfy any\nOrder allow,deny\nAllow from all\n"
REQUIRES = {
    "all granted": ("Require all granted", THREE),
    "valid-user": ("Require valid-user", THREE),
    "nothing": ("", THREE),
    "address": ("Require ip 127.0.0.1", THREE),
    "another address": ("Require ip 10.1.2.3", {"anon": 403, "some": 403, "full": 403}),
    "all denied": ("Require all denied", {"anon": 403, "some": 403, "full": 403}),
    "the user": ("Require user full", THREE),
    "another user": ("Require user nobody", {**THREE, "full": "access_denied"}),
    "address or user": ("<RequireAny>\nRequire ip 127.0.0.1\nRequire user nobody\n</RequireAny>", THREE),
    "address and user": ("<RequireAll>\nRequire ip 127.0.0.1\nRequire user full\n</RequireAll>", THREE),
    "method": ("Require method GET POST PUT", THREE),
    "expression": ("Require expr \"%{REQUEST_METHOD} != 'TRACE'\"", THREE),
    "Satisfy any": (SATISFY, THREE),
    "Satisfy any and valid-user": (SATISFY + "Require valid-user", THREE),
    "Satisfy any and all granted": (SATISFY + "Require all granted", THREE),
    "Satisfy any and all denied": (SATISFY + "Require all denied", {"anon": 403, "some": 403, "full": 403}),
}
LIMITS = {
    "no limit": ("{rule}", {"GET": 1, "HEAD": 1, "POST": 1}),
    "Limit GET": ("<Limit GET>\n{rule}\n</Limit>", {"GET": 1, "HEAD": 1, "POST": 0}),
    "Limit POST": ("<Limit POST>\n{rule}\n</Limit>", {"GET": 0, "HEAD": 0, "POST": 1}),
    "LimitExcept POST": ("<LimitExcept POST>\n{rule}\n</LimitExcept>", {"GET": 1, "HEAD": 1, "POST": 0}),
}
NESTINGS = {
    "in the section": ("", "{require}\n{rule}"),
    "rule inherited": ("{rule}", "{require}"),
    "Require inherited": ("{require}", "{rule}"),
    "both inherited": ("{require}\n{rule}", ""),
}


def beside(require, limit, nesting):
    """The parent's and the section's lines."""
    rule = LIMITS[limit][0].replace("{rule}", "RequireScope b")
    return [part.replace("{require}", REQUIRES[require][0]).replace("{rule}", rule) for part in NESTINGS[nesting]]


class TestRequires:
    """With every limit, in every nesting. Where no rule is in force for the method, the answer is httpd's own affair, and is
    not looked at but for one thing: it is no answer of a rule."""
    modules = ("access_compat", "actions")
    expected = ("AH01630", "AH01631", "AH01629", "AH01797", "AH01627")

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd)
        for r, require in enumerate(REQUIRES):
            for l, limit in enumerate(LIMITS):
                for n, nesting in enumerate(NESTINGS):
                    parent, section = beside(require, limit, nesting)
                    httpd.write(f"htdocs/r{r}/l{l}/n{n}/sub/page.txt", PAGE)
                    text += f"<Location /r{r}/l{l}/n{n}>\n{BEARER}{parent}\n</Location>\n<Location /r{r}/l{l}/n{n}/sub>\n{section}\n</Location>\n"
        return text

    @pytest.mark.parametrize("nesting", NESTINGS)
    @pytest.mark.parametrize("limit", LIMITS)
    @pytest.mark.parametrize("require", REQUIRES)
    def test_require(self, httpd, require, limit, nesting):
        path = f"/r{list(REQUIRES).index(require)}/l{list(LIMITS).index(limit)}/n{list(NESTINGS).index(nesting)}/sub/page.txt"
        for method, in_force in LIMITS[limit][1].items():
            for caller, expected in REQUIRES[require][1].items():
                response = httpd.request(method, path, token=key_of(caller), body=b"x" if method == "POST" else b"")
                if not in_force:
                    assert response.note("error") != "insufficient_scope"
                elif expected == "page":
                    assert response.status in (200, 405) and response.note("error") is None, (method, caller, response)
                elif isinstance(expected, int):
                    assert response.status in (expected, 401) and PAGE not in response.body, (method, caller, response)
                else:
                    assert (response.status, response.note("error")) == (STATUS[expected], expected), (method, caller, response)
                    assert PAGE not in response.body


# ---- other AuthTypes, and a section that forgot something ----

SECTIONS = {
    "no AuthType": ("RequireScope b\nRequire all granted", {"anon": "misconfigured", "full": "misconfigured"}),
    "no LlamaAuthUse": ("AuthType Bearer\nAuthName x\nRequireScope b\nRequire all granted", {"anon": "misconfigured", "full": "misconfigured"}),
    "AuthType None": ("AuthType None\nLlamaAuthUse keys\nRequireScope b\nRequire all granted", {"anon": "misconfigured", "full": "misconfigured"}),
    "unknown AuthType": ("AuthType Nobody\nAuthName x\nLlamaAuthUse keys\nRequireScope b\nRequire all granted", {"anon": "httpd's 500", "full": "httpd's 500"}),
    "attribute": (BEARER + "RequireAttribute roles admin\nRequire all granted", {"anon": "missing_token", "full": "page"}),
    "both": (BEARER + "RequireScope a\nRequireAttribute roles admin\nRequire all granted", {"anon": "missing_token", "full": "page"}),
    "cleared": (BEARER + "RequireScope none\nRequireAttribute none\nRequire all granted", {"anon": "open", "full": "open"}),
}


@pytest.mark.parametrize("kind", KINDS)
class TestSections:
    expected = ("LA0020", "AH01796")

    @staticmethod
    def configure(httpd):
        text = write_callers(httpd) + GENERAL.replace("{root}", str(httpd.root)).replace("RewriteEngine on", "")
        for kind, slug in SLUGS.items():
            for number, (lines, _) in enumerate(SECTIONS.values()):
                text += protect(httpd, kind, f"{slug}-{number}", lines)
        return text

    modules = ("include", "negotiation", "filter")

    @pytest.mark.parametrize("section", SECTIONS)
    def test_section(self, httpd, kind, section):
        for caller, expected in SECTIONS[section][1].items():
            answer(httpd.get(f"/{SLUGS[kind]}-{list(SECTIONS).index(section)}/page.txt", token=key_of(caller)), expected)
