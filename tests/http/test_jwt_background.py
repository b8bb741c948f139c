"""Key sets are refreshed in the background, each by itself: a server that hangs delays nobody else's keys (targets.md section 4, row 33)."""

from behaviour import Hold, reply
from configs import everywhere, location
from conftest import every_mpm
from errorlog import await_until
from keyserver import accepted, jwt, key_server
from signer import key, key_set

OLD, NEW = key("ES256", "old"), key("ES256", "new")


@every_mpm
class TestOneHangs:
    processes = 1

    @staticmethod
    def configure(httpd):
        server = key_server(httpd)
        server.hangs = Hold(reply(200, key_set(OLD)))
        return (jwt("hangs", f"JwksUri {server.put('/hangs', server.hangs)}", "JwksRefresh 1s", "Timeout 60s")
                + jwt("lives", f"JwksUri {server.put_keys(OLD, path='/lives')}", "JwksRefresh 1s", "Timeout 60s")
                + location("/", "lives") + everywhere(httpd, "/x"))

    def test_others_are_refreshed(self, httpd):
        server = key_server(httpd)
        await_until(lambda: server.calls_to("/hangs"), "a fetch that hangs")
        accepted(httpd.get("/x", token=OLD.sign()))
        before = len(server.calls_to("/lives"))
        server.put("/lives", key_set(NEW))
        await_until(lambda: len(server.calls_to("/lives")) >= before + 2, "two fetches of the other key set")
        accepted(httpd.get("/x", token=NEW.sign()))
        assert len(server.calls_to("/hangs")) == 1
        server.hangs.release()
