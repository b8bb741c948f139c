/* Writes an assertion's claims. In request threads. */
#include "signer/assertion.h"

#include "base/base64url.h"
#include "base/json.h"
#include "base/units.h"

#include <openssl/err.h>
#include <openssl/rand.h>

/* How far `iat` lies back: the backend's clock may be behind ours. */
#define CLOCK_SLACK_S 5

#define JTI_BYTES 16

/* ---- members ---- */

static void write_name(la_json_writer_t *w, la_slice_t name)
{
    la_json_write_raw(w, LA_SLICE(","));
    la_json_write_string(w, name);
    la_json_write_raw(w, LA_SLICE(":"));
}

static void write_text(la_json_writer_t *w, const char *name, const char *text)
{
    write_name(w, la_slice_of(name));
    la_json_write_string(w, la_slice_of(text));
}

static void write_time(la_json_writer_t *w, const char *name, apr_time_t seconds)
{
    char digits[LA_UNITS_DIGITS];

    write_name(w, la_slice_of(name));
    la_json_write_raw(
        w, (la_slice_t){digits, (apr_size_t)(la_units_write(digits, (uint64_t)seconds) - digits)});
}

static void write_list(la_json_writer_t *w, la_slice_t name, const la_identity_t *identity,
                       apr_size_t category)
{
    apr_size_t count = la_identity_value_count(identity, category);

    write_name(w, name);
    la_json_write_raw(w, LA_SLICE("["));
    for (apr_size_t i = 0; i < count; i++) {
        la_json_write_raw(w, i == 0 ? LA_SLICE("") : LA_SLICE(","));
        la_json_write_string(w, la_identity_value(identity, category, i));
    }
    la_json_write_raw(w, LA_SLICE("]"));
}

/* ---- scope ---- */

/* Whether a reader that splits at blanks, Unicode's too, takes the text for this one scope (RFC
 * 6749 section 3.3). */
static int is_one_scope(la_slice_t text)
{
    apr_size_t i = 0;

    while (i < text.len && text.data[i] > ' ' && text.data[i] < 0x7f) {
        i++;
    }
    return text.len > 0 && i == text.len;
}

/* The scopes, joined by spaces; no claim where there is none. */
static void write_scope(la_json_writer_t *w, const la_identity_t *identity, apr_size_t category)
{
    apr_size_t count = la_identity_value_count(identity, category);
    apr_size_t len = 0;
    char *joined;

    for (apr_size_t i = 0; i < count; i++) {
        len += la_identity_value(identity, category, i).len + 1;
    }
    joined = apr_palloc(w->pool, len + 1);
    len = 0;
    for (apr_size_t i = 0; i < count; i++) {
        la_slice_t scope = la_identity_value(identity, category, i);

        if (is_one_scope(scope)) {
            memcpy(joined + len, scope.data, scope.len);
            len += scope.len;
            joined[len++] = ' ';
        }
    }
    if (len > 0) {
        write_name(w, LA_SLICE("scope"));
        la_json_write_string(w, (la_slice_t){joined, len - 1});
    }
}

/* ---- categories ---- */

/* Each category but the scopes under its own name, unless that is one of our claims. */
static void write_categories(la_json_writer_t *w, const la_identity_t *identity, apr_size_t scopes)
{
    for (apr_size_t i = 0; i < la_identity_count(identity); i++) {
        la_slice_t name = la_identity_category(identity, i);

        if (i != scopes && !la_signer_reserves(name)) {
            write_list(w, name, identity, i);
        }
    }
}

/* One Claim line. A caller with several values of a claim of one has been refused. */
static void write_claim(la_json_writer_t *w, const la_identity_t *identity,
                        const la_signer_claim_t *claim, apr_size_t category)
{
    if (!claim->is_one) {
        write_list(w, la_slice_of(claim->name), identity, category);
    } else if (la_identity_value_count(identity, category) == 1) {
        write_name(w, la_slice_of(claim->name));
        la_json_write_string(w, la_identity_value(identity, category, 0));
    }
}

/* The categories that Claim lines name, as far as the caller has them. */
static void write_claims(la_json_writer_t *w, const la_identity_t *identity,
                         const apr_array_header_t *claims)
{
    for (int i = 0; i < claims->nelts; i++) {
        const la_signer_claim_t *claim = &APR_ARRAY_IDX(claims, i, la_signer_claim_t);
        apr_size_t category = la_identity_find(identity, claim->category);

        if (category < la_identity_count(identity)) {
            write_claim(w, identity, claim, category);
        }
    }
}

static void write_attributes(la_json_writer_t *w, const la_signer_t *signer,
                             const la_identity_t *identity)
{
    apr_size_t scopes = la_identity_find(identity, LA_SLICE(LA_CATEGORY_SCOPES));

    write_scope(w, identity, scopes);
    if (signer->claims->nelts > 0) {
        write_claims(w, identity, signer->claims);
    } else {
        write_categories(w, identity, scopes);
    }
}

/* ---- the whole ---- */

/* Returns 0 when libcrypto fails. */
static int make_jti(char text[LA_BASE64URL_CHARS(JTI_BYTES) + 1])
{
    unsigned char bytes[JTI_BYTES];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ERR_clear_error();
        return 0;
    }
    la_base64url_encode((la_slice_t){(const char *)bytes, sizeof(bytes)}, text);
    return 1;
}

/* The end of an assertion: not beyond the caller's own token, whose end may be in this second. */
static apr_time_t end_of(const la_assertion_t *assertion)
{
    apr_time_t own = la_identity_end(assertion->identity);
    apr_time_t end = assertion->now + assertion->signer->lifetime_us;

    return own && own < end ? own : end;
}

const char *la_assertion_make(const la_assertion_t *assertion, const la_signing_key_t *key,
                              apr_pool_t *pool, apr_time_t *ends)
{
    char jti[LA_BASE64URL_CHARS(JTI_BYTES) + 1];
    apr_time_t end = apr_time_sec(end_of(assertion));
    la_json_writer_t writer;

    *ends = apr_time_from_sec(end);
    if (!make_jti(jti)) {
        return NULL;
    }
    la_json_writer_init(&writer, pool);
    la_json_write_raw(&writer, assertion->signer->beginning);
    write_text(&writer, "sub", assertion->principal);
    write_time(&writer, "iat", apr_time_sec(assertion->now) - CLOCK_SLACK_S);
    write_time(&writer, "exp", end);
    write_text(&writer, "jti", jti);
    write_text(&writer, "client_id", assertion->client_id);
    write_attributes(&writer, assertion->signer, assertion->identity);
    la_json_write_raw(&writer, LA_SLICE("}"));
    return la_signing_jwt(key, (la_slice_t){writer.data, writer.len}, LA_SLICE(LA_ASSERTION_PREFIX),
                          pool);
}
