"""A web server with one page, whose script is tests/clients/page.mjs: pages on it are of another origin than httpd's."""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[2] / ".build" / "clients"


def bundle():
    """The page's script with all that it imports."""
    node = shutil.which("node") or shutil.which("nodejs") or "node"
    return subprocess.run([node, "node_modules/esbuild/bin/esbuild", "page.mjs", "--bundle", "--format=iife", "--preserve-symlinks",
                           "--log-level=warning"], cwd=CLIENTS, stdout=subprocess.PIPE, check=True, timeout=60).stdout


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        script = self.path == "/page.js"
        body = self.server.script if script else b"<!DOCTYPE html><title>page</title><script src='/page.js'></script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class WebPage:
    """Listens once it is made."""

    def __init__(self):
        self.secrets = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.script = bundle()
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
