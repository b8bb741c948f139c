"""The status page in headless Chromium: what a person sees, that it follows, and that it fits a phone."""

import pytest

import browser
from behaviour import reply
from conftest import new_token
from errorlog import await_until
from test_quota import PROVIDER, Callers, place, quota
from test_status import ADMIN, base, guarded, json_status, of
from usage_backend import UsageBackend


def numbers(driver, section):
    """Label -> number of one section of the page."""
    script = """return Object.fromEntries([...document.querySelectorAll(arguments[0] + ' .n')].map(
        n => [n.querySelector('span').textContent, Number(n.querySelector('b').textContent)]))"""
    return driver.execute_script(script, section)


class TestPage:
    modules = ("authn_file", "auth_basic")
    expected = (r"is unavailable", "LA0050")

    @staticmethod
    def configure(httpd):
        return base(httpd)

    def open(self, chromium, httpd):
        chromium.get(f"http://admin:secret@127.0.0.1:{httpd.port}/status")

    def test_live_figures(self, httpd, chromium):
        """The page is opened once; traffic afterwards appears by itself."""
        self.open(chromium, httpd)
        assert chromium.title == "mod_llama_auth"
        before = numbers(chromium, "#provider-corp")
        token = new_token()
        for _ in range(3):
            httpd.get("/v1", token=token)
        await_until(lambda: numbers(chromium, "#provider-corp").get("accepted") == before["accepted"] + 3,
                    "the page to show the traffic")
        assert numbers(chromium, "#provider-corp")["from the cache"] == before["from the cache"] + 2
        assert numbers(chromium, "main section")["accepted"] is not None
        heights = chromium.execute_script(
            "return [...document.querySelectorAll('#provider-corp svg rect')].map(r => Number(r.getAttribute('height')))")
        assert len(heights) == 16 and max(heights) == 64

    def test_breaker_and_error_are_seen(self, httpd, chromium):
        for _ in range(2):
            token = new_token()
            httpd.endpoint().on(token, reply(500, b"<script>document.title='mine'</script>"))
            httpd.get("/brittle", token=token)
        self.open(chromium, httpd)
        text = chromium.find_element("id", "provider-brittle").text
        assert "breaker open" in text and "Last error" in text
        assert chromium.title == "mod_llama_auth"

    def test_purge_by_hand(self, httpd, chromium):
        token = new_token()
        httpd.get("/v1", token=token)
        self.open(chromium, httpd)
        chromium.find_element("name", "purge").send_keys("all")
        chromium.find_element("css selector", "form button").click()
        await_until(lambda: '"dropped"' in chromium.page_source, "the purge's answer")
        assert json_status(httpd)["cache"]["accepted"]["entries"] == 0

    def test_nothing_from_elsewhere_and_no_complaints(self, httpd, chromium):
        self.open(chromium, httpd)
        loaded = chromium.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(name.startswith(f"http://127.0.0.1:{httpd.port}/") for name in loaded), loaded
        said = [entry for entry in chromium.get_log("browser")
                if entry["level"] == "SEVERE" and "favicon" not in entry["message"] and "401" not in entry["message"]]
        assert not said, said

    def test_fits_a_phone(self, httpd, chromium):
        browser.phone(chromium)
        try:
            self.open(chromium, httpd)
            assert chromium.execute_script("return document.documentElement.scrollWidth") <= 375
        finally:
            chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_light_and_dark(self, httpd, chromium, scheme):
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                 {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.open(chromium, httpd)
        color = chromium.execute_script("return getComputedStyle(document.body).color")
        light_text = sum(int(part) for part in color[color.index("(") + 1:-1].split(",")[:3]) > 380
        assert light_text == (scheme == "dark")


class TestQuotas:
    modules = ("proxy", "proxy_http", "authn_file", "auth_basic")

    @staticmethod
    def configure(httpd):
        httpd.callers = Callers(httpd)
        httpd.backend = UsageBackend()
        httpd.endpoints["usage"] = httpd.backend
        return (PROVIDER + quota("fair", "Requests 4/1h", "Tokens 1000/1d", "Reserve 10", "Concurrent 3") +
                place("/fair", "fair", backend=httpd.backend) + guarded(httpd))

    def ask(self, httpd, chromium):
        for name, path in (("alice", "json"), ("alice", "stream"), ("bob", "json")):
            assert httpd.get(f"/fair/{path}", token=httpd.callers[name]).status == 200
        await_until(lambda: of(json_status(httpd), "keys")["usage"]["output_tokens"] >= 30, "the tokens")
        chromium.get(f"http://admin:secret@127.0.0.1:{httpd.port}/status")

    def rows(self, driver):
        return driver.execute_script("return [...document.querySelectorAll('#quota-fair tr')].map(r => [...r.children].map(c => c.textContent.trim()))")

    def test_a_person_sees(self, httpd, chromium):
        """Who used how much, the tokens of this minute, and what resets them."""
        self.ask(httpd, chromium)
        rows = self.rows(chromium)
        assert rows[0] == ["Whose", "Limit", "Used", "Starts again in", "Refused"]
        assert rows[1] in [["alice", "4 requests per 1h", "2 of 4", minutes, "0"] for minutes in ("60 min", "59 min")]
        assert ["alice", "1000 tokens per 1d", "42 of 1000"] in [row[:3] for row in rows]
        heights = chromium.execute_script("return [...document.querySelectorAll('#tokens rect')].map(r => Number(r.getAttribute('height')))")
        assert len(heights) in (2, 4) and 60 <= sum(heights) <= 130
        tiles = chromium.execute_script("return [...document.querySelectorAll('#quota-fair .zero')].map(t => t.textContent)")
        assert "0 refused: 4 requests per 1h" in tiles
        chromium.find_element("name", "quota").send_keys("fair")
        chromium.find_elements("css selector", "form button")[1].click()
        await_until(lambda: '"forgotten": 4' in chromium.page_source, "the reset's answer")
        assert json_status(httpd)["quotas"]["memory"]["counters"] == 0

    def test_fits_a_phone(self, httpd, chromium):
        browser.phone(chromium)
        try:
            self.ask(httpd, chromium)
            assert chromium.execute_script("return document.documentElement.scrollWidth") <= 375
        finally:
            chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        said = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE" and "favicon" not in entry["message"] and "401" not in entry["message"]]
        assert not said, said
