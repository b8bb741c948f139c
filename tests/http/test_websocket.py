"""WebSockets through mod_proxy: who may open one, what the backend is told, and where the token stays."""

import json

import pytest

from conftest import every_mpm
from server import key_entry
from websockets_client import WebSocket, WebSocketBackend

KEY, OTHER, SECRET = "key-of-a-socket-0000001", "key-without-the-role-001", "key-of-the-backend-00001"


@every_mpm
class TestWebSocket:
    modules = ("proxy", "proxy_http")
    expected = ("AH01630",)

    @staticmethod
    def configure(httpd):
        httpd.endpoints["backend"] = WebSocketBackend()
        httpd.write_keys("conf/keys.json", key_entry(KEY, "alice", {"roles": ["speaker"]}), key_entry(OTHER, "bob", {"roles": ["reader"]}))
        backend = f"http://127.0.0.1:{httpd.endpoints['backend'].port}"

        def section(path, source, *lines):
            inside = "\n".join(("AuthType Bearer", "AuthName ws", "LlamaAuthUse keys", f"LlamaAuthTokenSource {source}",
                                "LlamaAuthForward X-User principal", "Require valid-user", "RequireAttribute roles speaker",
                                f'ProxyPass "{backend}{path}" upgrade=websocket', *lines))
            return f"<Location {path}>\n{inside}\nAuthzSendForbiddenOnFailure On\n</Location>\n"
        return ("<LlamaAuthProvider keys static>\nFile conf/keys.json\n</LlamaAuthProvider>\n"
                + section("/header", "Authorization", "LlamaAuthForwardToken off") + section("/kept", "query:key")
                + section("/backend", "Authorization query:key", f"LlamaAuthBackendToken {SECRET}")
                + section("/query", "Authorization query:key", "LlamaAuthForwardToken off")
                + section("/nocanon", "query:key", "LlamaAuthForwardToken off").replace(
                    "upgrade=websocket", "upgrade=websocket nocanon"))

    @pytest.mark.parametrize("headers, status, code", [
        ((), 401, None), ((("Authorization", "Bearer nobody"),), 401, "invalid_token"),
        ((("Authorization", f"Bearer {OTHER}"),), 403, None)])
    def test_handshake_refused(self, httpd, headers, status, code):
        calls = len(httpd.endpoints["backend"].calls)
        with WebSocket(httpd.port, "/header", headers) as refused:
            assert refused.status == status
            assert set(json.loads(refused.body)) == {"error"}
            assert status == 403 or refused.fields["www-authenticate"].startswith('Bearer realm="ws"')
            assert code is None or f'error="{code}"' in refused.fields["www-authenticate"]
        assert len(httpd.endpoints["backend"].calls) == calls

    def test_identity_forwarded(self, httpd):
        fields = [("Authorization", f"Bearer {KEY}"), ("X_User", "root"), ("x-user", "root")]
        with WebSocket(httpd.port, "/header", fields, ["realtime"]) as socket:
            assert (socket.status, socket.subprotocol) == (101, "realtime")
            told = socket.ask("hello")
            assert told["said"] == "hello" and told["fields"]["x-user"] == "alice"
            assert "authorization" not in told["fields"] and "x_user" not in told["fields"]
            assert socket.ask("again")["said"] == "again"
            assert socket.close()

    @pytest.mark.parametrize("path", ["/query", "/nocanon"])
    def test_token_out_of_the_query(self, httpd, path):
        with WebSocket(httpd.port, f"{path}?model=m&key={KEY}&x=1") as socket:
            assert socket.status == 101
            assert socket.ask("hello")["target"] == f"{path}?model=m&x=1"
        assert not [line for line in httpd.access_lines() if KEY in line]

    def test_token_kept_in_the_query(self, httpd):
        with WebSocket(httpd.port, f"/kept?model=m&key={KEY}") as socket:
            assert socket.ask("hello")["target"] == f"/kept?model=m&key={KEY}"

    def test_key_of_the_backend(self, httpd):
        for target, fields in (("/backend", [("Authorization", f"Bearer {KEY}")]), (f"/backend?key={KEY}", [])):
            with WebSocket(httpd.port, target, fields) as socket:
                told = socket.ask("hello")
                assert told["fields"]["authorization"] == f"Bearer {SECRET}" and KEY not in str(told)
