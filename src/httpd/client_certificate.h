/* The certificate that the client showed when the TLS connection was made. */
#ifndef LA_CLIENT_CERTIFICATE_H
#define LA_CLIENT_CERTIFICATE_H

#include "jose/thumbprint.h"

#include <httpd.h>

/* The thumbprint of the TLS client certificate, as `x5t#S256` has it (RFC 8705 section 3.1).
 *
 * The handshake has proven that the client has the certificate's key, whoever signed it: mod_ssl's
 * `SSLVerifyClient optional_no_ca` lets self-signed ones through (RFC 8705 section 2.2). A resumed
 * session has the certificate of the session that it resumes. It is read again for each request,
 * because `SSLVerifyClient` of a section can ask for one while the connection lives.
 *
 * text: empty if there is none. Returns 1, or 0: no TLS here, no mod_ssl, or no certificate. */
int la_client_certificate_thumbprint(request_rec *r, char text[LA_THUMBPRINT_LEN + 1]);

#endif
