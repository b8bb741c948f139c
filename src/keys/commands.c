/* The commands that change a file, and the two that judge one; list.c shows them. */
#include "keys/run.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "keys/list.h"
#include "keys/loaded.h"
#include "provider/api_key.h"

#include <grp.h>
#include <stdlib.h>

#include <apr_strings.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

/* The longest token that httpd takes (spec section 5). */
#define TOKEN_BYTES 16384

static const char *quoted_id(const la_key_run_t *run)
{
    return la_json_quoted(run->pool, la_slice_of(run->options->id));
}

static la_key_exit_e no_such_id(const la_key_run_t *run)
{
    return la_key_fail(run, apr_pstrcat(run->pool, "no key has the id ", quoted_id(run), NULL));
}

static int is_of_id(const la_key_run_t *run, const la_api_key_t *key)
{
    return la_text_is_same(key->id, run->options->id);
}

static const char *quoted_time(const la_key_run_t *run, apr_time_t at)
{
    return apr_pstrcat(run->pool, "\"", la_timestamp_text(run->pool, at), "\"", NULL);
}

/* ---- keys ---- */

static const char *make_key(const la_key_run_t *run)
{
    unsigned char random[LA_API_KEY_RANDOM_BYTES];
    const char *key = NULL;

    if (RAND_priv_bytes(random, sizeof(random)) == 1) {
        key = la_api_key_make(run->pool, run->options->prefix, random);
    } else {
        fputs("llama-auth-keys: libcrypto gives no random bytes\n", run->err);
    }
    OPENSSL_cleanse(random, sizeof(random));
    return key;
}

static const char *digest_of(const la_key_run_t *run, const char *key)
{
    unsigned char digest[LA_DIGEST_BYTES];
    char *hex = apr_palloc(run->pool, 2 * LA_DIGEST_BYTES + 1);

    if (la_digest_sha256(la_slice_of(key), digest) != APR_SUCCESS) {
        fputs("llama-auth-keys: libcrypto makes no SHA-256\n", run->err);
        return NULL;
    }
    la_digest_hex(digest, sizeof(digest), hex);
    return hex;
}

/* The key is good already: whoever does not see it needs another. */
static la_key_exit_e print_key(const la_key_run_t *run, const char *key)
{
    if (fprintf(run->out, "%s\n", key) < 0 || fflush(run->out) != 0) {
        return la_key_fail(run, "the new key is in the file but could not be printed: "
                                "rotate it with --overlap 0, or revoke it");
    }
    return LA_KEYS_DONE;
}

/* ---- add ---- */

static void write_member(la_json_writer_t *w, const char *name)
{
    la_json_write_raw(w, la_slice_of(w->len > 1 ? ", " : ""));
    la_json_write_string(w, la_slice_of(name));
    la_json_write_raw(w, LA_SLICE(": "));
}

static void write_text(la_json_writer_t *w, const char *name, const char *value)
{
    if (value) {
        write_member(w, name);
        la_json_write_string(w, la_slice_of(value));
    }
}

static void write_time(const la_key_run_t *run, la_json_writer_t *w, const char *name,
                       apr_time_t at)
{
    write_text(w, name, at ? la_timestamp_text(run->pool, at) : NULL);
}

static void write_attributes(la_json_writer_t *w, const apr_array_header_t *attributes)
{
    write_member(w, "attributes");
    for (int i = 0; i < attributes->nelts; i++) {
        const la_key_attribute_t *attribute = &APR_ARRAY_IDX(attributes, i, la_key_attribute_t);

        la_json_write_raw(w, la_slice_of(i > 0 ? ", " : "{"));
        la_json_write_string(w, la_slice_of(attribute->category));
        la_json_write_raw(w, LA_SLICE(": "));
        la_json_write_strings(w, attribute->values);
    }
    la_json_write_raw(w, LA_SLICE("}"));
}

static const char *make_entry(const la_key_run_t *run, const char *sha256)
{
    const la_key_options_t *options = run->options;
    la_json_writer_t w;

    la_json_writer_init(&w, run->pool);
    la_json_write_raw(&w, LA_SLICE("{"));
    write_text(&w, "id", options->id);
    write_text(&w, "sha256", sha256);
    write_text(&w, "principal", options->principal);
    if (options->attributes->nelts > 0) {
        write_attributes(&w, options->attributes);
    }
    write_time(run, &w, "not_before", options->not_before);
    write_time(run, &w, "expires", options->expires);
    if (options->from->nelts > 0) {
        write_member(&w, "from");
        la_json_write_strings(&w, options->from);
    }
    write_text(&w, "note", options->note);
    write_time(run, &w, "created", run->now);
    la_json_write_raw(&w, LA_SLICE("}"));
    return w.data;
}

/* Accepts what is odd but may be meant. */
static void warn_of_times(const la_key_run_t *run)
{
    apr_time_t expires = run->options->expires;

    if (expires && expires <= run->now) {
        fputs("llama-auth-keys: warning: the key has expired already\n", run->err);
    } else if (expires && expires <= run->options->not_before) {
        fputs("llama-auth-keys: warning: the key ends before it begins\n", run->err);
    }
}

static int find_group(const la_key_run_t *run, gid_t *gid)
{
    const struct group *group = run->options->group ? getgrnam(run->options->group) : NULL;

    *gid = group ? group->gr_gid : (gid_t)-1;
    if (run->options->group && !group) {
        fprintf(run->err, "llama-auth-keys: there is no group %s\n",
                la_json_quoted(run->pool, la_slice_of(run->options->group)));
        return 0;
    }
    return 1;
}

static la_key_exit_e add(const la_key_run_t *run)
{
    const char *key = run->options->sha256 ? NULL : make_key(run);
    const char *sha256 = key ? digest_of(run, key) : run->options->sha256;
    la_key_loaded_t loaded;
    gid_t group;

    if (!sha256 || !find_group(run, &group) || !la_key_load_to_change(run, 1, &loaded)) {
        return LA_KEYS_FAILED;
    }
    for (int i = 0; i < loaded.all->nelts; i++) {
        if (is_of_id(run, APR_ARRAY_IDX(loaded.all, i, const la_api_key_t *))) {
            return la_key_fail(run, apr_pstrcat(run->pool, "there is a key with the id ",
                                                quoted_id(run), " already", NULL));
        }
    }
    if (loaded.file.exists && run->options->group) {
        fputs("llama-auth-keys: warning: the file exists and keeps its group\n", run->err);
    }
    APR_ARRAY_PUSH(loaded.edit.added, const char *) = make_entry(run, sha256);
    if (!la_key_store(run, &loaded, group)) {
        return LA_KEYS_FAILED;
    }
    warn_of_times(run);
    return key ? print_key(run, key) : LA_KEYS_DONE;
}

/* ---- rotate ---- */

/* The key of the id that lasts longest. */
static const la_api_key_t *find_last(const la_key_run_t *run, const la_key_loaded_t *loaded)
{
    const la_api_key_t *last = NULL;

    for (int i = 0; i < loaded->all->nelts; i++) {
        const la_api_key_t *key = APR_ARRAY_IDX(loaded->all, i, const la_api_key_t *);

        if (is_of_id(run, key) &&
            (!last || key->expires == 0 || (last->expires != 0 && key->expires >= last->expires))) {
            last = key;
        }
    }
    return last;
}

static const char *copy_entry(const la_key_run_t *run, la_slice_t entry, const char *sha256)
{
    la_slice_t copy =
        la_edit_set(run->pool, entry, "sha256", apr_pstrcat(run->pool, "\"", sha256, "\"", NULL));

    return la_edit_set(run->pool, copy, "created", quoted_time(run, run->now)).data;
}

/* Ends the keys of the id that would go on after the overlap. */
static void end_keys(const la_key_run_t *run, const la_key_loaded_t *loaded)
{
    apr_time_t end = run->now + run->options->overlap_us;

    for (int i = 0; i < loaded->all->nelts; i++) {
        const la_api_key_t *key = APR_ARRAY_IDX(loaded->all, i, const la_api_key_t *);
        la_edit_item_t *item = la_edit_item(&loaded->edit, key->position);

        if (is_of_id(run, key) && (key->expires == 0 || key->expires > end)) {
            item->text = la_edit_set(run->pool, item->text, "expires", quoted_time(run, end));
        }
    }
}

static la_key_exit_e rotate(const la_key_run_t *run)
{
    const char *key = make_key(run);
    const char *sha256 = key ? digest_of(run, key) : NULL;
    const la_api_key_t *last;
    la_key_loaded_t loaded;

    if (!sha256 || !la_key_load_to_change(run, 0, &loaded)) {
        return LA_KEYS_FAILED;
    }
    last = find_last(run, &loaded);
    if (!last) {
        return no_such_id(run);
    }
    if (last->expires != 0 && last->expires <= run->now) {
        return la_key_fail(run, apr_pstrcat(run->pool, "the key ", quoted_id(run),
                                            " has expired: revoke it and add another", NULL));
    }
    APR_ARRAY_PUSH(loaded.edit.added, const char *) =
        copy_entry(run, la_edit_item(&loaded.edit, last->position)->text, sha256);
    end_keys(run, &loaded);
    if (!la_key_store(run, &loaded, (gid_t)-1)) {
        return LA_KEYS_FAILED;
    }
    if (last->disabled) {
        fputs("llama-auth-keys: warning: the new key is disabled, as the old one is\n", run->err);
    }
    if (last->expires != 0) {
        fprintf(run->err,
                "llama-auth-keys: warning: the new key ends at %s, as the old one would\n",
                la_timestamp_text(run->pool, last->expires));
    }
    return print_key(run, key);
}

/* ---- revoke, disable, enable ---- */

/* Changes one entry. Returns whether anything is different then. */
static int change_entry(const la_key_run_t *run, const la_key_loaded_t *loaded,
                        const la_api_key_t *key)
{
    la_edit_item_t *item = la_edit_item(&loaded->edit, key->position);
    int disable = run->options->verb == LA_KEYS_DISABLE;

    if (run->options->verb == LA_KEYS_REVOKE) {
        item->removed = 1;
        return 1;
    }
    if (key->disabled == disable) {
        return 0;
    }
    item->text = la_edit_set(run->pool, item->text, "disabled", disable ? "true" : "false");
    return 1;
}

static la_key_exit_e change(const la_key_run_t *run)
{
    la_key_loaded_t loaded;
    int found = 0;
    int changed = 0;

    if (!la_key_load_to_change(run, 0, &loaded)) {
        return LA_KEYS_FAILED;
    }
    for (int i = 0; i < loaded.all->nelts; i++) {
        const la_api_key_t *key = APR_ARRAY_IDX(loaded.all, i, const la_api_key_t *);

        if (is_of_id(run, key)) {
            found = 1;
            changed += change_entry(run, &loaded, key);
        }
    }
    if (!found) {
        return no_such_id(run);
    }
    return changed == 0 || la_key_store(run, &loaded, (gid_t)-1) ? LA_KEYS_DONE : LA_KEYS_FAILED;
}

/* ---- check, verify ---- */

static la_key_exit_e check(const la_key_run_t *run)
{
    la_key_loaded_t loaded;

    if (!la_key_load(run, 1, &loaded)) {
        return LA_KEYS_FAILED;
    }
    la_key_warn_unreadable(run, run->options->file);
    fprintf(run->err, "%s: good, keys: %d\n", run->options->file, loaded.all->nelts);
    return LA_KEYS_DONE;
}

/* Reads a key, which may end with a line's end. */
static const char *read_key(const la_key_run_t *run)
{
    char *key = apr_pcalloc(run->pool, TOKEN_BYTES + 3);
    size_t len = fread(key, 1, TOKEN_BYTES + 2, run->in);

    if (len > 0 && key[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && key[len - 1] == '\r') {
        len--;
    }
    key[len] = '\0';
    return len > 0 && len <= TOKEN_BYTES && strlen(key) == len ? key : NULL;
}

static la_key_exit_e verify(const la_key_run_t *run)
{
    unsigned char digest[LA_DIGEST_BYTES];
    const la_api_key_t *found;
    const char *refusal;
    la_key_loaded_t loaded;
    const char *key;

    if (!la_key_load(run, 0, &loaded)) {
        return LA_KEYS_FAILED;
    }
    key = read_key(run);
    if (!key || la_digest_sha256(la_slice_of(key), digest) != APR_SUCCESS) {
        return la_key_fail(run, "no key came on standard input");
    }
    found = la_static_keys_find(loaded.keys, digest);
    if (!found) {
        return la_key_fail(run, la_api_key_form(la_slice_of(key)) == LA_API_KEY_MISTYPED
                                    ? "the key is mistyped, its check digits are wrong"
                                    : "no such key");
    }
    refusal = la_static_keys_refusal(found, run->now, run->pool);
    if (refusal) {
        return la_key_fail(run, apr_pstrcat(run->pool, "the key ",
                                            la_json_quoted(run->pool, la_slice_of(found->label)),
                                            " ", refusal, NULL));
    }
    return la_key_print_valid(run, &loaded, found);
}

la_key_exit_e la_key_run(const la_key_run_t *run)
{
    switch (run->options->verb) {
    case LA_KEYS_ADD:
        return add(run);
    case LA_KEYS_LIST:
        return la_key_list(run);
    case LA_KEYS_ROTATE:
        return rotate(run);
    case LA_KEYS_REVOKE:
    case LA_KEYS_DISABLE:
    case LA_KEYS_ENABLE:
        return change(run);
    case LA_KEYS_CHECK:
        return check(run);
    case LA_KEYS_VERIFY:
        return verify(run);
    case LA_KEYS_HELP:
        fputs(la_key_help, run->out);
        return fflush(run->out) == 0 ? LA_KEYS_DONE : LA_KEYS_FAILED;
    }
    return LA_KEYS_USAGE;
}
