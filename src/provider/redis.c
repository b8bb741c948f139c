/* The client of the second-level cache's server: the only file that includes hiredis.
 *
 * hiredis does the protocol; waiting is done here, with poll() against one deadline, since its own timeouts bound each
 * system call and not the command: a server that sends a byte now and then could hold a worker as long as it likes.
 *
 * A connection is owned by one thread during a command and rests in `idle` otherwise. Threads of requests and of
 * mod_watchdog come here, at once.
 */
#include "provider/redis.h"

#include "core/futex.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <hiredis/hiredis.h>

/* How many lists an answer may have inside each other. */
#define DEPTH_MAX 3

struct la_redis_t {
    const la_redis_options_t *options;
    apr_thread_mutex_t *lock; /* guards `idle` and `ip` */
    apr_array_header_t *idle; /* of redisContext *; never grows past `connections` */
    int connections;
    char ip[INET6_ADDRSTRLEN]; /* of the host; empty while there is none */
};

/* One command under way. */
typedef struct exchange_t {
    la_redis_t *redis;
    redisContext *connection;
    apr_time_t deadline_us; /* of la_clock_us() */
    apr_pool_t *pool;
    const char *reason; /* why it failed */
    int closed;         /* the server closed the connection before it said anything */
} exchange_t;

/* ---- addresses ---- */

static int numeric_address(const char *host, int flags, char ip[INET6_ADDRSTRLEN])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    int sound = getaddrinfo(host, NULL, &hints, &found) == 0 && found &&
                getnameinfo(found->ai_addr, found->ai_addrlen, ip, INET6_ADDRSTRLEN, NULL, 0,
                            NI_NUMERICHOST) == 0;

    if (found) {
        freeaddrinfo(found);
    }
    return sound;
}

int la_redis_resolve_options(la_redis_options_t *options, apr_pool_t *pool)
{
    char ip[INET6_ADDRSTRLEN];

    if (options->path) {
        return 1;
    }
    options->ip = numeric_address(options->host, 0, ip) ? apr_pstrdup(pool, ip) : NULL;
    return options->ip != NULL;
}

int la_redis_resolve(la_redis_t *redis, apr_pool_t *scratch)
{
    char ip[INET6_ADDRSTRLEN];
    int found;

    (void)scratch;
    if (redis->options->path || numeric_address(redis->options->host, AI_NUMERICHOST, ip)) {
        return 1;
    }
    found = numeric_address(redis->options->host, 0, ip);
    apr_thread_mutex_lock(redis->lock);
    if (found) {
        apr_cpystrn(redis->ip, ip, sizeof(redis->ip));
    }
    found = redis->ip[0] != '\0';
    apr_thread_mutex_unlock(redis->lock);
    return found;
}

/* ---- waiting ---- */

static int failed(exchange_t *e, const char *reason)
{
    if (!e->reason) {
        e->reason = apr_pstrdup(e->pool, reason);
    }
    return 0;
}

/* Returns 1 once the socket is ready for `events`, 0 at the deadline. */
static int await(exchange_t *e, short events)
{
    struct pollfd descriptor = {.fd = e->connection->fd, .events = events};

    for (;;) {
        apr_time_t left = e->deadline_us - la_clock_us();
        int ready = left > 0 ? poll(&descriptor, 1, (int)((left + 999) / 1000)) : 0;

        if (ready > 0) {
            return 1;
        }
        if (ready == 0) {
            return failed(e, "timeout");
        }
        if (errno != EINTR) {
            return failed(e, "poll failed");
        }
    }
}

/* ---- connections ---- */

static int await_connection(exchange_t *e)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (!await(e, POLLOUT)) {
        return failed(e, "timeout");
    }
    if (getsockopt(e->connection->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        char text[120];

        return failed(e, apr_strerror(error, text, sizeof(text)));
    }
    return 1;
}

static redisContext *open_connection(la_redis_t *redis)
{
    char ip[INET6_ADDRSTRLEN];

    if (redis->options->path) {
        return redisConnectUnixNonBlock(redis->options->path);
    }
    apr_thread_mutex_lock(redis->lock);
    memcpy(ip, redis->ip, sizeof(ip));
    apr_thread_mutex_unlock(redis->lock);
    return ip[0] ? redisConnectNonBlock(ip, redis->options->port) : NULL;
}

static int connect_to(exchange_t *e)
{
    redisContext *made = open_connection(e->redis);

    if (!made || made->err) {
        failed(e, made ? made->errstr : "its name has no address");
        if (made) {
            redisFree(made);
        }
        return 0;
    }
    fcntl(made->fd, F_SETFD, FD_CLOEXEC); /* no CGI is to inherit it */
    e->connection = made;
    return await_connection(e);
}

static redisContext *take_idle(la_redis_t *redis)
{
    redisContext **last;
    redisContext *taken;

    apr_thread_mutex_lock(redis->lock);
    last = apr_array_pop(redis->idle);
    taken = last ? *last : NULL; /* before another thread rests its own in that place */
    apr_thread_mutex_unlock(redis->lock);
    return taken;
}

static void give_back(la_redis_t *redis, redisContext *connection)
{
    apr_thread_mutex_lock(redis->lock);
    if (redis->idle->nelts < redis->connections) {
        APR_ARRAY_PUSH(redis->idle, redisContext *) = connection;
        connection = NULL;
    }
    apr_thread_mutex_unlock(redis->lock);
    if (connection) {
        redisFree(connection);
    }
}

static void drop(exchange_t *e)
{
    if (e->connection) {
        redisFree(e->connection);
        e->connection = NULL;
    }
}

/* ---- commands ---- */

static int send_all(exchange_t *e)
{
    int done = 0;

    while (!done) {
        if (!await(e, POLLOUT)) {
            return 0;
        }
        if (redisBufferWrite(e->connection, &done) != REDIS_OK) {
            e->closed = 1;
            return failed(e, e->connection->errstr);
        }
    }
    return 1;
}

/* Reads until there is a whole answer. */
static int receive(exchange_t *e, redisReply **reply)
{
    void *got = NULL;

    *reply = NULL;
    for (;;) {
        if (redisGetReplyFromReader(e->connection, &got) != REDIS_OK) {
            return failed(e, "its answer is malformed");
        }
        if (got) {
            *reply = got;
            return 1;
        }
        if (!await(e, POLLIN)) {
            return 0;
        }
        if (redisBufferRead(e->connection) != REDIS_OK) {
            e->closed = e->connection->reader->len == 0;
            return failed(e, e->connection->errstr);
        }
        if (e->connection->reader->len > LA_REDIS_ANSWER_MAX_BYTES) {
            return failed(e, "its answer is too large");
        }
    }
}

/* One command; the answer is the caller's to free. */
static int run(exchange_t *e, apr_size_t count, const la_slice_t *words, redisReply **reply)
{
    const char **texts = apr_palloc(e->pool, count * sizeof(*texts));
    size_t *lens = apr_palloc(e->pool, count * sizeof(*lens));
    apr_size_t i;

    *reply = NULL;
    for (i = 0; i < count; i++) {
        texts[i] = words[i].data;
        lens[i] = words[i].len;
    }
    if (redisAppendCommandArgv(e->connection, (int)count, texts, lens) != REDIS_OK) {
        return failed(e, "out of memory");
    }
    return send_all(e) && receive(e, reply) && *reply != NULL;
}

static la_slice_t text(const char *value)
{
    return (la_slice_t){value, strlen(value)};
}

/* A command of the greeting: anything but OK ends the connection. */
static int greet(exchange_t *e, apr_size_t count, const la_slice_t *words, const char *refused)
{
    redisReply *reply;
    int sound;

    if (!run(e, count, words, &reply)) {
        return 0;
    }
    sound = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return sound ? 1 : failed(e, refused);
}

static int log_in(exchange_t *e)
{
    const la_redis_options_t *options = e->redis->options;
    la_slice_t words[3] = {LA_SLICE("AUTH")};
    apr_size_t count = 1;

    if (!options->password) {
        return 1;
    }
    if (options->user) {
        words[count++] = text(options->user);
    }
    words[count++] = text(la_secret_get(options->password, apr_time_now(), e->pool));
    return greet(e, count, words, "it refuses the password");
}

static int choose_db(exchange_t *e)
{
    la_slice_t words[2] = {LA_SLICE("SELECT")};

    if (e->redis->options->db == 0) {
        return 1;
    }
    words[1] = text(apr_itoa(e->pool, e->redis->options->db));
    return greet(e, 2, words, "it refuses the database");
}

static int open_session(exchange_t *e)
{
    e->deadline_us = la_clock_us() + e->redis->options->connect_timeout_us;
    return connect_to(e) && log_in(e) && choose_db(e);
}

/* ---- answers ---- */

static int copy_answer(apr_pool_t *pool, const redisReply *reply, int depth,
                       la_redis_answer_t *answer);

static int copy_list(apr_pool_t *pool, const redisReply *reply, int depth,
                     la_redis_answer_t *answer)
{
    la_redis_answer_t *items = apr_pcalloc(pool, (reply->elements + 1) * sizeof(*items));
    apr_size_t i;

    for (i = 0; i < reply->elements; i++) {
        if (!copy_answer(pool, reply->element[i], depth + 1, &items[i])) {
            return 0;
        }
    }
    answer->kind = LA_REDIS_LIST;
    answer->count = reply->elements;
    answer->items = items;
    return 1;
}

static int copy_answer(apr_pool_t *pool, const redisReply *reply, int depth,
                       la_redis_answer_t *answer)
{
    *answer = (la_redis_answer_t){.kind = LA_REDIS_NIL, .text = {"", 0}};
    if (reply->type == REDIS_REPLY_NIL) {
        return 1;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        answer->kind = LA_REDIS_INTEGER;
        answer->integer = reply->integer;
        return 1;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        return depth < DEPTH_MAX && copy_list(pool, reply, depth, answer);
    }
    answer->kind = LA_REDIS_TEXT;
    answer->text.data = apr_pstrmemdup(pool, reply->str, (apr_size_t)reply->len);
    answer->text.len = (apr_size_t)reply->len;
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
           reply->type == REDIS_REPLY_ERROR;
}

/* One try, over a connection that rested or a new one. */
static int attempt(exchange_t *e, redisContext *rested, apr_size_t count, const la_slice_t *words,
                   redisReply **reply)
{
    e->connection = rested;
    e->closed = 0;
    e->reason = NULL;
    *reply = NULL;
    if (!rested && !open_session(e)) {
        return 0;
    }
    e->deadline_us = la_clock_us() + e->redis->options->timeout_us;
    return run(e, count, words, reply);
}

static int exchange(exchange_t *e, apr_size_t count, const la_slice_t *words, redisReply **reply)
{
    redisContext *rested = take_idle(e->redis);

    if (attempt(e, rested, count, words, reply)) {
        return 1;
    }
    drop(e);
    if (!rested || !e->closed) {
        return 0;
    }
    if (attempt(e, NULL, count, words, reply)) {
        return 1;
    }
    drop(e);
    return 0;
}

la_redis_e la_redis_command(la_redis_t *redis, apr_size_t count, const la_slice_t *words,
                            apr_pool_t *pool, la_redis_answer_t *answer)
{
    exchange_t e = {.redis = redis, .pool = pool};
    redisReply *reply;
    la_redis_e result = LA_REDIS_OK;

    *answer = (la_redis_answer_t){.text = {"", 0}};
    if (!exchange(&e, count, words, &reply)) {
        answer->text = text(e.reason ? e.reason : "it failed");
        return LA_REDIS_FAILED;
    }
    if (!copy_answer(pool, reply, 0, answer)) {
        answer->text = text("its answer is of an unknown kind");
        result = LA_REDIS_FAILED;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        result = LA_REDIS_ERROR;
    }
    freeReplyObject(reply);
    if (result == LA_REDIS_FAILED) {
        drop(&e);
    } else {
        give_back(redis, e.connection);
    }
    return result;
}

/* ---- the process's client ---- */

static apr_status_t close_idle(void *data)
{
    la_redis_t *redis = data;
    redisContext **connection;

    while ((connection = apr_array_pop(redis->idle)) != NULL) {
        redisFree(*connection);
    }
    return APR_SUCCESS;
}

apr_status_t la_redis_make(apr_pool_t *pool, const la_redis_options_t *options, int connections,
                           la_redis_t **redis)
{
    la_redis_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    *redis = NULL;
    if (rv == APR_SUCCESS && options->password) {
        rv = la_secret_child_init(options->password, pool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->options = options;
    made->connections = connections;
    made->idle = apr_array_make(pool, connections, sizeof(redisContext *));
    if (options->ip) {
        apr_cpystrn(made->ip, options->ip, sizeof(made->ip));
    }
    apr_pool_cleanup_register(pool, made, close_idle, apr_pool_cleanup_null);
    *redis = made;
    return APR_SUCCESS;
}
