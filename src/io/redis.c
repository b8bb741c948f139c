/* The client of Redis: the only file that includes hiredis.
 *
 * hiredis formats commands and parses replies. redis_socket.c connects, redis_stream.c reads and
 * writes, and a reply goes to hiredis only after redis_reply.c has found it complete and small.
 *
 * One thread owns a connection during a command; between commands it is in `idle`. A connection
 * with anything left to read after a reply is closed, since that would be taken for the next
 * command's reply. Threads of requests and of mod_watchdog use this file at the same time.
 */
#include "io/redis.h"

#include "base/clock.h"
#include "io/redis_reply.h"
#include "io/redis_socket.h"
#include "io/redis_stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include <hiredis/hiredis.h>

/* Bytes that are read at once. */
#define CHUNK_BYTES 16384

typedef struct connection_t {
    redisReader *reader; /* NULL: no connection */
    la_redis_stream_t stream;
    char server[LA_REDIS_SERVER_LEN + 1];
} connection_t;

struct la_redis_t {
    const la_redis_options_t *options;
    apr_thread_mutex_t *lock; /* guards `idle` and `ip` */
    apr_array_header_t *idle; /* of connection_t; never grows past `connections` */
    int connections;
    char ip[INET6_ADDRSTRLEN]; /* of the host; empty while there is none */
};

/* A command that runs. */
typedef struct exchange_t {
    la_redis_t *redis;
    connection_t connection;
    apr_time_t deadline_us; /* of la_clock_us() */
    apr_pool_t *pool;
    const char *reason; /* why it failed */
    int closed;         /* the server closed the connection before it answered */
} exchange_t;

/* ---- addresses ---- */

int la_redis_resolve_options(la_redis_options_t *options, apr_pool_t *pool)
{
    char ip[INET6_ADDRSTRLEN];

    if (options->path) {
        return 1;
    }
    options->ip = la_redis_address(options->host, 0, ip) ? apr_pstrdup(pool, ip) : NULL;
    return options->ip != NULL;
}

int la_redis_resolve(la_redis_t *redis)
{
    char ip[INET6_ADDRSTRLEN];
    int found;

    if (redis->options->path || la_redis_address(redis->options->host, AI_NUMERICHOST, ip)) {
        return 1;
    }
    found = la_redis_address(redis->options->host, 0, ip);
    apr_thread_mutex_lock(redis->lock);
    if (found) {
        apr_cpystrn(redis->ip, ip, sizeof(redis->ip));
    }
    found = redis->ip[0] != '\0';
    apr_thread_mutex_unlock(redis->lock);
    return found;
}

static int failed(exchange_t *e, const char *reason)
{
    if (!e->reason) {
        e->reason = apr_pstrdup(e->pool, reason);
    }
    return 0;
}

/* ---- connections ---- */

static const char *open_socket(exchange_t *e, int *fd)
{
    const la_redis_options_t *options = e->redis->options;
    char ip[INET6_ADDRSTRLEN];

    if (options->path) {
        return la_redis_connect_unix(options->path, e->deadline_us, e->pool, fd);
    }
    apr_thread_mutex_lock(e->redis->lock);
    memcpy(ip, e->redis->ip, sizeof(ip));
    apr_thread_mutex_unlock(e->redis->lock);
    return la_redis_connect_tcp(ip, options->port, e->deadline_us, e->pool, fd);
}

static int connect_to(exchange_t *e)
{
    const la_redis_options_t *options = e->redis->options;
    connection_t *made = &e->connection;
    int fd;
    const char *error = open_socket(e, &fd);

    error = error ? error
                  : la_redis_stream_open(&made->stream, fd, options->tls, options->host,
                                         e->deadline_us, e->pool);
    if (error) {
        return failed(e, error);
    }
    made->reader = redisReaderCreate();
    if (!made->reader) {
        la_redis_stream_close(&made->stream);
        return failed(e, "out of memory");
    }
    return 1;
}

static void close_connection(connection_t *connection)
{
    if (connection->reader) {
        redisReaderFree(connection->reader);
        la_redis_stream_close(&connection->stream);
    }
    *connection = (connection_t){0};
}

static int has_more(connection_t *connection)
{
    const redisReader *reader = connection->reader;

    return reader->len > reader->pos || !la_redis_stream_is_quiet(&connection->stream);
}

/* Takes an idle connection that has nothing to read: no end, no stray reply. Returns 0 when there
 * is none. */
static int take_idle(la_redis_t *redis, connection_t *taken)
{
    for (;;) {
        connection_t *last;

        apr_thread_mutex_lock(redis->lock);
        last = apr_array_pop(redis->idle);
        *taken = last ? *last : (connection_t){0}; /* before another thread puts its own there */
        apr_thread_mutex_unlock(redis->lock);
        if (!taken->reader || !has_more(taken)) {
            return taken->reader != NULL;
        }
        close_connection(taken);
    }
}

static void give_back(la_redis_t *redis, connection_t *connection)
{
    int full = 1;

    if (!has_more(connection)) {
        apr_thread_mutex_lock(redis->lock);
        full = redis->idle->nelts >= redis->connections;
        if (!full) {
            APR_ARRAY_PUSH(redis->idle, connection_t) = *connection;
        }
        apr_thread_mutex_unlock(redis->lock);
    }
    if (full) {
        close_connection(connection);
    }
}

/* ---- commands ---- */

/* Reads until there is a whole reply, and no more. */
static int await_reply(exchange_t *e)
{
    redisReader *reader = e->connection.reader;
    la_redis_reply_e state;
    char chunk[CHUNK_BYTES];
    apr_size_t len;

    for (;;) {
        la_slice_t bytes = {reader->buf + reader->pos, reader->len - reader->pos};
        const char *error;

        state = la_redis_reply_check(bytes, &len);
        if (state != LA_REDIS_REPLY_PARTIAL) {
            break;
        }
        error = la_redis_stream_read(&e->connection.stream, chunk, sizeof(chunk), e->deadline_us,
                                     e->pool, &len, &e->closed);
        if (error) {
            e->closed = e->closed && bytes.len == 0;
            return failed(e, error);
        }
        if (redisReaderFeed(reader, chunk, len) != REDIS_OK) {
            return failed(e, "out of memory");
        }
    }
    return state == LA_REDIS_REPLY_WHOLE ||
           failed(e, state == LA_REDIS_REPLY_TOO_LARGE ? "its answer is too large"
                                                       : "its answer is malformed");
}

static int receive(exchange_t *e, redisReply **reply)
{
    void *got = NULL;

    *reply = NULL;
    if (!await_reply(e)) {
        return 0;
    }
    if (redisReaderGetReply(e->connection.reader, &got) != REDIS_OK || !got) {
        return failed(e, "its answer is malformed");
    }
    *reply = got;
    return 1;
}

/* Runs one command; the caller frees the reply. */
static int run(exchange_t *e, apr_size_t count, const la_slice_t *words, redisReply **reply)
{
    const char **texts = apr_palloc(e->pool, count * sizeof(*texts));
    size_t *lens = apr_palloc(e->pool, count * sizeof(*lens));
    const char *error;
    char *command;
    long long len;
    apr_size_t i;

    *reply = NULL;
    for (i = 0; i < count; i++) {
        texts[i] = words[i].data;
        lens[i] = words[i].len;
    }
    len = redisFormatCommandArgv(&command, (int)count, texts, lens);
    if (len < 0) {
        return failed(e, "out of memory");
    }
    error = la_redis_stream_write(&e->connection.stream, (la_slice_t){command, (apr_size_t)len},
                                  e->deadline_us, e->pool, &e->closed);
    redisFreeCommand(command);
    return error ? failed(e, error) : receive(e, reply) && *reply != NULL;
}

/* Runs a command of the login; any answer except OK is a failure. */
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
        words[count++] = la_slice_of(options->user);
    }
    words[count++] = la_slice_of(la_secret_get(options->password, apr_time_now(), e->pool));
    return greet(e, count, words, "it refuses the password");
}

static int choose_db(exchange_t *e)
{
    la_slice_t words[2] = {LA_SLICE("SELECT")};

    if (e->redis->options->db == 0) {
        return 1;
    }
    words[1] = la_slice_of(apr_itoa(e->pool, e->redis->options->db));
    return greet(e, 2, words, "it refuses the database");
}

/* Asks which server this is. One that does not tell has the empty name. */
static int identify(exchange_t *e)
{
    static const la_slice_t words[2] = {{"INFO", 4}, {"server", 6}};
    static const char field[] = "\nrun_id:";
    redisReply *reply;
    const char *found;

    if (!run(e, 2, words, &reply)) {
        return 0;
    }
    found = reply->type == REDIS_REPLY_STRING ? strstr(reply->str, field) : NULL;
    if (found) {
        found += sizeof(field) - 1;
        apr_cpystrn(e->connection.server, apr_pstrmemdup(e->pool, found, strcspn(found, "\r\n")),
                    sizeof(e->connection.server));
    }
    freeReplyObject(reply);
    return 1;
}

static int open_session(exchange_t *e)
{
    e->deadline_us = la_clock_us() + e->redis->options->connect_timeout_us;
    return connect_to(e) && log_in(e) && choose_db(e) && identify(e);
}

/* ---- answers ---- */

static int copy_answer(apr_pool_t *pool, const redisReply *reply, la_redis_answer_t *answer);

static int copy_list(apr_pool_t *pool, const redisReply *reply, la_redis_answer_t *answer)
{
    la_redis_answer_t *items = apr_pcalloc(pool, (reply->elements + 1) * sizeof(*items));
    apr_size_t i;

    for (i = 0; i < reply->elements; i++) {
        if (!copy_answer(pool, reply->element[i], &items[i])) {
            return 0;
        }
    }
    answer->kind = LA_REDIS_LIST;
    answer->count = reply->elements;
    answer->items = items;
    return 1;
}

/* The depth of a reply is bounded: LA_REDIS_REPLY_MAX_DEPTH. */
static int copy_answer(apr_pool_t *pool, const redisReply *reply, la_redis_answer_t *answer)
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
        return copy_list(pool, reply, answer);
    }
    answer->kind = LA_REDIS_TEXT;
    answer->text.data = apr_pstrmemdup(pool, reply->str, (apr_size_t)reply->len);
    answer->text.len = (apr_size_t)reply->len;
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
           reply->type == REDIS_REPLY_ERROR;
}

/* Tries once, over the idle connection or a new one. */
static int attempt(exchange_t *e, apr_size_t count, const la_slice_t *words, redisReply **reply)
{
    e->closed = 0;
    e->reason = NULL;
    *reply = NULL;
    if (!e->connection.reader && !open_session(e)) {
        return 0;
    }
    e->deadline_us = la_clock_us() + e->redis->options->timeout_us;
    return run(e, count, words, reply);
}

static int exchange(exchange_t *e, apr_size_t count, const la_slice_t *words, redisReply **reply)
{
    int tries = take_idle(e->redis, &e->connection) ? 2 : 1;

    while (tries-- > 0) {
        if (attempt(e, count, words, reply)) {
            return 1;
        }
        close_connection(&e->connection);
        tries = e->closed ? tries : 0;
    }
    return 0;
}

/* Returns 1 if the server is a replica by now; a script says so inside its error. */
static int is_of_replica(const la_redis_answer_t *answer)
{
    return strstr(answer->text.data, "READONLY") != NULL;
}

la_redis_e la_redis_command(la_redis_t *redis, apr_size_t count, const la_slice_t *words,
                            apr_pool_t *pool, la_redis_answer_t *answer)
{
    exchange_t e = {.redis = redis, .pool = pool};
    redisReply *reply;
    la_redis_e result = LA_REDIS_OK;

    *answer = (la_redis_answer_t){.text = {"", 0}, .server = ""};
    if (!exchange(&e, count, words, &reply)) {
        answer->text = la_slice_of(e.reason ? e.reason : "it failed");
        return LA_REDIS_FAILED;
    }
    if (!copy_answer(pool, reply, answer)) {
        answer->text = la_slice_of("its answer is of an unknown kind");
        result = LA_REDIS_FAILED;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        result = LA_REDIS_ERROR;
    }
    freeReplyObject(reply);
    if (result == LA_REDIS_FAILED || (result == LA_REDIS_ERROR && is_of_replica(answer))) {
        close_connection(&e.connection);
    } else {
        answer->server = apr_pstrdup(pool, e.connection.server);
        give_back(redis, &e.connection);
    }
    return result;
}

/* ---- the process's client ---- */

static apr_status_t close_idle(void *data)
{
    la_redis_t *redis = data;
    connection_t *connection;

    while ((connection = apr_array_pop(redis->idle)) != NULL) {
        close_connection(connection);
    }
    return APR_SUCCESS;
}

apr_status_t la_redis_make(apr_pool_t *pool, const la_redis_options_t *options, int connections,
                           la_redis_t **redis)
{
    la_redis_t *made = apr_pcalloc(pool, sizeof(*made));
    apr_status_t rv = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    *redis = NULL;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    made->options = options;
    made->connections = connections;
    made->idle = apr_array_make(pool, connections, sizeof(connection_t));
    if (options->ip) {
        apr_cpystrn(made->ip, options->ip, sizeof(made->ip));
    }
    apr_pool_cleanup_register(pool, made, close_idle, apr_pool_cleanup_null);
    *redis = made;
    return APR_SUCCESS;
}
