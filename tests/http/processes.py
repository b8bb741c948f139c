"""What the kernel says of a server's processes: memory, descriptors, who owns a connection."""

import os


def resident(pid):
    """Bytes of memory that are the process's own or in use by it."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def anonymous(pid):
    """Bytes of memory that are the process's own and of no file."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:")) * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def open_files(pid):
    """What the descriptors stand for; nothing of a process that is gone."""
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except FileNotFoundError:
        pass
    return found


def _shared(pid):
    with open(f"/proc/{pid}/maps") as file:
        rows = [line.split() for line in file if "/dev/zero" in line]
    return [row for row in rows if row[1].endswith("s")]


def shared_mappings(pid):
    """Address ranges of the anonymous shared memory that a process has mapped."""
    return [tuple(int(end, 16) for end in row[0].split("-")) for row in _shared(pid)]


def shares_memory(pid, other):
    """Whether two processes have the same shared memory; not so if one is gone."""
    try:
        return {row[4] for row in _shared(pid)} == {row[4] for row in _shared(other)}
    except (FileNotFoundError, ProcessLookupError):
        return False


def shared_memory(pid):
    """The bytes of all of it, pages that nobody ever touched left out."""
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in shared_mappings(pid):
            memory.seek(start)
            pieces.append(memory.read(end - start))
    return b"".join(pieces)


def owner_of(port, pids):
    """Which of the processes has the TCP connection whose own end is at this port of the loopback interface."""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].split(":")[1], 16) == port}
    return next((pid for pid in pids if inodes & open_files(pid)), None)
