/* Who the master is, and how this process learns of another.
 *
 * A request that finds no master where it is thought to be asks the sentinels itself, within its
 * own deadline. A thread of mod_watchdog asks them once a second whether there is another: an old
 * master may be there, and answer, for some seconds after a failover. A request believes one
 * sentinel; the thread believes more than half of those that answer, since one of them may be late
 * or wrong, and brings back what a request took over from such a one. Either way the server itself
 * must say that it is a master, whose place no other has taken (redis_session.c).
 */
#include "io/redis_master.h"

#include "base/clock.h"
#include "io/redis_sentinel.h"
#include "io/redis_session.h"
#include "io/server.h"

#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

struct la_redis_master_t {
    const la_redis_options_t *options;
    apr_thread_mutex_t *lock; /* guards the next two */
    la_redis_known_t known;
    la_redis_address_t sentinels[LA_REDIS_SENTINELS_MAX];

    _Atomic int first; /* the sentinel that is asked first: the last one that answered */

    /* Of la_redis_master_watch() alone: */
    la_redis_address_t watched; /* the last master that it found */
    la_redis_connection_t link; /* to the sentinel that it asks; reader NULL: none */
    int linked;                 /* which one that is */
};

la_redis_known_t la_redis_master_known(la_redis_master_t *master)
{
    la_redis_known_t known;

    apr_thread_mutex_lock(master->lock);
    known = master->known;
    apr_thread_mutex_unlock(master->lock);
    return known;
}

void la_redis_master_doubt(la_redis_master_t *master, const la_redis_known_t *known)
{
    if (!master->options->master) {
        return;
    }
    apr_thread_mutex_lock(master->lock);
    if (master->known.generation == known->generation && master->known.is_sound) {
        master->known.is_sound = 0;
        atomic_store(&master->first,
                     (atomic_load(&master->first) + 1) % master->options->sentinel_count);
    }
    apr_thread_mutex_unlock(master->lock);
}

static int is_same(const la_redis_address_t *one, const la_redis_address_t *other)
{
    return one->port == other->port && strcmp(one->ip, other->ip) == 0;
}

/* Takes over what a sentinel named. */
static la_redis_known_t adopt(la_redis_master_t *master, int sentinel,
                              const la_redis_address_t *address)
{
    la_redis_known_t known;
    int is_another;

    apr_thread_mutex_lock(master->lock);
    is_another = !is_same(&master->known.address, address);
    if (is_another) {
        master->known.address = *address;
        master->known.generation++;
    }
    master->known.is_sound = 1;
    atomic_store(&master->first, sentinel);
    known = master->known;
    apr_thread_mutex_unlock(master->lock);
    if (is_another) {
        la_log(LA_LOG_INFO, LA_LOGNO(0450) "second-level cache %s: the master is at %s, port %d",
               master->options->address, address->ip, address->port);
    }
    return known;
}

/* ---- sentinels ---- */

static la_redis_address_t sentinel_at(la_redis_master_t *master, int index)
{
    la_redis_address_t address;

    apr_thread_mutex_lock(master->lock);
    address = master->sentinels[index];
    apr_thread_mutex_unlock(master->lock);
    return address;
}

int la_redis_master_find(la_redis_master_t *master, la_redis_call_t *call, la_redis_known_t *known)
{
    const la_redis_options_t *options = master->options;
    int first = atomic_load(&master->first);

    *known = (la_redis_known_t){.is_sound = 0};
    for (int i = 0; i < options->sentinel_count; i++) {
        int index = (first + i) % options->sentinel_count;
        la_redis_address_t at = sentinel_at(master, index);
        apr_time_t now = la_clock_us();
        /* The last share is the master's own. */
        apr_time_t share = (call->deadline_us - now) / (options->sentinel_count - i + 1);
        la_redis_call_t question = {.deadline_us = now + share, .pool = call->pool};
        la_redis_address_t named;

        if (la_redis_sentinel_ask(options, index, &at, 0, NULL, &question, &named)) {
            *known = adopt(master, index, &named);
            return 1;
        }
        call->reason = question.reason; /* the last one's */
    }
    return 0;
}

/* ---- in the background ---- */

/* Looks a name up, unless it is an address itself. */
static void resolve(la_redis_master_t *master, const char *name, la_redis_address_t *address)
{
    char ip[INET6_ADDRSTRLEN];

    if (la_redis_address(name, AI_NUMERICHOST, ip) || !la_redis_address(name, 0, ip)) {
        return;
    }
    apr_thread_mutex_lock(master->lock);
    apr_cpystrn(address->ip, ip, sizeof(address->ip));
    apr_thread_mutex_unlock(master->lock);
}

/* Asks one sentinel, for connect_timeout at most, or as long as the resolver. */
static int ask_sentinel(la_redis_master_t *master, int index, la_redis_connection_t *kept,
                        apr_pool_t *pool, la_redis_address_t *named)
{
    la_redis_address_t at = sentinel_at(master, index);
    la_redis_call_t call = {.deadline_us = la_clock_us() + master->options->connect_timeout_us,
                            .pool = pool};

    if (la_redis_sentinel_ask(master->options, index, &at, 1, kept, &call, named)) {
        return 1;
    }
    resolve(master, master->options->sentinels[index].name, &master->sentinels[index]);
    return 0;
}

/* Asks one sentinel over a connection that is kept for it: this happens once a second in each
 * process, and would leave as many that wait for their end. */
static int ask_linked(la_redis_master_t *master, int index, apr_pool_t *pool,
                      la_redis_address_t *named)
{
    if (master->linked != index) {
        la_redis_connection_close(&master->link);
    }
    master->linked = index;
    return ask_sentinel(master, index, &master->link, pool, named);
}

/* Returns how many sentinels more name that address than another one. */
static int count_votes(la_redis_master_t *master, int asked, const la_redis_address_t *named,
                       apr_pool_t *pool)
{
    int votes = 1;

    for (int i = 0; i < master->options->sentinel_count; i++) {
        la_redis_address_t other;

        if (i != asked && ask_sentinel(master, i, NULL, pool, &other)) {
            votes += is_same(&other, named) ? 1 : -1;
        }
    }
    return votes;
}

/* Returns 1 if the server says that it is a master. server: which one. */
static int is_master(la_redis_master_t *master, const la_redis_address_t *address, apr_pool_t *pool,
                     char server[LA_REDIS_SERVER_LEN + 1])
{
    la_redis_call_t call = {.deadline_us = la_clock_us() + master->options->connect_timeout_us,
                            .pool = pool};
    la_redis_connection_t connection;
    int is_one = la_redis_session_open(&connection, master->options, address, &call, server);

    if (is_one) {
        la_redis_connection_close(&connection);
    }
    return is_one;
}

/* Takes over what a sentinel names, if it is a master that more than half name; if none serves,
 * that half of them do. A request may have taken over what one alone names. Leaves word at the old
 * one first, so that nobody's requests are counted there once others' are counted here. */
static int change_to(la_redis_master_t *master, int sentinel, const la_redis_address_t *named,
                     apr_pool_t *pool)
{
    la_redis_known_t known = la_redis_master_known(master);
    la_redis_call_t call = {.pool = pool};
    char server[LA_REDIS_SERVER_LEN + 1];
    la_redis_address_t old;
    int votes;

    if (!is_master(master, named, pool, server)) {
        return 0;
    }
    votes = count_votes(master, sentinel, named, pool);
    if (votes < (known.is_sound ? 1 : 0)) {
        return 0;
    }
    /* A request may have changed over meanwhile, without leaving word. */
    old = is_same(named, &known.address) ? master->watched : known.address;
    if (votes > 0 && old.ip[0] && !is_same(named, &old)) {
        call.deadline_us = la_clock_us() + master->options->connect_timeout_us;
        la_redis_session_leave_word(master->options, &old, named, server, &call);
    }
    master->watched = *named;
    adopt(master, sentinel, named);
    return 1;
}

static void ask_sentinels(la_redis_master_t *master, apr_pool_t *pool)
{
    la_redis_known_t known = la_redis_master_known(master);
    int first = atomic_load(&master->first);
    int is_done = 0;

    for (int i = 0; i < master->options->sentinel_count && !is_done; i++) {
        int index = (first + i) % master->options->sentinel_count;
        la_redis_address_t named;

        if (!ask_linked(master, index, pool, &named)) {
            continue;
        }
        is_done =
            known.is_sound && is_same(&named, &known.address) && is_same(&named, &master->watched);
        if (is_done) {
            atomic_store(&master->first, index);
        } else {
            is_done = change_to(master, index, &named, pool);
        }
    }
}

void la_redis_master_watch(la_redis_master_t *master, int answers, apr_pool_t *pool)
{
    if (master->options->master) {
        ask_sentinels(master, pool);
    } else if (master->options->host.name && !answers) {
        resolve(master, master->options->host.name, &master->known.address);
    }
}

/* ---- the beginning ---- */

/* What was found at startup. */
static la_redis_address_t address_of(const la_redis_host_t *host)
{
    la_redis_address_t address = {.port = host->port};

    if (host->ip) {
        apr_cpystrn(address.ip, host->ip, sizeof(address.ip));
    }
    return address;
}

apr_status_t la_redis_master_make(apr_pool_t *pool, const la_redis_options_t *options,
                                  la_redis_master_t **master)
{
    la_redis_master_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    made->options = options;
    if (!options->master) {
        made->known = (la_redis_known_t){.address = address_of(&options->host), .is_sound = 1};
    }
    for (int i = 0; i < options->sentinel_count; i++) {
        made->sentinels[i] = address_of(&options->sentinels[i]);
    }
    *master = rv == APR_SUCCESS ? made : NULL;
    return rv;
}
