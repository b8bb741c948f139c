"""Certificates for the TLS tests, made once per run with the openssl command line."""

import ssl
import subprocess
import warnings


def openssl(*arguments, directory):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Authority:
    """A test CA (`ca.pem`), a foreign one (`other-ca.pem`), server certificates by name and a client's."""

    def __init__(self, directory):
        self.directory = directory
        for ca in ("ca", "other-ca"):
            self.root(ca)
        address = "IP:127.0.0.1,DNS:localhost"
        self.issue("good", address)
        self.issue("wrong-name", "DNS:elsewhere.example")
        self.issue("foreign", address, ca="other-ca")
        self.issue("expired", address, dates=("20200101000000Z", "20200201000000Z"))
        self.issue("future", address, dates=("20500101000000Z", "20510101000000Z"))
        self.issue("client", "DNS:client.example", usage="clientAuth")
        self.issue("client-foreign", "DNS:client.example", ca="other-ca", usage="clientAuth")
        for path in directory.iterdir():
            path.chmod(0o644)

    def path(self, name):
        return self.directory / name

    def read(self, name):
        return self.path(name).read_text()

    def new_key(self, name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key",
                directory=self.directory)

    def root(self, name):
        self.new_key(name)
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-days", "3650", "-out",
                f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE", directory=self.directory)
        self.path(f"{name}.index").write_text("")
        self.path(f"{name}.cnf").write_text(
            f"[ca]\ndefault_ca = this\n[this]\ndatabase = {name}.index\nnew_certs_dir = .\nrand_serial = yes\n"
            f"default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n")

    def issue(self, name, address, ca="ca", dates=("20200101000000Z", "20500101000000Z"), usage="serverAuth"):
        self.new_key(name)
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr",
                directory=self.directory)
        self.path(f"{name}.ext").write_text(f"subjectAltName = {address}\nextendedKeyUsage = {usage}\n")
        openssl("ca", "-batch", "-notext", "-config", f"{ca}.cnf", "-cert", f"{ca}.pem", "-keyfile", f"{ca}.key",
                "-startdate", dates[0], "-enddate", dates[1], "-extfile", f"{name}.ext", "-in", f"{name}.csr",
                "-out", f"{name}.pem", directory=self.directory)

    def server_context(self, name, client_ca=None, maximum=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        if client_ca:
            context.load_verify_locations(self.path(f"{client_ca}.pem"))
            context.verify_mode = ssl.CERT_REQUIRED
        if maximum:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is tested
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = maximum
        return context
