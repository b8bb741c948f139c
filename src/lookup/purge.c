/* Reads purges. No state; any thread. */
#include "lookup/purge.h"

#include "access/token.h"

#include <string.h>

static int strip(la_slice_t *text, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    if (text->len <= len || memcmp(text->data, prefix, len) != 0) {
        return 0;
    }
    text->data += len;
    text->len -= len;
    return 1;
}

static int is_client_id(la_slice_t text)
{
    for (apr_size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return 0;
        }
    }
    return text.len == LA_CLIENT_ID_LEN;
}

int la_purge_parse(la_slice_t text, la_purge_t *purge)
{
    if (la_slice_is(text, "all")) {
        *purge = (la_purge_t){LA_PURGE_ALL, {"", 0}};
        return 1;
    }
    if (strip(&text, "principal:")) {
        *purge = (la_purge_t){LA_PURGE_PRINCIPAL, text};
        return 1;
    }
    if (strip(&text, "client_id:") && is_client_id(text)) {
        *purge = (la_purge_t){LA_PURGE_CLIENT_ID, text};
        return 1;
    }
    return 0;
}
