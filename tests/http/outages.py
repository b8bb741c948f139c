"""An outage under both settings of LlamaAuthOutageStatus, in one server: 401, the default, on its first port, 503 on a second one."""

import pytest

both_statuses = pytest.mark.parametrize("status", [401, 503])


def host_503(httpd):
    """A virtual host that has everything the main server has, and answers outages with 503."""
    httpd.other = httpd.listen()
    return f"<VirtualHost 127.0.0.1:{httpd.other}>\nServerName 127.0.0.1\nLlamaAuthOutageStatus 503\n</VirtualHost>\n"


def port(httpd, status):
    return {401: httpd.port, 503: httpd.other}[status]


def check(response, status, message):
    """The whole answer: what tells it from a rejection, and that it names nobody."""
    assert (response.status, response.body) == (status, b'{"error": {"message": "%s"}}' % message.encode())
    assert response.header("Content-Type") == "application/json"
    assert response.note("error") == ("provider_timeout" if message == "Authentication service timeout" else "provider_error")
    assert response.note("user") is None and response.header("Cache-Control") == "no-store"
    if status == 401:
        assert response.challenge == {"realm": "custom"}  # no error: nobody said that the token is invalid
        assert response.header("Retry-After") is None
    else:
        assert response.header("WWW-Authenticate") is None
        assert 1 <= int(response.header("Retry-After")) <= 30
