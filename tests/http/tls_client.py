"""The raw HTTP client over TLS, with a client certificate or without one."""

import hashlib
import ssl

from jwcrypto.common import base64url_encode

from client import Connection

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def thumbprint(path):
    """`x5t#S256` of a certificate's file (RFC 8705 section 3.1)."""
    return base64url_encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(path.read_text())).digest())


def context(pki, certificate=None, version="1.3"):
    """For one version of TLS. certificate: the name of one of the authority's; it is shown only if the server asks for one."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(pki.path("ca.pem"))
    made.minimum_version = made.maximum_version = VERSIONS[version]
    made.post_handshake_auth = True
    if certificate:
        made.load_cert_chain(pki.path(f"{certificate}.pem"), pki.path(f"{certificate}.key"))
    return made


class TlsConnection(Connection):
    """session: of an earlier connection, to be resumed."""

    def __init__(self, port, made, secrets=None, session=None):
        super().__init__(port, secrets)
        self.socket = made.wrap_socket(self.socket, server_hostname="127.0.0.1", session=session)
