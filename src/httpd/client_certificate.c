/* Asks whoever makes TLS for httpd for the client's certificate. In request threads. */
#include "httpd/client_certificate.h"

#include "jose/thumbprint.h"

#include <http_ssl.h>

int la_client_certificate_thumbprint(request_rec *r, char text[LA_THUMBPRINT_LEN + 1])
{
    conn_rec *c = r->connection;
    const char *pem;

    text[0] = '\0';
    if (!ap_ssl_conn_is_ssl(c->master ? c->master : c)) {
        return 0;
    }
    /* A stream of HTTP/2 has a connection of its own; mod_ssl finds the one that it belongs to. */
    pem = ap_ssl_var_lookup(r->pool, r->server, c, r, "SSL_CLIENT_CERT");
    return pem && *pem && la_certificate_thumbprint(la_slice_of(pem), text);
}
