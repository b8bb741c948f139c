/* The first commands over a connection to Redis. No state; any thread. */
#include "io/redis_session.h"

#include <string.h>

#include <apr_strings.h>

/* How long word is left: by then the sentinels have made the old master a replica. */
#define WORD_MS "10000"

/* ---- of a server whose place another has taken ---- */

static la_slice_t name_of_word(const la_redis_options_t *options, apr_pool_t *pool)
{
    return la_slice_of(apr_pstrcat(pool, options->prefix, "moved", NULL));
}

/* Reads whether there is word. Returns 1 if there is none. */
static int is_in_place(la_redis_e result, const la_redis_answer_t *word, la_redis_call_t *call)
{
    if (result == LA_REDIS_OK && word->kind == LA_REDIS_NIL) {
        return 1;
    }
    if (result == LA_REDIS_ERROR) {
        return la_redis_call_fail(call, "it refuses GET");
    }
    call->moved = result == LA_REDIS_OK;
    return la_redis_call_fail(call, "another server has taken its place as the master");
}

la_redis_e la_redis_session_run(la_redis_connection_t *connection,
                                const la_redis_options_t *options, apr_size_t count,
                                const la_slice_t *words, la_redis_call_t *call,
                                la_redis_answer_t *answer)
{
    la_slice_t question[2] = {LA_SLICE("GET")};
    la_redis_answer_t word;
    la_redis_e result;

    if (!options->master) {
        return la_redis_connection_run(connection, count, words, call, answer);
    }
    question[1] = name_of_word(options, call->pool);
    if (la_redis_connection_send(connection, 2, question, call) &&
        la_redis_connection_send(connection, count, words, call)) {
        result = la_redis_connection_receive(connection, call, &word);
        if (is_in_place(result, &word, call)) {
            return la_redis_connection_receive(connection, call, answer);
        }
    }
    *answer = (la_redis_answer_t){.text = la_slice_of(call->reason), .server = ""};
    return LA_REDIS_FAILED;
}

static int is_still_in_place(la_redis_connection_t *connection, const la_redis_options_t *options,
                             la_redis_call_t *call)
{
    la_slice_t question[2] = {LA_SLICE("GET"), name_of_word(options, call->pool)};
    la_redis_answer_t word;
    la_redis_e result = la_redis_connection_run(connection, 2, question, call, &word);

    return is_in_place(result, &word, call);
}

/* ---- the beginning ---- */

static int choose_db(la_redis_connection_t *connection, const la_redis_options_t *options,
                     la_redis_call_t *call)
{
    la_slice_t words[2] = {LA_SLICE("SELECT")};

    if (options->db == 0) {
        return 1;
    }
    words[1] = la_slice_of(apr_itoa(call->pool, options->db));
    return la_redis_connection_greet(connection, 2, words, "it refuses the database", call);
}

/* Returns the value of a line of INFO, in `pool`; empty when there is none. */
static const char *info_of(apr_pool_t *pool, const la_redis_answer_t *answer, const char *name)
{
    const char *found = answer->kind == LA_REDIS_TEXT
                            ? strstr(answer->text.data, apr_pstrcat(pool, "\n", name, ":", NULL))
                            : NULL;

    if (!found) {
        return "";
    }
    found += strlen(name) + 2;
    return apr_pstrmemdup(pool, found, strcspn(found, "\r\n"));
}

static int identify(la_redis_connection_t *connection, const la_redis_address_t *named,
                    la_redis_call_t *call, char server[LA_REDIS_SERVER_LEN + 1])
{
    static const la_slice_t words[2] = {{"INFO", 4}, {"server", 6}};
    la_redis_answer_t answer;
    const char *mode;

    if (la_redis_connection_run(connection, 2, words, call, &answer) == LA_REDIS_FAILED) {
        return 0;
    }
    mode = info_of(call->pool, &answer, "redis_mode");
    if (strcmp(mode, "cluster") == 0) {
        return la_redis_call_fail(call, "it is a cluster, which cannot be used");
    }
    if (strcmp(mode, "sentinel") == 0) {
        return la_redis_call_fail(call, "it is a sentinel, for which the URL is "
                                        "redis+sentinel://HOST/NAME");
    }
    apr_cpystrn(server, info_of(call->pool, &answer, "run_id"), LA_REDIS_SERVER_LEN + 1);
    if (!server[0] && named) {
        apr_snprintf(server, LA_REDIS_SERVER_LEN + 1, "%s %d", named->ip, named->port);
    }
    return 1;
}

/* Sentinels may name a server that is a replica by now, or not yet a master. */
static int check_role(la_redis_connection_t *connection, la_redis_call_t *call)
{
    static const la_slice_t word = {"ROLE", 4};
    la_redis_answer_t answer;
    la_redis_e result = la_redis_connection_run(connection, 1, &word, call, &answer);

    if (result == LA_REDIS_OK && answer.kind == LA_REDIS_LIST && answer.count > 0 &&
        answer.items[0].kind == LA_REDIS_TEXT && la_slice_is(answer.items[0].text, "master")) {
        return 1;
    }
    return la_redis_call_fail(call,
                              result == LA_REDIS_ERROR ? "it refuses ROLE" : "it is no master");
}

int la_redis_session_open(la_redis_connection_t *connection, const la_redis_options_t *options,
                          const la_redis_address_t *address, la_redis_call_t *call,
                          char server[LA_REDIS_SERVER_LEN + 1])
{
    const la_redis_address_t *named = options->master ? address : NULL;

    server[0] = '\0';
    if (!la_redis_connection_open(connection, options, address, call)) {
        return 0;
    }
    if (la_redis_connection_log_in(connection, options, call) &&
        choose_db(connection, options, call) && identify(connection, named, call, server) &&
        (!named ||
         (check_role(connection, call) && is_still_in_place(connection, options, call)))) {
        return 1;
    }
    la_redis_connection_close(connection);
    return 0;
}

void la_redis_session_leave_word(const la_redis_options_t *options, const la_redis_address_t *old,
                                 const la_redis_address_t *successor, const char *server,
                                 la_redis_call_t *call)
{
    la_slice_t words[5] = {
        LA_SLICE("SET"), name_of_word(options, call->pool),
        la_slice_of(apr_psprintf(call->pool, "%s %d", successor->ip, successor->port)),
        LA_SLICE("PX"), LA_SLICE(WORD_MS)};
    char own[LA_REDIS_SERVER_LEN + 1];
    la_redis_connection_t connection;

    if (!la_redis_connection_open(&connection, options, old, call)) {
        return;
    }
    if (la_redis_connection_log_in(&connection, options, call) &&
        choose_db(&connection, options, call) && identify(&connection, old, call, own) &&
        strcmp(own, server) != 0) {
        la_redis_connection_greet(&connection, 5, words, "it is no master any more", call);
    }
    la_redis_connection_close(&connection);
}
