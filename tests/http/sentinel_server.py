"""Real sentinels, with a master and its replica, and sentinels that say what a test tells them."""

from errorlog import await_until
from redis_server import Redis
from test_second_hostile import FakeRedis, array

NAME = "mymaster"


class Sentinel(Redis):
    """One sentinel, from the same program as Redis."""

    def __init__(self, master, quorum, own_password=None):
        self.master = master
        self.quorum = quorum
        super().__init__(own_password)

    def command(self):
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.root}",
                 f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} {self.quorum}",
                 f"sentinel down-after-milliseconds {NAME} 1000", f"sentinel failover-timeout {NAME} 5000"]
        if self.master.password:
            lines.append(f"sentinel auth-pass {NAME} {self.master.password}")
        if self.password:
            lines.append(f"requirepass {self.password}")
        (self.root / "sentinel.conf").write_text("\n".join(lines) + "\n")
        return ["redis-sentinel", str(self.root / "sentinel.conf"), "--sentinel"]

    def named(self):
        """The port of the master as it has it."""
        return int(self.cli("SENTINEL", "get-master-addr-by-name", NAME).split()[-1])

    def knows_all(self, sentinels):
        told = self.cli("--raw", "SENTINEL", "MASTER", NAME).split("\n")
        state = dict(zip(told[::2], told[1::2]))
        return int(state["num-slaves"]) == 1 and int(state["num-other-sentinels"]) == sentinels - 1 and state["flags"] == "master"


class Replicated:
    """A master, its replica, and sentinels that are ready for a failover."""

    def __init__(self, sentinels=3, password=None, own_password=None):
        self.first = Redis(password)
        self.second = Redis(password, ["--replicaof", "127.0.0.1", str(self.first.port)])
        self.sentinels = [Sentinel(self.first, sentinels // 2 + 1, own_password) for _ in range(sentinels)]
        await_until(lambda: "master_link_status:up" in self.second.cli("INFO", "replication"), "the replica to follow")
        await_until(lambda: all(s.knows_all(sentinels) for s in self.sentinels), "the sentinels to know each other")

    def url(self, user="", db=""):
        return f"redis+sentinel://{user}" + ",".join(f"127.0.0.1:{s.port}" for s in self.sentinels) + f"/{NAME}{db}"

    def fail_over(self, way):
        """`planned`: both serve for some seconds, and only the sentinels know who is to be asked."""
        if way == "planned":
            await_until(lambda: "OK" in self.sentinels[0].cli("SENTINEL", "FAILOVER", NAME), "a failover to be possible")
        elif way == "stopped":
            self.first.pause()
        else:
            self.first.kill()

    def await_failover(self):
        await_until(lambda: all(s.named() == self.second.port for s in self.sentinels), "the replica to be the master", patience=120)

    def remove(self):
        for server in (*self.sentinels, self.second, self.first):
            server.remove()


class FakeSentinel(FakeRedis):
    """Names the port that it is told to, or says what it is told to, or nothing at all (None)."""

    def __init__(self, says):
        self.says = says
        super().__init__(self.reply)

    def reply(self, words):
        self.asked = words
        if isinstance(self.says, int):
            yield array(b"127.0.0.1", b"%d" % self.says)
        elif self.says is not None:
            yield self.says
