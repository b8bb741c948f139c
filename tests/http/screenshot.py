"""Pictures of the status page after some traffic: tests/http/screenshot.py [directory], .build/screenshots by default.

Starts an httpd of its own, as the tests do; LA_MODULE names the module.
"""

import shutil
import sys
from pathlib import Path

import browser
from behaviour import reply
from conftest import new_token
from server import ROOT, Httpd
from test_quota import PROVIDER, Callers, place, quota
from test_status import base
from usage_backend import UsageBackend


def configuration(httpd):
    httpd.callers = Callers(httpd)
    httpd.write("conf/people.json", (httpd.root / "conf" / "keys.json").read_text())
    text = base(httpd)
    httpd.backend = UsageBackend()
    httpd.endpoints["usage"] = httpd.backend
    quotas = (quota("fair", "Rate 600/1m burst=40", "Requests 30/1h", "Tokens 2000/1d", "Reserve 10", "Concurrent 3") +
              quota("teams", "By attribute:teams", "Tokens 100000/1d aligned"))
    return text + PROVIDER.replace("keys static", "people static").replace("keys.json", "people.json") + quotas + place("/fair", "fair teams", backend=httpd.backend).replace("Use keys", "Use people")


def traffic(httpd):
    tokens = [new_token() for _ in range(60)]
    for token in tokens[:5]:
        httpd.endpoint().on(token, reply(403))
    with httpd.connect() as connection:
        for i in range(1500):
            connection.get(["/v1", "/v1", "/scope"][i % 3], token=tokens[i % 60] if i % 17 else None)
    for token in tokens[5:8]:
        httpd.endpoint().on(token, reply(500))
        httpd.get("/brittle", token=token)
        httpd.get("/keys", token="a-static-key")
    for i, name in enumerate(("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")):
        for j in range(34 - 4 * i):
            httpd.get(f"/fair/{['json', 'stream', 'anthropic', 'silent'][j % 4]}", token=httpd.callers[name])


def picture(httpd, path, dark=False, small=False):
    driver = browser.start(dark=dark)
    if small:
        browser.phone(driver)
    driver.get(f"http://admin:secret@127.0.0.1:{httpd.port}/status")
    driver.get_screenshot_as_file(str(path))
    profile = driver.capabilities["chrome"]["userDataDir"]
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)
    print(path)


def main():
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".build" / "screenshots"
    directory.mkdir(parents=True, exist_ok=True)
    httpd = Httpd(modules=("authn_file", "auth_basic", "proxy", "proxy_http"), expected=("is unavailable", "LA0050"))
    try:
        httpd.configure(configuration(httpd))
        httpd.start()
        traffic(httpd)
        picture(httpd, directory / "light.png")
        picture(httpd, directory / "dark.png", dark=True)
        picture(httpd, directory / "phone.png", small=True)
    finally:
        httpd.stop()
        httpd.remove()


if __name__ == "__main__":
    main()
