"""What a crashed process was doing: the backtrace of its core file, by gdb, for the verdict on a test's server."""

import re
import shutil
import subprocess

FRAME = re.compile(r"^#(\d+) +(?:0x[0-9a-f]+ in )?(\S+) \(.*?(?: from (\S+))?$", re.M)


def backtrace(program, folder):
    """The frames of the one core file in the folder, as gdb shows them; empty if there is none, or more, or no gdb."""
    cores = list(folder.glob("core*")) if folder else []
    if len(cores) != 1 or not shutil.which("gdb"):
        return ""
    done = subprocess.run(["gdb", "-batch", "-nx", "-ex", "backtrace 24", program, str(cores[0])],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=120)
    _, first, rest = done.stdout.rpartition("\n#0 ")
    return (first + rest).strip()


def is_close_worker_sockets(frames):
    """Whether it is the defect of httpd's event MPM that plain httpd has too: when a child has to end at once (SIGHUP, SIGTERM),
    close_worker_sockets() uses the socket of a connection that a worker thread frees at the same time."""
    found = [(name, library or "") for _, name, library in FRAME.findall(frames)]
    return (len(found) > 2 and found[0][0] in ("apr_os_sock_get", "apr_socket_close", "apr_socket_opt_set") and
            found[1][1].endswith("/mod_mpm_event.so") and "llama_auth" not in frames)
