/* A certificate's name that anybody computes from the certificate alone (RFC 8705 section 3.1). */
#ifndef LA_CERTIFICATE_H
#define LA_CERTIFICATE_H

#include "base/slice.h"
#include "jose/thumbprint.h"

/* The SHA-256 of the DER of a certificate, in base64url: `x5t#S256`. Of several certificates the
 * first counts. It is not looked at: who made the TLS connection has done that, and reading a
 * certificate's key takes OpenSSL 3 a hundred microseconds.
 *
 * pem: with the lines around it (RFC 7468). text: closed with NUL; empty on failure.
 * Returns 1, or 0 if it is no PEM of a certificate. Leaves OpenSSL's error queue empty. Any thread.
 */
int la_certificate_thumbprint(la_slice_t pem, char text[LA_THUMBPRINT_LEN + 1]);

#endif
