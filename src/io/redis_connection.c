/* The only file that includes hiredis, which formats commands and parses replies. redis_socket.c
 * connects, redis_stream.c reads and writes, and a reply goes to hiredis only after redis_reply.c
 * has found it complete and small. */
#include "io/redis_connection.h"

#include "io/redis_reply.h"

#include <apr_strings.h>

#include <hiredis/hiredis.h>

#define CHUNK_BYTES 16384

int la_redis_call_fail(la_redis_call_t *call, const char *reason)
{
    if (!call->reason) {
        call->reason = apr_pstrdup(call->pool, reason);
    }
    return 0;
}

/* ---- beginning and end ---- */

static const char *open_socket(const la_redis_options_t *options, const la_redis_address_t *address,
                               const la_redis_call_t *call, int *fd)
{
    return address
               ? la_redis_connect_tcp(address->ip, address->port, call->deadline_us, call->pool, fd)
               : la_redis_connect_unix(options->path, call->deadline_us, call->pool, fd);
}

int la_redis_connection_open(la_redis_connection_t *connection, const la_redis_options_t *options,
                             const la_redis_address_t *address, la_redis_call_t *call)
{
    int fd;
    const char *error = open_socket(options, address, call, &fd);

    *connection = (la_redis_connection_t){0};
    error = error ? error
                  : la_redis_stream_open(&connection->stream, fd, options->tls, options->host.name,
                                         call->deadline_us, call->pool);
    if (error) {
        return la_redis_call_fail(call, error);
    }
    connection->reader = redisReaderCreate();
    if (!connection->reader) {
        la_redis_stream_close(&connection->stream);
        return la_redis_call_fail(call, "out of memory");
    }
    return 1;
}

void la_redis_connection_close(la_redis_connection_t *connection)
{
    if (connection->reader) {
        redisReaderFree(connection->reader);
        la_redis_stream_close(&connection->stream);
    }
    *connection = (la_redis_connection_t){0};
}

int la_redis_connection_is_quiet(la_redis_connection_t *connection)
{
    const redisReader *reader = connection->reader;

    return reader->len == reader->pos && la_redis_stream_is_quiet(&connection->stream);
}

/* ---- commands ---- */

/* Reads until there is a whole reply, and no more. Returns NULL if there is none. */
static redisReply *receive(la_redis_connection_t *connection, la_redis_call_t *call)
{
    redisReader *reader = connection->reader;
    la_redis_reply_e state;
    char chunk[CHUNK_BYTES];
    void *reply = NULL;
    apr_size_t len;

    for (;;) {
        la_slice_t bytes = {reader->buf + reader->pos, reader->len - reader->pos};
        const char *error;

        state = la_redis_reply_check(bytes, &len);
        if (state != LA_REDIS_REPLY_PARTIAL) {
            break;
        }
        error = la_redis_stream_read(&connection->stream, chunk, sizeof(chunk), call->deadline_us,
                                     call->pool, &len, &call->closed);
        if (error) {
            call->closed = call->closed && bytes.len == 0;
            la_redis_call_fail(call, error);
            return NULL;
        }
        if (redisReaderFeed(reader, chunk, len) != REDIS_OK) {
            la_redis_call_fail(call, "out of memory");
            return NULL;
        }
    }
    if (state != LA_REDIS_REPLY_WHOLE || redisReaderGetReply(reader, &reply) != REDIS_OK ||
        !reply) {
        la_redis_call_fail(call, state == LA_REDIS_REPLY_TOO_LARGE ? "its answer is too large"
                                                                   : "its answer is malformed");
    }
    return reply;
}

int la_redis_connection_send(la_redis_connection_t *connection, apr_size_t count,
                             const la_slice_t *words, la_redis_call_t *call)
{
    const char **texts = apr_palloc(call->pool, count * sizeof(*texts));
    size_t *lens = apr_palloc(call->pool, count * sizeof(*lens));
    const char *error;
    char *command;
    long long len;
    apr_size_t i;

    for (i = 0; i < count; i++) {
        texts[i] = words[i].data;
        lens[i] = words[i].len;
    }
    len = redisFormatCommandArgv(&command, (int)count, texts, lens);
    if (len < 0) {
        return la_redis_call_fail(call, "out of memory");
    }
    error = la_redis_stream_write(&connection->stream, (la_slice_t){command, (apr_size_t)len},
                                  call->deadline_us, call->pool, &call->closed);
    redisFreeCommand(command);
    return error ? la_redis_call_fail(call, error) : 1;
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
    *answer = (la_redis_answer_t){.kind = LA_REDIS_NIL, .text = {"", 0}, .server = ""};
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

static la_redis_e failed(const la_redis_call_t *call, la_redis_answer_t *answer)
{
    *answer = (la_redis_answer_t){.text = la_slice_of(call->reason), .server = ""};
    return LA_REDIS_FAILED;
}

la_redis_e la_redis_connection_receive(la_redis_connection_t *connection, la_redis_call_t *call,
                                       la_redis_answer_t *answer)
{
    redisReply *reply = receive(connection, call);
    la_redis_e result;

    if (!reply) {
        return failed(call, answer);
    }
    result = reply->type == REDIS_REPLY_ERROR ? LA_REDIS_ERROR : LA_REDIS_OK;
    if (!copy_answer(call->pool, reply, answer)) {
        la_redis_call_fail(call, "its answer is of an unknown kind");
        result = failed(call, answer);
    }
    freeReplyObject(reply);
    return result;
}

la_redis_e la_redis_connection_run(la_redis_connection_t *connection, apr_size_t count,
                                   const la_slice_t *words, la_redis_call_t *call,
                                   la_redis_answer_t *answer)
{
    return la_redis_connection_send(connection, count, words, call)
               ? la_redis_connection_receive(connection, call, answer)
               : failed(call, answer);
}

/* ---- the beginning of a session ---- */

int la_redis_connection_greet(la_redis_connection_t *connection, apr_size_t count,
                              const la_slice_t *words, const char *refused, la_redis_call_t *call)
{
    la_redis_answer_t answer;
    la_redis_e result = la_redis_connection_run(connection, count, words, call, &answer);

    return result == LA_REDIS_OK && answer.kind == LA_REDIS_TEXT
               ? 1
               : la_redis_call_fail(call, refused);
}

int la_redis_connection_log_in(la_redis_connection_t *connection, const la_redis_options_t *options,
                               la_redis_call_t *call)
{
    la_slice_t words[3] = {LA_SLICE("AUTH")};
    apr_size_t count = 1;

    if (!options->password) {
        return 1;
    }
    if (options->user) {
        words[count++] = la_slice_of(options->user);
    }
    words[count++] = la_slice_of(la_secret_get(options->password, apr_time_now(), call->pool));
    return la_redis_connection_greet(connection, count, words, "it refuses the password", call);
}
