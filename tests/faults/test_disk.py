"""Row 18: the error log on a full disk, which /dev/full is at every moment."""

from behaviour import reply
from configs import everywhere, location, provider
from conftest import new_token
from server import Httpd


class TestFullDisk:
    def test_requests_are_served(self):
        """Accepted, rejected and outage, each of which would be logged, are answered as ever."""
        httpd = Httpd()
        try:
            url = httpd.endpoint().url()
            httpd.configure(provider("corp", url, "CacheVary none") + location("/v1", "corp") + everywhere(httpd, "/v1"))
            conf = (httpd.root / "conf" / "httpd.conf")
            conf.write_text(conf.read_text().replace("ErrorLog logs/error.log", "ErrorLog /dev/full"))
            httpd.serving = lambda: self.answers(httpd)
            httpd.start()
            rejected, down = new_token(), new_token()
            httpd.endpoint().on(rejected, reply(403))
            httpd.endpoint().on(down, reply(500))
            for _ in range(20):
                assert httpd.get("/v1", token=new_token()).status == 200
                assert httpd.get("/v1", token=rejected).status == 401
                assert httpd.get("/v1", token=down).status == 401
                assert httpd.get("/v1").status == 401
        finally:
            httpd.stop()
            httpd.remove()

    @staticmethod
    def answers(httpd):
        try:
            return httpd.get("/index.html").status == 200
        except OSError:
            return False
