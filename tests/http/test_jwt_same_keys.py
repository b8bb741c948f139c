"""What is cached for a JWT ends when a usable key changes, not when the text around the keys does (spec section 4, jwt)."""

import itertools

from behaviour import reply
from configs import everywhere, location
from keyserver import accepted, jwt, key_server
from signer import fresh_key, key, key_set

OLD = key("ES256", "old")


class TestSameKeys:
    """Each fetch brings another text with the same keys."""
    expected = (r"key set", r"is unavailable")

    @staticmethod
    def configure(httpd):
        moments = itertools.count()
        url = key_server(httpd).put("/jwks", lambda peer, call: reply(200, {"now": next(moments), **key_set(OLD)})(peer, call))
        return jwt("idp", f"JwksUri {url}", "CacheTTL 1h") + location("/", "idp") + everywhere(httpd, "/x")

    def test_hits_stay(self, httpd):
        httpd.log.await_line("fetched the key set")
        known = OLD.sign()
        accepted(httpd.get("/", token=known))
        assert httpd.get("/", token=known).note("cache") == "hit"
        before = len(key_server(httpd).calls_to("/jwks"))
        httpd.get("/", token=fresh_key().sign(kid="unknown"))
        assert len(key_server(httpd).calls_to("/jwks")) == before + 1  # an early fetch, of another text
        assert httpd.get("/", token=known).note("cache") == "hit"
