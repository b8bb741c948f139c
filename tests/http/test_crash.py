"""The tests themselves: a child that crashes fails its test, which shows where; one defect of httpd's own is told apart."""

import os
import signal

import pytest

from crash import is_close_worker_sockets
from errorlog import await_until
from server import MODULE, Httpd

EVENT = "/usr/lib/apache2/modules/mod_mpm_event.so"
HTTPDS_OWN = f"""#0  0x00007f305ef7b180 in apr_os_sock_get () from /lib/x86_64-linux-gnu/libapr-1.so.0
#1  0x00007f305ecba06c in ?? () from {EVENT}
#2  0x00007f305ecbb507 in ?? () from {EVENT}
#3  0x00005568314da850 in ap_run_mpm ()"""


@pytest.mark.skipif("/release/" not in str(MODULE), reason="sanitizers handle SIGSEGV themselves")
def test_a_crash_is_shown():
    server = Httpd()
    try:
        server.configure("")
        server.start()
        pid = server.children()[0]
        os.kill(pid, signal.SIGSEGV)
        await_until(lambda: pid not in server.children(), "the child to go")
        wrong = "\n".join(server.stop())
    finally:
        server.remove()
    assert "crash:" in wrong and "exit signal Segmentation fault" in wrong
    assert "#0 " in wrong and "mod_mpm_event.so" in wrong


@pytest.mark.parametrize("frames, own", [
    (HTTPDS_OWN, True),
    (HTTPDS_OWN.replace("apr_os_sock_get", "apr_table_get"), False),
    (HTTPDS_OWN.replace(EVENT, "/usr/lib/apache2/modules/mod_ssl.so"), False),
    (HTTPDS_OWN + "\n#4  0x00007f305ecba06c in la_child_init () from /tmp/mod_llama_auth.so", False),
    ("", False),
], ids=["close_worker_sockets", "another function", "another caller", "ours on the way", "no frames"])
def test_httpds_own(frames, own):
    assert is_close_worker_sockets(frames) == own
