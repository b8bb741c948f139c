/* Versions of a value, and the file that they come from.
 *
 * There are two slots. `current` names the one that is used; the other one is empty, or holds the
 * version before until nobody holds it. To hold a version, a thread counts itself in at a slot and
 * looks whether the slot is still the current one; if not it has touched nothing, counts itself out
 * and tries again. So a slot that is not current and whose count is 0 belongs to the writer, who
 * has the lock. The counts and `current` are sequentially consistent: a reader stores its count and
 * then loads `current`, the writer stores `current` and then loads the count, and one of them has
 * to see the other.
 */
#include "io/reload.h"

#include "base/digest.h"
#include "io/file.h"
#include "io/server.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pause of a writer who waits for those who still hold the version before the current one. */
#define HELD_PAUSE_US 1000

typedef struct slot_t {
    _Atomic uint32_t holders;
    apr_pool_t *pool; /* of the value; NULL: the slot is empty */
    const void *value;
    apr_time_t read_at;
} slot_t;

struct la_reload_t {
    la_reload_parse_fn *parse;
    void *context;
    la_file_t *file; /* NULL: the caller brings the texts */
    apr_pool_t *pool;
    pid_t owner;
    apr_thread_mutex_t *lock; /* of who makes a new version; guards `file` and the next two */
    int is_hidden;            /* this process could not open the file since it began */
    unsigned char digest[LA_DIGEST_BYTES]; /* of the text that was parsed last */
    _Atomic int64_t looked_us;             /* when somebody looked at the file; 0: never */
    _Atomic unsigned current;
    slot_t slots[2];
};

/* A pool of its own, so that its memory goes back to the system when it is destroyed. */
static apr_pool_t *separate_pool(const la_reload_t *reload)
{
    apr_pool_t *pool = NULL;

    if (apr_pool_create_unmanaged_ex(&pool, apr_pool_abort_get(reload->pool), NULL) !=
        APR_SUCCESS) {
        abort();
    }
    return pool;
}

/* Does nothing in a child that ends: exit() has destroyed libcrypto's state by then. */
static apr_status_t destroy_versions(void *data)
{
    la_reload_t *reload = data;

    for (int i = 0; i < 2 && getpid() == reload->owner; i++) {
        if (reload->slots[i].pool) {
            apr_pool_destroy(reload->slots[i].pool);
        }
        reload->slots[i] = (slot_t){0};
    }
    return APR_SUCCESS;
}

la_reload_t *la_reload_make(apr_pool_t *pool, const char *path, apr_size_t limit_bytes,
                            la_reload_parse_fn *parse, void *context)
{
    la_reload_t *reload = apr_pcalloc(pool, sizeof(*reload));

    reload->parse = parse;
    reload->context = context;
    reload->pool = pool;
    reload->owner = getpid();
    reload->file = path ? la_file_make(pool, path, limit_bytes) : NULL;
    if (apr_thread_mutex_create(&reload->lock, APR_THREAD_MUTEX_DEFAULT, pool) != APR_SUCCESS) {
        abort(); /* out of memory */
    }
    apr_pool_cleanup_register(pool, reload, destroy_versions, apr_pool_cleanup_null);
    return reload;
}

const void *la_reload_hold(la_reload_t *reload, unsigned *held)
{
    for (;;) {
        slot_t *slot;

        *held = atomic_load(&reload->current);
        slot = &reload->slots[*held];
        atomic_fetch_add(&slot->holders, 1);
        if (atomic_load(&reload->current) == *held) {
            return slot->value;
        }
        atomic_fetch_sub(&slot->holders, 1);
    }
}

void la_reload_release(la_reload_t *reload, unsigned held)
{
    atomic_fetch_sub(&reload->slots[held].holders, 1);
}

apr_time_t la_reload_read_at(const la_reload_t *reload, unsigned held)
{
    return reload->slots[held].read_at;
}

/* ---- with the lock ---- */

/* Frees the version before the current one. Returns 0 while somebody holds it. */
static int empty_spare_slot(la_reload_t *reload)
{
    slot_t *spare = &reload->slots[1 - atomic_load(&reload->current)];

    if (atomic_load(&spare->holders) > 0) {
        return 0;
    }
    if (spare->pool) {
        apr_pool_destroy(spare->pool);
        spare->pool = NULL;
    }
    return 1;
}

static void put_version(la_reload_t *reload, apr_pool_t *pool, const void *value)
{
    unsigned next = 1 - atomic_load(&reload->current);

    while (!empty_spare_slot(reload)) {
        apr_sleep(HELD_PAUSE_US);
    }
    reload->slots[next].pool = pool;
    reload->slots[next].value = value;
    reload->slots[next].read_at = apr_time_now();
    atomic_store(&reload->current, next);
    (void)empty_spare_slot(reload);
}

/* Whether the text is the one that was parsed last, which is remembered. */
static int is_same_text(la_reload_t *reload, la_slice_t text)
{
    unsigned char digest[LA_DIGEST_BYTES];

    if (la_digest_sha256(text, digest) != APR_SUCCESS) {
        return 0;
    }
    if (memcmp(digest, reload->digest, sizeof(digest)) == 0) {
        return 1;
    }
    memcpy(reload->digest, digest, sizeof(digest));
    return 0;
}

/* is_new: whether there is a new version. Returns NULL, or what is wrong, in `scratch`. */
static const char *parse_text(la_reload_t *reload, la_slice_t text, apr_pool_t *scratch,
                              int *is_new)
{
    apr_pool_t *pool;
    const void *value = NULL;
    const char *error;

    if (is_same_text(reload, text)) {
        return NULL;
    }
    pool = separate_pool(reload);
    error = reload->parse(reload->context, text, pool, scratch, &value);
    if (error) {
        error = apr_pstrdup(scratch, error);
        apr_pool_destroy(pool);
        return error;
    }
    put_version(reload, pool, value);
    *is_new = 1;
    return NULL;
}

static const char *read_file(la_reload_t *reload, apr_pool_t *scratch, int *is_new)
{
    la_slice_t text;
    const char *error = la_file_read(reload->file, scratch, &text);

    return error ? error : parse_text(reload, text, scratch, is_new);
}

/* Returns NULL, or why this process cannot open the file. */
static const char *try_to_open(const la_reload_t *reload, apr_pool_t *pool)
{
    int fd;
    const char *error = la_file_open(pool, la_file_path(reload->file), &fd);

    if (!error) {
        close(fd);
    }
    return error;
}

/* Whether the file is still hidden; once it is not, it is followed as all others. */
static int stays_hidden(la_reload_t *reload)
{
    apr_pool_t *scratch;

    if (reload->is_hidden) {
        scratch = separate_pool(reload);
        reload->is_hidden = try_to_open(reload, scratch) != NULL;
        apr_pool_destroy(scratch);
    }
    return reload->is_hidden;
}

static void look_at_file(la_reload_t *reload)
{
    apr_pool_t *scratch;
    const char *error;
    int is_new = 0;

    (void)empty_spare_slot(reload);
    if (stays_hidden(reload) || !la_file_changed(reload->file)) {
        return;
    }
    scratch = separate_pool(reload);
    error = read_file(reload, scratch, &is_new);
    if (error) {
        la_log(LA_LOG_ERROR, LA_LOGNO(0002) "%s: %s; its last good version is still used",
               la_file_path(reload->file), error);
    } else if (is_new) {
        la_log(LA_LOG_INFO, LA_LOGNO(0004) "%s: read again", la_file_path(reload->file));
    }
    apr_pool_destroy(scratch);
}

/* ---- without ---- */

const char *la_reload_read(la_reload_t *reload, apr_pool_t *pool)
{
    apr_pool_t *scratch = separate_pool(reload);
    int is_new;
    const char *error = read_file(reload, scratch, &is_new);

    if (error) {
        error = apr_pstrcat(pool, la_file_path(reload->file), ": ", error, NULL);
    }
    apr_pool_destroy(scratch);
    return error;
}

const char *la_reload_text(la_reload_t *reload, la_slice_t text, apr_pool_t *pool)
{
    const char *error;
    int is_new;

    apr_thread_mutex_lock(reload->lock);
    error = parse_text(reload, text, pool, &is_new);
    apr_thread_mutex_unlock(reload->lock);
    return error;
}

void la_reload_check_readable(const la_reload_t *reload, apr_pool_t *pool)
{
    const char *error = try_to_open(reload, pool);

    if (error) {
        la_log(LA_LOG_WARNING,
               LA_LOGNO(0005) "%s: %s: changes to it, revocations too, will not be seen before a "
                              "restart",
               la_file_path(reload->file), error);
    }
}

const char *la_reload_may_be_hidden(la_reload_t *reload, apr_pool_t *pool)
{
    const char *error = try_to_open(reload, pool);

    reload->is_hidden = error != NULL;
    return error;
}

/* Whether nobody has looked at the file for that long. The clock may have been set back. */
static int is_unseen_for(la_reload_t *reload, apr_time_t now, apr_interval_time_t us)
{
    return llabs((long long)(now - atomic_load(&reload->looked_us))) >= us;
}

void la_reload_look(la_reload_t *reload, apr_time_t now)
{
    if (!is_unseen_for(reload, now, LA_RELOAD_INTERVAL_US)) {
        return;
    }
    if (apr_thread_mutex_trylock(reload->lock) != APR_SUCCESS) {
        if (!is_unseen_for(reload, now, 2 * LA_RELOAD_INTERVAL_US)) {
            return; /* another thread looks, and what there is was right a moment ago */
        }
        apr_thread_mutex_lock(reload->lock);
    }
    if (is_unseen_for(reload, now, LA_RELOAD_INTERVAL_US)) {
        look_at_file(reload);
        atomic_store(&reload->looked_us, now);
    }
    apr_thread_mutex_unlock(reload->lock);
}

void la_reload_look_now(la_reload_t *reload, apr_time_t now)
{
    apr_thread_mutex_lock(reload->lock);
    look_at_file(reload);
    atomic_store(&reload->looked_us, now);
    apr_thread_mutex_unlock(reload->lock);
}
