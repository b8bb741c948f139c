/* Nonces. A new one is made under LlamaAuthCacheSecret's first secret, else under this server's own
 * key; one made under any of the keys is good, so that neither a new secret nor a graceful restart
 * that brings the first one turns clients away. */
#include "lookup/nonce.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <stdlib.h>

#define TIME_DIGITS 16
#define MAC_DIGITS  (LA_NONCE_LEN - TIME_DIGITS)

static int count_keys(const la_shared_t *shared)
{
    return (shared->secrets ? shared->secrets->secret_count : 0) + (shared->nonce_key != NULL);
}

/* Key `i`: those of the secrets come first. To be cleansed after use. */
static void get_keys(const la_shared_t *shared, int i, la_seal_keys_t *keys)
{
    if (shared->secrets && i < shared->secrets->secret_count) {
        la_remote_secret_keys(shared->secrets, i, keys);
        return;
    }
    memset(keys, 0, sizeof(*keys));
    memcpy(keys->naming, shared->nonce_key, LA_NONCE_KEY_BYTES);
}

/* Makes the nonce of a time under one key. Returns 0 when libcrypto fails. */
static int make_under(const la_shared_t *shared, int i, apr_time_t at, char text[LA_NONCE_LEN + 1])
{
    char digits[TIME_DIGITS + 1];
    la_slice_t parts[2] = {LA_SLICE("nonce"), {digits, TIME_DIGITS}};
    char mac[LA_SEAL_NAME_LEN + 1];
    la_seal_keys_t keys;
    apr_status_t rv;

    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)at);
    get_keys(shared, i, &keys);
    rv = la_seal_name(&keys, parts, 2, mac);
    OPENSSL_cleanse(&keys, sizeof(keys));
    if (rv != APR_SUCCESS) {
        return 0;
    }
    memcpy(text, digits, TIME_DIGITS);
    memcpy(text + TIME_DIGITS, mac, MAC_DIGITS);
    text[LA_NONCE_LEN] = '\0';
    return 1;
}

void la_nonce_make(const la_shared_t *shared, apr_time_t now, char text[LA_NONCE_LEN + 1])
{
    if (count_keys(shared) == 0 || !make_under(shared, 0, now, text)) {
        text[0] = '\0';
    }
}

/* Reads the time. Returns 0 when it is not written as la_nonce_make() does. */
static int read_time(la_slice_t nonce, apr_time_t *at)
{
    char digits[TIME_DIGITS + 1] = "";
    unsigned long long time;

    memcpy(digits, nonce.data, TIME_DIGITS);
    time = strtoull(digits, NULL, 16);
    *at = (apr_time_t)time;
    return strspn(digits, "0123456789abcdef") == TIME_DIGITS && time <= INT64_MAX / 2;
}

la_nonce_e la_nonce_check(const la_shared_t *shared, la_slice_t nonce, apr_time_t now)
{
    char good[LA_NONCE_LEN + 1];
    apr_time_t at;
    int is_ours = 0;

    if (nonce.len != LA_NONCE_LEN || now < 0 || !read_time(nonce, &at) ||
        at - LA_NONCE_AHEAD_US > now || now - at >= LA_NONCE_LIFE_US) {
        return LA_NONCE_BAD;
    }
    for (int i = 0; i < count_keys(shared) && !is_ours; i++) {
        is_ours =
            make_under(shared, i, at, good) && CRYPTO_memcmp(good, nonce.data, LA_NONCE_LEN) == 0;
    }
    if (!is_ours) {
        return LA_NONCE_BAD;
    }
    return now - at >= LA_NONCE_SOON_US ? LA_NONCE_ENDS_SOON : LA_NONCE_GOOD;
}
