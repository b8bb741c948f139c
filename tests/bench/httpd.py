"""Apache httpd under measurement: where it is, its configuration, `httpd -t`, starting it."""

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import lab as laboratory

PROCESSES, THREADS = 2, 64
MODULES = ["mpm_event", "unixd", "authz_core", "authn_core", "authz_user"]

CONFIG = """\
ServerRoot "{root}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{root}/{name}.pid"
DefaultRuntimeDir "{root}"
ErrorLog "{root}/{name}.error.log"
LogLevel warn
{load_modules}
{user}
Timeout 60
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
ServerLimit {processes}
StartServers {processes}
ThreadLimit {threads}
ThreadsPerChild {threads}
MinSpareThreads 1
MaxSpareThreads {workers}
MaxRequestWorkers {workers}
MaxConnectionsPerChild 0
DocumentRoot "{docroot}"
<Directory "{docroot}">
    Require all granted
</Directory>
{server_part}
<Location "/">
{location_part}
</Location>
"""


@dataclass(frozen=True)
class Setup:
    """What one httpd has beyond the plain one. `module` is (name, path) or None.

    The plain server has a <Location> too, so that a difference is the module's own work and not the section's.
    """
    module: tuple = None
    server_part: str = ""
    location_part: str = "    Require all granted"


def render(lab, name, setup, port, processes=PROCESSES, threads=THREADS):
    missing = [m for m in MODULES if m not in _built_in()]
    load_modules = [f'LoadModule {m}_module "{_module_directory()}/mod_{m}.so"' for m in missing]
    if setup.module:
        load_modules.append(f'LoadModule {setup.module[0]} "{setup.module[1]}"')
    return CONFIG.format(
        root=lab.root, name=name, port=port, docroot=lab.docroot, load_modules="\n".join(load_modules),
        user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
        processes=processes, threads=threads, workers=processes * threads,
        server_part=setup.server_part, location_part=setup.location_part)


def refusal(lab, name, setup):
    """"" if `httpd -t` takes the configuration, else its first complaint, for a note."""
    if setup.module and not Path(setup.module[1]).exists():
        return f"{Path(setup.module[1]).name} is not there"
    config = lab.write(f"{name}.check.conf", render(lab, name, setup, laboratory.free_port()))
    done = subprocess.run([program(), "-t", "-f", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return ""
    said = [line for line in done.stdout.splitlines() if line.strip()] or ["httpd -t failed without a word"]
    telling = [line for line in said if not line.startswith("AH00526")] or said
    return telling[0].replace(str(lab.root), "").strip()


def start(lab, name, setup, processes=PROCESSES, threads=THREADS, before=(), after=("-DFOREGROUND",),
          any_core=False):
    """Starts an httpd on the server core; `before` and `after` surround the command, for valgrind and -X."""
    port = laboratory.free_port()
    config = lab.write(f"{name}.conf", render(lab, name, setup, port, processes, threads))
    return lab.start(name, [*before, program(), "-f", str(config), *after], port, None if any_core else lab.server_core)


@functools.cache
def program():
    name = _apxs("progname") or "apache2"
    found = [f"{_apxs('sbindir')}/{name}", shutil.which(name), shutil.which("httpd"), "/usr/sbin/apache2"]
    for path in found:
        if path and os.access(path, os.X_OK):
            return path
    raise SystemExit("bench: no httpd found")


@functools.cache
def version():
    return re.search(r"Apache/(\S+)", _output([program(), "-v"])).group(1)


def module_path(name):
    return f"{_module_directory()}/{name}"


@functools.cache
def _module_directory():
    return _apxs("libexecdir") or "/usr/lib/apache2/modules"


@functools.cache
def _built_in():
    return set(re.findall(r"^ +mod_(\w+)\.c", _output([program(), "-l"]), re.M))


@functools.cache
def _apxs(what):
    apxs = shutil.which("apxs") or shutil.which("apxs2")
    return _output([apxs, "-q", what]).strip() if apxs else ""


def _output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
