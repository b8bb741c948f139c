/* The form of a key file, and the look-up in it. The look-up is constant-time in the secret,
 * because it compares SHA-256 digests: nobody can choose a token whose digest begins like a stored
 * one, so how far a comparison gets helps with no other guess. The last comparison, of all 32
 * bytes, is constant-time nevertheless. */
#include "provider/static_keys.h"

#include "access/claims.h"
#include "base/cidr.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

/* How much of a digest the hash table sees. */
#define PREFIX_BYTES 8

struct la_static_keys_t {
    apr_hash_t *by_prefix;   /* of la_api_key_t, chained */
    apr_array_header_t *all; /* of const la_api_key_t * */
};

typedef struct reading_t {
    const la_static_keys_form_t *form;
    apr_pool_t *pool;
    apr_pool_t *entry_pool; /* cleared after each entry */
    apr_hash_t *ids;        /* of la_key_entries_t */
    la_static_keys_t *keys;
} reading_t;

const la_api_key_t *la_static_keys_find(const la_static_keys_t *keys, const unsigned char *digest)
{
    const la_api_key_t *key = apr_hash_get(keys->by_prefix, digest, PREFIX_BYTES);

    while (key && CRYPTO_memcmp(key->digest, digest, LA_DIGEST_BYTES) != 0) {
        key = key->next;
    }
    return key;
}

const apr_array_header_t *la_static_keys_all(const la_static_keys_t *keys)
{
    return keys->all;
}

const char *la_static_keys_refusal(const la_api_key_t *key, apr_time_t now, apr_pool_t *pool)
{
    if (key->disabled) {
        return "is disabled";
    }
    if (key->expires != 0 && now >= key->expires) {
        return apr_pstrcat(pool, "expired at ", la_timestamp_text(pool, key->expires), NULL);
    }
    if (now < key->not_before) {
        return apr_pstrcat(pool, "is not valid before ", la_timestamp_text(pool, key->not_before),
                           NULL);
    }
    return NULL;
}

int la_static_keys_ends_soon(const la_api_key_t *key, apr_time_t now, apr_interval_time_t within)
{
    return !key->disabled && now < key->expires && key->expires - now <= within &&
           key->expires == key->entries->ends;
}

int la_static_keys_is_from(const la_api_key_t *key, const char *client_ip)
{
    la_slice_t text = la_slice_of(client_ip);
    la_cidr_t client;

    if (!key->from) {
        return 1;
    }
    text.len = strcspn(text.data, "%"); /* without an IPv6 zone */
    if (!la_cidr_parse(text, &client)) {
        return 0;
    }
    for (int i = 0; i < key->from->nelts; i++) {
        if (la_cidr_holds(&APR_ARRAY_IDX(key->from, i, la_cidr_t), &client)) {
            return 1;
        }
    }
    return 0;
}

static int is_known(la_slice_t name)
{
    static const char *const names[] = {"id",       "sha256", "principal", "attributes", "expires",
                                        "disabled", "from",   "note",      "not_before", "created"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (la_slice_is(name, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Shows the field only if it looks like a name: somebody may have put a key in the wrong place. */
static const char *unknown_field(const reading_t *reading, la_slice_t name, int position)
{
    static const char fields[] = "there are id, sha256, principal, attributes, expires, "
                                 "not_before, disabled, from, note and created";
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
        if (value && !reading->form->lenient && !is_known(name)) {
            return unknown_field(reading, name, position);
        }
    }
    return NULL;
}

static const char *read_id(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member = la_json_get(entry, "id");
    la_slice_t id;

    if (!member) {
        return NULL;
    }
    if (!la_json_string(member, &id) || id.len == 0) {
        return "id is not a string, or empty";
    }
    for (apr_size_t i = 0; i < id.len; i++) {
        if ((unsigned char)id.data[i] < 0x20 || id.data[i] == 0x7f) {
            return "id holds a control character";
        }
    }
    key->id = key->label = apr_pstrmemdup(reading->pool, id.data, id.len);
    return NULL;
}

/* Several entries may have one id: the keys before a rotation end while the new one begins. */
static const char *count_entry(const reading_t *reading, la_api_key_t *key)
{
    la_key_entries_t *entries =
        key->id ? apr_hash_get(reading->ids, key->id, APR_HASH_KEY_STRING) : NULL;
    apr_time_t ends = key->expires == 0 ? LA_KEY_NEVER : key->expires;

    if (!entries) {
        entries = apr_pcalloc(reading->pool, sizeof(*entries));
        if (key->id) {
            apr_hash_set(reading->ids, key->id, APR_HASH_KEY_STRING, entries);
        }
    }
    key->entries = entries;
    key->entry = ++entries->count;
    entries->endless += key->expires == 0;
    if (!key->disabled && ends > entries->ends) {
        entries->ends = ends;
    }
    return entries->endless > 1 ? "duplicate id: only one entry of an id may be without expires"
                                : NULL;
}

static int decode_digest(la_slice_t hex, unsigned char *digest)
{
    size_t len;
    int good = hex.len == (apr_size_t)2 * LA_DIGEST_BYTES && strlen(hex.data) == hex.len &&
               OPENSSL_hexstr2buf_ex(digest, LA_DIGEST_BYTES, &len, hex.data, '\0') == 1 &&
               len == LA_DIGEST_BYTES;

    ERR_clear_error();
    return good;
}

/* Shared memory holds no part of the digest itself. */
static int hash_digest(la_api_key_t *key)
{
    la_slice_t bytes = {(const char *)key->digest, LA_DIGEST_BYTES};
    unsigned char hash[LA_DIGEST_BYTES];
    int good = la_digest_sha256(bytes, hash) == APR_SUCCESS;

    if (good) {
        memcpy(&key->mark, hash, sizeof(key->mark));
    }
    return good;
}

static const char *read_digest(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member = la_json_get(entry, "sha256");
    la_slice_t hex;

    if (!member) {
        return "no sha256";
    }
    if (!la_json_string(member, &hex) || !decode_digest(hex, key->digest)) {
        return "sha256 is not 64 hex digits";
    }
    if (!hash_digest(key)) {
        return "libcrypto makes no SHA-256";
    }
    return la_static_keys_find(reading->keys, key->digest) ? "duplicate sha256" : NULL;
}

/* A time before 1970 becomes 1: 0 means that there is none. */
static const char *read_time(const reading_t *reading, const la_json_t *entry, const char *name,
                             apr_time_t *at)
{
    const la_json_t *member = la_json_get(entry, name);
    la_slice_t text;

    if (!member) {
        return NULL;
    }
    if (!la_json_string(member, &text) || !la_timestamp_parse(text, at)) {
        return apr_pstrcat(reading->pool, name,
                           " is not a date and time as in 2027-01-01T00:00:00Z (RFC 3339)", NULL);
    }
    *at = *at > 0 ? *at : 1;
    return NULL;
}

static const char *read_from(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const la_json_t *member = la_json_get(entry, "from");
    apr_array_header_t *from;

    if (!member) {
        return NULL;
    }
    if (la_json_type(member) != LA_JSON_ARRAY) {
        return "from is not a list";
    }
    from = apr_array_make(reading->pool, (int)la_json_count(member), sizeof(la_cidr_t));
    key->from = from;
    for (apr_size_t i = 0; i < la_json_count(member); i++) {
        const la_json_t *item = la_json_item(member, i);
        la_slice_t text;

        if (item && (!la_json_string(item, &text) ||
                     !la_cidr_parse(text, (la_cidr_t *)apr_array_push(from)))) {
            return "from holds something that is no network as in 10.0.0.0/8 or 2001:db8::/32";
        }
    }
    return NULL;
}

static const char *read_switches(const reading_t *reading, const la_json_t *entry,
                                 la_api_key_t *key)
{
    const la_json_t *disabled = la_json_get(entry, "disabled");
    const la_json_t *note = la_json_get(entry, "note");

    if (disabled && !la_json_boolean(disabled, &key->disabled)) {
        return "disabled is neither true nor false";
    }
    if (note && la_json_type(note) != LA_JSON_STRING) {
        return "note is not a string";
    }
    return read_from(reading, entry, key);
}

/* The principal is the entry's `principal`, or what PrincipalClaim names. */
static const char *read_principal(const reading_t *reading, const la_claims_t *claims,
                                  la_identity_builder_t *builder)
{
    const apr_array_header_t *names = reading->form->common->principal_claims;
    const la_json_t *member = la_json_get(claims->first, "principal");
    const char *error;
    la_slice_t text;
    int found = member != NULL;

    if (found && !la_json_string(member, &text)) {
        return "the principal is not a string";
    }
    if (names) {
        error = la_claims_principal(claims, names, builder, reading->entry_pool, &found);
    } else {
        error = found ? la_identity_set_principal(builder, text) : NULL;
    }
    if (!error && !found && reading->form->lenient) {
        return la_identity_set_principal(builder, LA_SLICE("-"));
    }
    return error || found ? error : "no principal";
}

static const char *read_attributes(const reading_t *reading, const la_claims_t *claims,
                                   la_identity_builder_t *builder)
{
    /* Claim lines may take only parts, but the form of all is checked. */
    la_identity_builder_t *whole =
        reading->form->common->claims ? la_identity_builder_make(reading->entry_pool) : builder;
    const char *error = la_claims_attributes(claims->second, 0, whole, reading->entry_pool);

    if (!error && reading->form->common->claims) {
        la_claims_map(claims, reading->form->common->claims, builder, reading->entry_pool);
    }
    return error;
}

static const char *read_identity(const reading_t *reading, const la_json_t *entry,
                                 la_api_key_t *key)
{
    la_identity_builder_t *builder = la_identity_builder_make(reading->entry_pool);
    la_claims_t claims = {.first = entry, .second = la_json_get(entry, "attributes")};
    const char *error = read_principal(reading, &claims, builder);

    error = error ? error : read_attributes(reading, &claims, builder);
    error = error ? error : la_identity_build(builder, reading->pool, &key->identity);
    if (!error) {
        key->identity = la_identity_ending(reading->pool, key->identity, key->expires);
    }
    return error;
}

static void add_key(la_static_keys_t *keys, la_api_key_t *key)
{
    key->next = apr_hash_get(keys->by_prefix, key->digest, PREFIX_BYTES);
    apr_hash_set(keys->by_prefix, key->digest, PREFIX_BYTES, key);
    APR_ARRAY_PUSH(keys->all, const la_api_key_t *) = key;
}

static const char *read_entry(const reading_t *reading, const la_json_t *entry, la_api_key_t *key)
{
    const char *error = check_members(reading, entry);

    error = error ? error : read_id(reading, entry, key);
    error = error ? error : read_digest(reading, entry, key);
    error = error ? error : read_time(reading, entry, "expires", &key->expires);
    error = error ? error : read_time(reading, entry, "not_before", &key->not_before);
    error = error ? error : read_time(reading, entry, "created", &key->created);
    error = error ? error : read_switches(reading, entry, key);
    error = error ? error : count_entry(reading, key);
    return error ? error : read_identity(reading, entry, key);
}

static const char *read_entries(const reading_t *reading, la_json_list_t *entries)
{
    for (apr_size_t i = 0; i < entries->count; i++) {
        const la_json_t *entry;
        const char *error = la_json_list_next(entries, reading->entry_pool, &entry);

        if (error || entry) { /* null is skipped */
            la_api_key_t *key = apr_pcalloc(reading->pool, sizeof(*key));
            const char *position = apr_psprintf(reading->pool, "keys[%" APR_SIZE_T_FMT "]", i);

            key->label = position;
            key->position = (int)i;
            error = error ? error : read_entry(reading, entry, key);
            if (error) {
                return apr_pstrcat(reading->pool, position, ": ", error, NULL);
            }
            add_key(reading->keys, key);
        }
        apr_pool_clear(reading->entry_pool);
    }
    return NULL;
}

static const char *read_top(const reading_t *reading, const la_json_t *top, la_json_list_t *entries)
{
    la_json_iterator_t it = {0};
    const la_json_t *member;
    la_slice_t name;

    if (la_json_type(top) != LA_JSON_OBJECT) {
        return "not a JSON object";
    }
    if (la_json_type(la_json_get(top, "keys")) != LA_JSON_ARRAY) {
        return "no list named \"keys\"";
    }
    while (la_json_next(top, &it, &name, &member)) {
        if (member && !reading->form->lenient && !la_slice_is(name, "keys")) {
            return "a field beside \"keys\"";
        }
    }
    return read_entries(reading, entries);
}

const char *la_static_keys_parse(la_slice_t text, const la_static_keys_form_t *form,
                                 apr_pool_t *pool, apr_pool_t *scratch, la_static_keys_t **keys)
{
    reading_t reading = {.form = form, .pool = pool, .ids = apr_hash_make(scratch)};
    const la_json_t *top;
    la_json_list_t entries;
    const char *error = la_json_parse_list(scratch, text, "keys", &top, &entries);

    *keys = NULL;
    if (error) {
        return apr_pstrdup(pool, error);
    }
    reading.keys = apr_pcalloc(pool, sizeof(*reading.keys));
    reading.keys->by_prefix = apr_hash_make(pool);
    reading.keys->all = apr_array_make(pool, (int)entries.count, sizeof(const la_api_key_t *));
    apr_pool_create(&reading.entry_pool, scratch);
    error = read_top(&reading, top, &entries);
    *keys = error ? NULL : reading.keys;
    return error;
}
