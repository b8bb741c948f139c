/* The key file's form and the look-up in it. When the file is read, and what an answer is made of a
 * key, is static.c's.
 *
 * Parsed at startup and by the request thread that finds a newer version; looked up in by all
 * request threads.
 *
 * The look-up is constant-time in the secret: what is looked for is the SHA-256 of what the
 * client sent. How far a comparison gets tells something of two digests, but nobody can choose a
 * token whose digest begins as a stored one does, so what is learnt from one guess helps with no
 * other. The last comparison, of all 32 bytes, takes the same time wherever they differ, all the
 * same.
 */
#include "provider/static_keys.h"

#include "access/claims.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include <openssl/crypto.h>

/* How much of a digest the hash table sees. */
#define PREFIX_BYTES 8

struct la_static_keys_t {
    apr_hash_t *by_prefix; /* la_api_key_t, chained */
    unsigned count;
};

/* A file being read. */
typedef struct reading_t {
    const la_provider_common_t *common;
    apr_pool_t *pool;
    apr_pool_t *entry_pool; /* cleared after each entry */
    apr_hash_t *ids;
    la_static_keys_t *keyfile;
} reading_t;

const la_api_key_t *la_static_keys_find(const la_static_keys_t *keyfile,
                                        const unsigned char *digest)
{
    const la_api_key_t *key = apr_hash_get(keyfile->by_prefix, digest, PREFIX_BYTES);

    while (key && CRYPTO_memcmp(key->digest, digest, LA_DIGEST_BYTES) != 0) {
        key = key->next;
    }
    return key;
}

unsigned la_static_keys_count(const la_static_keys_t *keyfile)
{
    return keyfile->count;
}

static int is_known(la_slice_t name)
{
    static const char *const known[] = {"id", "sha256", "principal", "attributes", "expires"};
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (la_slice_is(name, known[i])) {
            return 1;
        }
    }
    return 0;
}

/* Names the field if it is a word as names are: a key in the wrong place is not for the log. */
static const char *unknown_field(const reading_t *reading, la_slice_t name, int position)
{
    static const char fields[] = "there are id, sha256, principal, attributes and expires";
    const char *text = apr_pstrmemdup(reading->pool, name.data, name.len);

    if (name.len > 0 && name.len <= 24 &&
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == name.len) {
        return apr_psprintf(reading->pool, "unknown field (number %d), %s: %s", position, text,
                            fields);
    }
    return apr_psprintf(reading->pool, "unknown field (number %d): %s", position, fields);
}

static const char *check_members(const reading_t *reading, const la_json_t *entry)
{
    la_json_iterator_t it = {0};
    la_slice_t name;
    const la_json_t *value;
    int position;

    if (la_json_type(entry) != LA_JSON_OBJECT) {
        return "not an object";
    }
    for (position = 1; la_json_next(entry, &it, &name, &value); position++) {
        if (value && !is_known(name)) {
            return unknown_field(reading, name, position);
        }
    }
    return NULL;
}

static const char *read_id(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member;
    la_slice_t id;
    apr_size_t i;

    if (!la_json_member(entry, "id", &member) || !member) {
        return NULL;
    }
    if (!la_json_string(member, &id) || id.len == 0) {
        return "id is not a string, or empty";
    }
    for (i = 0; i < id.len; i++) {
        if ((unsigned char)id.data[i] < 0x20 || id.data[i] == 0x7f) {
            return "id holds a control character";
        }
    }
    key->label = apr_pstrmemdup(reading->pool, id.data, id.len);
    if (apr_hash_get(reading->ids, key->label, (apr_ssize_t)id.len)) {
        return "duplicate id";
    }
    apr_hash_set(reading->ids, key->label, (apr_ssize_t)id.len, key);
    return NULL;
}

static int decode_digest(la_slice_t hex, unsigned char *digest)
{
    apr_size_t i;

    if (hex.len != (apr_size_t)2 * LA_DIGEST_BYTES) {
        return 0;
    }
    for (i = 0; i < LA_DIGEST_BYTES; i++) {
        int high = OPENSSL_hexchar2int((unsigned char)hex.data[2 * i]);
        int low = OPENSSL_hexchar2int((unsigned char)hex.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return 1;
}

static const char *read_digest(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member;
    la_slice_t hex;

    if (!la_json_member(entry, "sha256", &member) || !member) {
        return "no sha256";
    }
    if (!la_json_string(member, &hex) || !decode_digest(hex, key->digest)) {
        return "sha256 is not 64 hex digits";
    }
    return la_static_keys_find(reading->keyfile, key->digest) ? "duplicate sha256" : NULL;
}

static const char *read_expires(const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member;
    la_slice_t text;

    if (!la_json_member(entry, "expires", &member) || !member) {
        return NULL;
    }
    if (!la_json_string(member, &text) || !la_timestamp_parse(text, &key->expires)) {
        return "expires is not a date and time as in 2027-01-01T00:00:00Z (RFC 3339)";
    }
    if (key->expires <= 0) {
        key->expires = 1; /* long past; 0 would mean never */
    }
    return NULL;
}

/* The principal: the entry's own, or what PrincipalClaim names instead. */
static const char *read_principal(const reading_t *reading, const la_claims_t *claims,
                                  la_identity_builder_t *builder)
{
    const apr_array_header_t *names = reading->common->principal_claims;
    const la_json_t *member;
    const char *error;
    la_slice_t text;
    int found = la_json_member(claims->first, "principal", &member) && member;

    if (found && !la_json_string(member, &text)) {
        return "the principal is not a string";
    }
    if (names) {
        error = la_claims_principal(claims, names, builder, reading->entry_pool, &found);
    } else {
        error = found ? la_identity_set_principal(builder, text) : NULL;
    }
    return error || found ? error : "no principal";
}

static const char *read_attributes(const reading_t *reading, const la_claims_t *claims,
                                   la_identity_builder_t *builder)
{
    /* The form is checked even where Claim lines take only parts of it. */
    la_identity_builder_t *whole =
        reading->common->claims ? la_identity_builder_make(reading->entry_pool) : builder;
    const char *error = la_claims_attributes(claims->second, 0, whole, reading->entry_pool);

    if (!error && reading->common->claims) {
        la_claims_map(claims, reading->common->claims, builder, reading->entry_pool);
    }
    return error;
}

static const char *read_identity(const reading_t *reading, const la_json_t *entry,
                                 la_api_key_t *key)
{
    la_identity_builder_t *builder = la_identity_builder_make(reading->entry_pool);
    la_claims_t claims = {entry, NULL};
    const char *error;

    (void)la_json_member(entry, "attributes", &claims.second);
    error = read_principal(reading, &claims, builder);
    if (!error) {
        error = read_attributes(reading, &claims, builder);
    }
    return error ? error : la_identity_build(builder, reading->pool, &key->identity);
}

static void add_key(la_static_keys_t *keyfile, la_api_key_t *key)
{
    key->next = apr_hash_get(keyfile->by_prefix, key->digest, PREFIX_BYTES);
    apr_hash_set(keyfile->by_prefix, key->digest, PREFIX_BYTES, key);
    keyfile->count++;
}

static const char *read_entry(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const char *error = check_members(reading, entry);

    if (!error) {
        error = read_id(reading, entry, key);
    }
    if (!error) {
        error = read_digest(reading, entry, key);
    }
    if (!error) {
        error = read_expires(entry, key);
    }
    if (!error) {
        error = read_identity(reading, entry, key);
    }
    return error;
}

static const char *read_entries(const reading_t *reading, la_json_list_t *entries)
{
    apr_size_t i;

    for (i = 0; i < entries->count; i++) {
        const la_json_t *entry;
        const char *error = la_json_list_next(entries, reading->entry_pool, &entry);

        if (error || entry) { /* null is skipped */
            la_api_key_t *key = apr_pcalloc(reading->pool, sizeof(*key));
            const char *position = apr_psprintf(reading->pool, "keys[%" APR_SIZE_T_FMT "]", i);

            key->label = position;
            error = error ? error : read_entry(reading, entry, key);
            if (error) {
                return apr_pstrcat(reading->pool, position, ": ", error, NULL);
            }
            add_key(reading->keyfile, key);
        }
        apr_pool_clear(reading->entry_pool);
    }
    return NULL;
}

/* Members that are not null. */
static int count_members(const la_json_t *object)
{
    la_json_iterator_t it = {0};
    const la_json_t *value;
    la_slice_t name;
    int count = 0;

    while (la_json_next(object, &it, &name, &value)) {
        count += value != NULL;
    }
    return count;
}

static const char *read_top(const reading_t *reading, const la_json_t *top, la_json_list_t *entries)
{
    const la_json_t *member;

    if (la_json_type(top) != LA_JSON_OBJECT) {
        return "not a JSON object";
    }
    if (!la_json_member(top, "keys", &member) || la_json_type(member) != LA_JSON_ARRAY) {
        return "no list named \"keys\"";
    }
    if (count_members(top) != 1) {
        return "a field beside \"keys\"";
    }
    return read_entries(reading, entries);
}

const char *la_static_keys_parse(la_slice_t text, const la_provider_common_t *common,
                                 apr_pool_t *pool, apr_pool_t *scratch, la_static_keys_t **keyfile)
{
    reading_t reading = {.common = common, .pool = pool, .ids = apr_hash_make(scratch)};
    const la_json_t *top;
    la_json_list_t entries;
    const char *error = la_json_parse_list(scratch, text, "keys", &top, &entries);

    *keyfile = NULL;
    if (error) {
        return apr_pstrdup(pool, error);
    }
    reading.keyfile = apr_pcalloc(pool, sizeof(*reading.keyfile));
    reading.keyfile->by_prefix = apr_hash_make(pool);
    apr_pool_create(&reading.entry_pool, scratch);
    error = read_top(&reading, top, &entries);
    *keyfile = error ? NULL : reading.keyfile;
    return error;
}
