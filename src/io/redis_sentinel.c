/* One question to one sentinel, over a connection of its own. No state; any thread. */
#include "io/redis_sentinel.h"

#include <netdb.h>
#include <string.h>

#include <apr_strings.h>

#define HOST_MAX 253

/* Reads the port, which is a text. Returns 0 if it is none. */
static int read_port(la_slice_t text)
{
    char *end;
    apr_int64_t port;

    if (text.len == 0 || text.len > 5 || text.data[0] < '0' || text.data[0] > '9') {
        return 0;
    }
    port = apr_strtoi64(text.data, &end, 10);
    return end == text.data + text.len && port <= 65535 ? (int)port : 0;
}

const char *la_redis_sentinel_read(const la_redis_answer_t *answer, int may_resolve,
                                   la_redis_address_t *master)
{
    const la_redis_answer_t *items = answer->items;

    if (answer->kind == LA_REDIS_NIL) {
        return "knows no master of that name";
    }
    if (answer->kind != LA_REDIS_LIST || answer->count != 2 || items[0].kind != LA_REDIS_TEXT ||
        items[1].kind != LA_REDIS_TEXT || items[0].text.len > HOST_MAX) {
        return "its answer is of an unknown kind";
    }
    master->port = read_port(items[1].text);
    if (items[0].text.len == 0 || strlen(items[0].text.data) != items[0].text.len ||
        master->port == 0) {
        return "its answer is no address";
    }
    if (la_redis_address(items[0].text.data, AI_NUMERICHOST, master->ip)) {
        return NULL;
    }
    if (!may_resolve) {
        return "names the master by its host name, which is being looked up";
    }
    return la_redis_address(items[0].text.data, 0, master->ip)
               ? NULL
               : "names a master whose name has no address";
}

static la_redis_e send_question(la_redis_connection_t *connection,
                                const la_redis_options_t *options, la_redis_call_t *call,
                                la_redis_answer_t *answer)
{
    la_slice_t words[3] = {LA_SLICE("SENTINEL"), LA_SLICE("get-master-addr-by-name"),
                           la_slice_of(options->master)};
    la_redis_e result = la_redis_connection_run(connection, 3, words, call, answer);

    if (result == LA_REDIS_ERROR && strncmp(answer->text.data, "NOAUTH", 6) == 0 &&
        options->password && la_redis_connection_log_in(connection, options, call)) {
        result = la_redis_connection_run(connection, 3, words, call, answer);
    }
    return result;
}

/* Begins a connection, unless there is one that can be used again. */
static int connect_to(la_redis_connection_t *connection, const la_redis_options_t *options,
                      const la_redis_address_t *at, la_redis_call_t *call)
{
    if (connection->reader && la_redis_connection_is_quiet(connection)) {
        return 1;
    }
    la_redis_connection_close(connection);
    return la_redis_connection_open(connection, options, at, call);
}

static int ask(const la_redis_options_t *options, const la_redis_address_t *at, int may_resolve,
               la_redis_connection_t *connection, la_redis_call_t *call, la_redis_address_t *master)
{
    la_redis_answer_t answer;
    const char *error = NULL;
    la_redis_e result;

    if (!connect_to(connection, options, at, call)) {
        return 0;
    }
    result = send_question(connection, options, call, &answer);
    if (result == LA_REDIS_OK) {
        error = la_redis_sentinel_read(&answer, may_resolve, master);
    } else if (result == LA_REDIS_ERROR) {
        error = strncmp(answer.text.data, "NOAUTH", 6) == 0 ? "demands a password"
                                                            : "is no sentinel, or refuses to tell";
    }
    return error ? la_redis_call_fail(call, error) : result == LA_REDIS_OK;
}

int la_redis_sentinel_ask(const la_redis_options_t *options, int sentinel,
                          const la_redis_address_t *at, int may_resolve,
                          la_redis_connection_t *kept, la_redis_call_t *call,
                          la_redis_address_t *master)
{
    const la_redis_host_t *host = &options->sentinels[sentinel];
    la_redis_connection_t own = {0};
    la_redis_connection_t *connection = kept ? kept : &own;
    int is_told;

    *master = (la_redis_address_t){.port = 0};
    is_told = ask(options, at, may_resolve, connection, call, master);
    if (!kept || !is_told) {
        la_redis_connection_close(connection);
    }
    if (!is_told) {
        *master = (la_redis_address_t){.port = 0};
        call->reason = apr_psprintf(call->pool, "sentinel %s:%d: %s", host->name, host->port,
                                    call->reason ? call->reason : "it failed");
    }
    return is_told;
}
