/* The client of Redis: its connections, and how a command gets to one of them. One thread owns a
 * connection during a command; between commands it is in `idle`. A connection with anything left to
 * read after a reply is closed, since that would be taken for the next command's reply. Threads of
 * requests and of mod_watchdog use this file at the same time. */
#include "io/redis.h"

#include "base/clock.h"
#include "io/redis_master.h"
#include "io/redis_session.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_thread_mutex.h>

typedef struct session_t {
    la_redis_connection_t connection; /* reader NULL: none */
    la_redis_known_t known;           /* where it goes */
    char server[LA_REDIS_SERVER_LEN + 1];
} session_t;

struct la_redis_t {
    const la_redis_options_t *options;
    la_redis_master_t *master;
    apr_thread_mutex_t *lock; /* guards `idle` */
    apr_array_header_t *idle; /* of session_t; never grows past `connections` */
    int connections;
};

typedef struct exchange_t {
    la_redis_t *redis;
    session_t session;
    la_redis_call_t call;
} exchange_t;

/* ---- idle connections ---- */

/* Takes an idle connection to the master that has nothing to read. Returns 0 when there is none. */
static int take_idle(la_redis_t *redis, session_t *taken)
{
    la_redis_known_t known = la_redis_master_known(redis->master);

    for (;;) {
        session_t *last;

        apr_thread_mutex_lock(redis->lock);
        last = apr_array_pop(redis->idle);
        *taken = last ? *last : (session_t){0}; /* before another thread puts its own there */
        apr_thread_mutex_unlock(redis->lock);
        if (!taken->connection.reader) {
            return 0;
        }
        if (known.is_sound && known.generation == taken->known.generation &&
            la_redis_connection_is_quiet(&taken->connection)) {
            return 1;
        }
        la_redis_connection_close(&taken->connection);
    }
}

static void give_back(la_redis_t *redis, session_t *session)
{
    int full = 1;

    if (la_redis_connection_is_quiet(&session->connection)) {
        apr_thread_mutex_lock(redis->lock);
        full = redis->idle->nelts >= redis->connections;
        if (!full) {
            APR_ARRAY_PUSH(redis->idle, session_t) = *session;
        }
        apr_thread_mutex_unlock(redis->lock);
    }
    if (full) {
        la_redis_connection_close(&session->connection);
    }
}

/* ---- new ones ---- */

/* Begins a session with the server, or with the master: the known one, or who the sentinels name,
 * one after the other while there is time. */
static int open_session(exchange_t *e)
{
    const la_redis_options_t *options = e->redis->options;
    la_redis_master_t *master = e->redis->master;
    session_t *made = &e->session;

    e->call.deadline_us = la_clock_us() + options->connect_timeout_us;
    for (int tries = 0; tries <= options->sentinel_count; tries++) {
        e->call.reason = NULL;
        made->known = la_redis_master_known(master);
        if (!made->known.is_sound && !la_redis_master_find(master, &e->call, &made->known)) {
            return 0;
        }
        if (la_redis_session_open(&made->connection, options,
                                  options->path ? NULL : &made->known.address, &e->call,
                                  made->server)) {
            return 1;
        }
        la_redis_master_doubt(master, &made->known);
        if (la_clock_us() >= e->call.deadline_us) {
            return 0;
        }
    }
    return 0;
}

/* ---- commands ---- */

/* Tries once, over the idle connection or a new one. */
static la_redis_e attempt(exchange_t *e, apr_size_t count, const la_slice_t *words,
                          la_redis_answer_t *answer)
{
    e->call.closed = 0;
    e->call.moved = 0;
    e->call.reason = NULL;
    if (!e->session.connection.reader && !open_session(e)) {
        answer->text = la_slice_of(e->call.reason ? e->call.reason : "it failed");
        return LA_REDIS_FAILED;
    }
    e->call.deadline_us = la_clock_us() + e->redis->options->timeout_us;
    return la_redis_session_run(&e->session.connection, e->redis->options, count, words, &e->call,
                                answer);
}

static la_redis_e exchange(exchange_t *e, apr_size_t count, const la_slice_t *words,
                           la_redis_answer_t *answer)
{
    int tries = take_idle(e->redis, &e->session) ? 2 : 1;
    la_redis_e result = LA_REDIS_FAILED;
    int sent = 0;

    while (tries-- > 0 && result == LA_REDIS_FAILED) {
        result = attempt(e, count, words, answer);
        answer->is_again = sent++;
        if (result == LA_REDIS_FAILED) {
            la_redis_connection_close(&e->session.connection);
            if (e->call.moved) {
                la_redis_master_doubt(e->redis->master, &e->session.known);
            }
            tries = e->call.closed || e->call.moved ? tries : 0;
        }
    }
    return result;
}

/* Returns 1 if the server is a replica by now; a script says so inside its error. */
static int is_of_replica(const la_redis_answer_t *answer)
{
    return strstr(answer->text.data, "READONLY") != NULL ||
           strstr(answer->text.data, "MASTERDOWN") != NULL;
}

la_redis_e la_redis_command(la_redis_t *redis, apr_size_t count, const la_slice_t *words,
                            apr_pool_t *pool, la_redis_answer_t *answer)
{
    exchange_t e = {.redis = redis, .call = {.pool = pool}};
    la_redis_e result;

    *answer = (la_redis_answer_t){.text = {"", 0}, .server = ""};
    result = exchange(&e, count, words, answer);
    if (result == LA_REDIS_FAILED) {
        return result;
    }
    if (result == LA_REDIS_ERROR && is_of_replica(answer)) {
        la_redis_master_doubt(redis->master, &e.session.known);
        la_redis_connection_close(&e.session.connection);
        return result;
    }
    answer->server = apr_pstrdup(pool, e.session.server);
    give_back(redis, &e.session);
    return result;
}

void la_redis_watch(la_redis_t *redis, int answers, apr_pool_t *pool)
{
    la_redis_master_watch(redis->master, answers, pool);
}

/* ---- the process's client ---- */

static apr_status_t close_idle(void *data)
{
    la_redis_t *redis = data;
    session_t *session;

    while ((session = apr_array_pop(redis->idle)) != NULL) {
        la_redis_connection_close(&session->connection);
    }
    return APR_SUCCESS;
}

apr_status_t la_redis_make(apr_pool_t *pool, const la_redis_options_t *options, int connections,
                           la_redis_t **redis)
{
    la_redis_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    *redis = NULL;
    rv = rv == APR_SUCCESS ? la_redis_master_make(pool, options, &made->master) : rv;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->options = options;
    made->connections = connections;
    made->idle = apr_array_make(pool, connections, sizeof(session_t));
    apr_pool_cleanup_register(pool, made, close_idle, apr_pool_cleanup_null);
    *redis = made;
    return APR_SUCCESS;
}
