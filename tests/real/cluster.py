"""A Kubernetes control plane as far as authentication needs one: etcd and kube-apiserver, with RBAC and service accounts, on free
ports of the loopback interface; and what an administrator does there with kubectl.

The API server's own files (certificates, service account keys) are below `root`; they may be changed while it runs.
"""

import base64
import http.client
import json
import shutil
import ssl
import urllib.parse

from pki import Authority, openssl
from program import PATIENCE, Program, listens
from server import ROOT, free_port

PROGRAMS = ROOT / ".build" / "kubernetes"
ISSUER = "https://kubernetes.default.svc.cluster.local"  # and the audience of tokens for the API server itself
AUTH = "/apis/authentication.k8s.io/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def installed():
    return (PROGRAMS / "installed").exists()


class Refused(Exception):
    """The API server's own error: its status and message."""

    def __init__(self, status, message):
        super().__init__(f"{status} {message}")
        self.status, self.message = status, message


class ClusterPki(Authority):
    """Certificates of the API server, of the foreign one's in its place, and of an administrator (its group is system:masters)."""

    NAMES = "IP:127.0.0.1,DNS:kubernetes.default.svc"

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        for ca in ("ca", "other-ca"):
            self.root(ca)
        self.issue("serving", self.NAMES)
        self.issue("serving-next", self.NAMES)
        self.issue("serving-foreign", self.NAMES, ca="other-ca")
        self.new_key("admin")
        openssl("req", "-new", "-key", "admin.key", "-subj", "/O=system:masters/CN=admin", "-out", "admin.csr", directory=directory)
        openssl("x509", "-req", "-in", "admin.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "10", "-out",
                "admin.pem", directory=directory)

    def account_key(self, name):
        """A key that signs service account tokens, and its public part."""
        openssl("genrsa", "-out", f"{name}.key", "2048", directory=self.directory)
        openssl("rsa", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub", directory=self.directory)


class Cluster:
    """Serves once it is made, and once its roles are there."""

    secrets = frozenset()

    def __init__(self, root):
        root.mkdir()
        self.root, self.port, self.keys = root, free_port(), ("accounts-1", ["accounts-1"])
        self.pki = ClusterPki(root / "pki")
        self.pki.account_key("accounts-1")
        self.use_certificate("serving")
        peer, self.client = free_port(), free_port()
        self.etcd = Program(root, "etcd", [
            PROGRAMS / "etcd", "--data-dir", root / "etcd", "--listen-client-urls", f"http://127.0.0.1:{self.client}",
            "--advertise-client-urls", f"http://127.0.0.1:{self.client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync"], lambda program: listens(self.client))
        try:
            self.api = Program(root, "kube-apiserver", self.command(), lambda program: self.is_ready())
        except BaseException:
            self.etcd.stop()
            raise

    def command(self, host="127.0.0.1", port=None):
        files, (signer, verifiers) = self.pki.directory, self.keys
        return [PROGRAMS / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self.client}", "--bind-address", host,
                "--advertise-address", host, "--endpoint-reconciler-type", "none", "--secure-port", port or self.port,
                "--tls-cert-file", files / "serving-used.pem", "--tls-private-key-file", files / "serving-used.key",
                "--client-ca-file", files / "ca.pem", "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
                "--service-account-issuer", ISSUER, "--service-account-signing-key-file", files / f"{signer}.key",
                *(part for name in verifiers for part in ("--service-account-key-file", files / f"{name}.pub"))]

    def serve_also(self, host, port):
        """One more API server over the same etcd, at another address; to be stopped by the caller."""
        return Program(self.root, "kube-apiserver-2", self.command(host, port), lambda program: self.is_ready(host, port))

    def use_certificate(self, name):
        """The API server notices by itself that its files have changed."""
        for end in ("key", "pem"):
            shutil.copy(self.pki.path(f"{name}.{end}"), self.pki.path("new"))
            self.pki.path("new").rename(self.pki.path(f"serving-used.{end}"))

    def use_account_keys(self, signer, verifiers):
        """Starts the API server again with other keys for service account tokens."""
        self.keys = (signer, verifiers)
        self.api.restart(self.command())

    def is_ready(self, host="127.0.0.1", port=None):
        try:
            return (self.ask("GET", "/readyz", decode=False, host=host, port=port) == b"ok" and
                    self.ask("GET", f"{RBAC}/clusterroles/system:auth-delegator", host=host, port=port))
        except (Refused, http.client.HTTPException):
            return False

    def stop(self):
        self.api.stop()
        self.etcd.stop()

    # ---- what kubectl does -----------------------------------------------------------------------

    def ask(self, method, path, body=None, decode=True, host="127.0.0.1", port=None):
        """The answer to an administrator's request."""
        context = ssl.create_default_context(cafile=self.pki.path("ca.pem"))
        context.check_hostname = host == "127.0.0.1"
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 wants more of certificates than kube-apiserver does
        context.load_cert_chain(self.pki.path("admin.pem"), self.pki.path("admin.key"))
        connection = http.client.HTTPSConnection(host, port or self.port, timeout=PATIENCE, context=context)
        try:
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, text.decode("utf-8", "replace"))
        return json.loads(text) if decode else text

    def create_namespace(self, name):
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def create_account(self, namespace, name):
        self.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def delete_account(self, namespace, name):
        self.ask("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")

    def create_pod(self, namespace, name, account):
        """Which nobody ever starts: there is no kubelet."""
        spec = {"serviceAccountName": account, "containers": [{"name": "main", "image": "none"}]}
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": spec})

    def delete_pod(self, namespace, name):
        self.ask("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 0})

    def create_token(self, namespace, name, *audiences, bound_to=None, seconds=3600):
        """kubectl create token NAME --audience ...; bound_to: the pod that the token ends with."""
        spec = {"audiences": list(audiences), "expirationSeconds": seconds}
        if bound_to:
            meta = bound_to["metadata"]
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        return self.ask("POST", path, {"spec": spec})["status"]["token"]

    def bind_reviewer(self, binding, namespace, name):
        """kubectl create clusterrolebinding BINDING --clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME"""
        self.ask("POST", f"{RBAC}/clusterrolebindings", {
            "metadata": {"name": binding}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
            "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}]})

    def unbind_reviewer(self, binding):
        self.ask("DELETE", f"{RBAC}/clusterrolebindings/{urllib.parse.quote(binding)}")


def claims_of(token):
    """What a JWT says, unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
