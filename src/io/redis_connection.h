/* A connection to a server that speaks Redis's protocol (RESP 2): single commands, each with a
 * deadline. One thread at a time uses it. */
#pragma once

#include "io/redis_answer.h"
#include "io/redis_options.h"
#include "io/redis_socket.h"
#include "io/redis_stream.h"

struct redisReader;

typedef struct la_redis_connection_t {
    struct redisReader *reader; /* NULL: no connection */
    la_redis_stream_t stream;
} la_redis_connection_t;

/* How long a command may take, and why it failed. */
typedef struct la_redis_call_t {
    apr_time_t deadline_us; /* of la_clock_us() */
    apr_pool_t *pool;       /* of answers and reasons */
    const char *reason;     /* NULL: none yet */
    int closed;             /* the server closed the connection before it answered */
    int moved;              /* another server has taken its place: its answer does not count */
} la_redis_call_t;

/* Keeps the first reason. Returns 0. */
int la_redis_call_fail(la_redis_call_t *call, const char *reason);

/* Connects, with TLS where the options say so. address: NULL for the options' socket. Returns 1 or
 * 0. */
int la_redis_connection_open(la_redis_connection_t *connection, const la_redis_options_t *options,
                             const la_redis_address_t *address, la_redis_call_t *call);

/* Sends a command without waiting: for each, one answer must be received. Returns 1 or 0. words:
 * the command and its arguments. */
int la_redis_connection_send(la_redis_connection_t *connection, apr_size_t count,
                             const la_slice_t *words, la_redis_call_t *call);

/* Waits for the answer to the command that was sent first. If it fails, the connection is not to be
 * used again; the answer's text is the reason then too. */
la_redis_e la_redis_connection_receive(la_redis_connection_t *connection, la_redis_call_t *call,
                                       la_redis_answer_t *answer);

/* Sends one command and waits for its answer: both of the above. */
la_redis_e la_redis_connection_run(la_redis_connection_t *connection, apr_size_t count,
                                   const la_slice_t *words, la_redis_call_t *call,
                                   la_redis_answer_t *answer);

/* Runs a command for which any answer but a text (+OK) is a failure: `refused`. Returns 1 or 0. */
int la_redis_connection_greet(la_redis_connection_t *connection, apr_size_t count,
                              const la_slice_t *words, const char *refused, la_redis_call_t *call);

/* Shows the options' password, if there is one. Returns 1 or 0. */
int la_redis_connection_log_in(la_redis_connection_t *connection, const la_redis_options_t *options,
                               la_redis_call_t *call);

/* Returns 1 if it is open and there is nothing to read: no end, no stray reply. */
int la_redis_connection_is_quiet(la_redis_connection_t *connection);

/* Closes it, also a second time. */
void la_redis_connection_close(la_redis_connection_t *connection);
