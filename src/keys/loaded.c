#include "keys/loaded.h"

#include "io/file.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include <apr_strings.h>

#define EMPTY_FILE "{\"keys\": []}\n"

/* How long to wait for another process without a word. */
#define PATIENCE_US (2 * APR_USEC_PER_SEC)

/* httpd's User where nobody chose another: Debian, Fedora, SUSE, Arch, BSD, httpd's own. */
static const char *const usual_users[] = {"www-data", "apache", "wwwrun", "http", "www", "daemon"};

/* More groups than a server's User has. */
#define GROUPS 64

la_key_exit_e la_key_fail(const la_key_run_t *run, const char *what)
{
    fprintf(run->err, "llama-auth-keys: %s: %s\n", run->options->file, what);
    return LA_KEYS_FAILED;
}

static const char *parse(const la_key_run_t *run, la_slice_t text, int strict,
                         la_static_keys_t **keys)
{
    static const la_provider_common_t common;
    la_static_keys_form_t form = {.common = &common, .lenient = !strict};
    apr_pool_t *scratch;
    const char *error;

    apr_pool_create(&scratch, run->pool);
    error = la_static_keys_parse(text, &form, run->pool, scratch, keys);
    apr_pool_destroy(scratch);
    return error;
}

static int finish(const la_key_run_t *run, int strict, const char *error, la_key_loaded_t *loaded)
{
    error = error ? error : parse(run, loaded->text, strict, &loaded->keys);
    error = error ? error : la_edit_open(run->pool, loaded->text, &loaded->edit);
    if (error) {
        la_key_fail(run, error);
        return 0;
    }
    loaded->all = la_static_keys_all(loaded->keys);
    return 1;
}

int la_key_load(const la_key_run_t *run, int strict, la_key_loaded_t *loaded)
{
    la_file_t *file = la_file_make(run->pool, run->options->file, LA_STATIC_KEYS_BYTES);

    *loaded = (la_key_loaded_t){0};
    return finish(run, strict, la_file_read(file, run->pool, &loaded->text), loaded);
}

/* Anybody who may read the folder can lock it, so a long wait is told of. */
static const char *open_to_change(const la_key_run_t *run, la_replace_t *file)
{
    const char *path = run->options->file;
    const char *error = la_replace_open(run->pool, path, PATIENCE_US, file);

    if (error != la_replace_busy) {
        return error;
    }
    fprintf(run->err, "llama-auth-keys: %s: %s, and is waited for: see lslocks\n", path, error);
    return la_replace_open(run->pool, path, -1, file);
}

int la_key_load_to_change(const la_key_run_t *run, int make, la_key_loaded_t *loaded)
{
    const char *error;

    *loaded = (la_key_loaded_t){0};
    error = open_to_change(run, &loaded->file);
    if (!error && make && !loaded->file.exists) {
        loaded->text = LA_SLICE(EMPTY_FILE);
    } else if (!error) {
        error = la_replace_read(&loaded->file, run->pool, LA_STATIC_KEYS_BYTES, &loaded->text);
    }
    return finish(run, 0, error, loaded);
}

int la_key_store(const la_key_run_t *run, la_key_loaded_t *loaded, gid_t group)
{
    la_slice_t text = la_edit_text(&loaded->edit);
    const char *error = text.len > LA_STATIC_KEYS_BYTES ? "would become too large"
                                                        : parse(run, text, 0, &loaded->keys);

    error = error ? error : la_replace_write(&loaded->file, run->pool, text, group);
    if (error) {
        la_key_fail(run, apr_pstrcat(run->pool, error, "; nothing is changed", NULL));
        return 0;
    }
    if (loaded->file.exists && loaded->file.info.st_nlink > 1) {
        fprintf(run->err,
                "llama-auth-keys: warning: %s had other names (hard links), which keep the keys "
                "as they were\n",
                loaded->file.path);
    }
    la_key_warn_unreadable(run, loaded->file.path);
    return 1;
}

const char *la_key_member(const la_key_run_t *run, const la_key_loaded_t *loaded,
                          const la_api_key_t *key, const char *name)
{
    la_slice_t value;

    if (!la_edit_member(run->pool, la_edit_item(&loaded->edit, key->position)->text, name,
                        &value) ||
        la_slice_is(value, "null")) {
        return NULL;
    }
    return apr_pstrmemdup(run->pool, value.data, value.len);
}

/* ---- httpd's User ---- */

typedef struct reader_t {
    const char *name;
    uid_t uid;
    gid_t groups[GROUPS];
    int group_count;
} reader_t;

static int find_reader(reader_t *reader)
{
    for (size_t i = 0; i < sizeof(usual_users) / sizeof(usual_users[0]); i++) {
        const struct passwd *user = getpwnam(usual_users[i]);

        if (user) {
            *reader = (reader_t){usual_users[i], user->pw_uid, .group_count = GROUPS};
            return getgrouplist(usual_users[i], user->pw_gid, reader->groups,
                                &reader->group_count) >= 0;
        }
    }
    return 0;
}

/* Whether the mode lets the user read the file, or search the folder. A list that nobody reads
 * here may. */
static int may(const reader_t *reader, const char *path, mode_t bit)
{
    struct stat info;

    if (stat(path, &info) != 0) {
        return 0;
    }
    if (getxattr(path, LA_REPLACE_ACL, NULL, 0) > 0) {
        return 1;
    }
    if (info.st_uid == reader->uid) {
        return (info.st_mode & bit << 6) != 0;
    }
    for (int i = 0; i < reader->group_count; i++) {
        if (reader->groups[i] == info.st_gid) {
            return (info.st_mode & bit << 3) != 0;
        }
    }
    return (info.st_mode & bit) != 0;
}

void la_key_warn_unreadable(const la_key_run_t *run, const char *path)
{
    const char *barrier = NULL;
    reader_t reader;

    if (!find_reader(&reader)) {
        return;
    }
    for (const char *c = path; *c && !barrier; c++) {
        const char *folder =
            *c == '/' ? apr_pstrmemdup(run->pool, path, (apr_size_t)(c - path) + 1) : NULL;

        barrier = folder && !may(&reader, folder, S_IXOTH) ? folder : NULL;
    }
    if (!barrier && !may(&reader, path, S_IROTH)) {
        barrier = path;
    }
    if (barrier) {
        fprintf(run->err,
                "llama-auth-keys: warning: %s, httpd's usual User, cannot read %s: see chgrp, or "
                "--group\n",
                reader.name, barrier);
    }
}
