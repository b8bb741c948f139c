/* redis_reply.c: which replies are whole, and which are refused before anything is allocated for
 * them. */
#include "io/redis_reply.h"

#include "procs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE     LA_REDIS_REPLY_WHOLE
#define PARTIAL   LA_REDIS_REPLY_PARTIAL
#define MALFORMED LA_REDIS_REPLY_MALFORMED
#define TOO_LARGE LA_REDIS_REPLY_TOO_LARGE

typedef struct reply_case_t {
    const char *name;
    const char *bytes;
    la_redis_reply_e result;
    apr_size_t left; /* bytes behind a whole reply */
} reply_case_t;

#define REPLY(bytes) "reply: " #bytes, bytes

static reply_case_t reply_cases[] = {
    {REPLY("+OK\r\n"), WHOLE, 0},
    {REPLY("-ERR no\r\n"), WHOLE, 0},
    {REPLY(":-12\r\n"), WHOLE, 0},
    {REPLY("$5\r\nalice\r\n"), WHOLE, 0},
    {REPLY("$0\r\n\r\n"), WHOLE, 0},
    {REPLY("$-1\r\n"), WHOLE, 0},
    {REPLY("*-1\r\n"), WHOLE, 0},
    {REPLY("*0\r\n"), WHOLE, 0},
    {REPLY("*2\r\n$-1\r\n$1\r\n5\r\n"), WHOLE, 0},
    {REPLY("*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n*-1\r\n"), WHOLE, 0},
    {REPLY("*1\r\n*1\r\n*1\r\n:1\r\n"), WHOLE, 0},
    {REPLY("+OK\r\n+OK\r\n"), WHOLE, 5},
    {REPLY("$-1\r\nx"), WHOLE, 1},
    {REPLY(""), PARTIAL, 0},
    {REPLY("+OK"), PARTIAL, 0},
    {REPLY("+OK\r"), PARTIAL, 0},
    {REPLY("$5\r\nalice"), PARTIAL, 0},
    {REPLY("$5\r\nalice\r"), PARTIAL, 0},
    {REPLY("*2\r\n:1\r\n"), PARTIAL, 0},
    {REPLY("*2\r\n*1\r\n:1\r\n"), PARTIAL, 0},
    {REPLY("\r\n"), MALFORMED, 0},
    {REPLY("+OK\rx"), MALFORMED, 0},
    {REPLY("HTTP/1.1 200 OK\r\n"), MALFORMED, 0},
    {REPLY("%1\r\n"), MALFORMED, 0},
    {REPLY(":\r\n"), MALFORMED, 0},
    {REPLY(":1x\r\n"), MALFORMED, 0},
    {REPLY(":-\r\n"), MALFORMED, 0},
    {REPLY(":0\r\n"), WHOLE, 0},
    {REPLY(":-0\r\n"), MALFORMED, 0},
    {REPLY(":021\r\n"), MALFORMED, 0},
    {REPLY("$05\r\nalice\r\n"), MALFORMED, 0},
    {REPLY(":9223372036854775807\r\n"), WHOLE, 0},
    {REPLY(":9223372036854775808\r\n"), MALFORMED, 0},
    {REPLY(":-9223372036854775808\r\n"), WHOLE, 0},
    {REPLY(":-9223372036854775809\r\n"), MALFORMED, 0},
    {REPLY("$\r\n"), MALFORMED, 0},
    {REPLY("$-2\r\n"), MALFORMED, 0},
    {REPLY("$+5\r\nalice\r\n"), MALFORMED, 0},
    {REPLY("$5\r\nalices\r\n"), MALFORMED, 0},
    {REPLY("*-2\r\n"), MALFORMED, 0},
    {REPLY("*1\r\n\r\n"), MALFORMED, 0},
    {REPLY("*2000000000\r\n"), TOO_LARGE, 0},
    {REPLY("*9223372036854775807\r\n"), TOO_LARGE, 0},
    {REPLY("*99999999999999999999\r\n"), MALFORMED, 0},
    {REPLY("*8193\r\n"), TOO_LARGE, 0},
    {REPLY("*1\r\n*8193\r\n"), TOO_LARGE, 0},
    {REPLY("*1\r\n*1\r\n*1\r\n*1\r\n"), TOO_LARGE, 0},
    {REPLY("$2097153\r\n"), TOO_LARGE, 0},
    {REPLY("$9223372036854775807\r\n"), TOO_LARGE, 0},
};

static void test_reply(void **state)
{
    const reply_case_t *row = *state;
    la_slice_t bytes = {row->bytes, strlen(row->bytes)};
    apr_size_t len = 1;

    assert_int_equal(la_redis_reply_check(bytes, &len), row->result);
    assert_int_equal(len, row->result == WHOLE ? bytes.len - row->left : 0);
}

/* Whatever a whole reply is cut to is a part of it. */
static void test_every_cut(void **state)
{
    static const char reply[] = "*3\r\n$5\r\nal\r\ne\r\n*2\r\n:7\r\n$-1\r\n+OK\r\n";
    apr_size_t len;

    (void)state;
    for (apr_size_t cut = 0; cut < sizeof(reply) - 1; cut++) {
        char *bytes = memcpy(malloc(cut + 1), reply, cut);

        assert_int_equal(la_redis_reply_check((la_slice_t){bytes, cut}, &len), PARTIAL);
        free(bytes);
    }
}

static la_redis_reply_e check_many(apr_size_t count, const char *value)
{
    apr_size_t step = strlen(value);
    char *bytes = malloc(16 + count * step);
    apr_size_t len = (apr_size_t)snprintf(bytes, 16, "*%u\r\n", (unsigned)count);
    la_redis_reply_e result;

    for (apr_size_t i = 0; i < count; i++) {
        memcpy(bytes + len, value, step);
        len += step;
    }
    result = la_redis_reply_check((la_slice_t){bytes, len}, &len);
    free(bytes);
    return result;
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(check_many(LA_REDIS_REPLY_MAX_VALUES - 1, "$-1\r\n"), WHOLE);
    assert_int_equal(check_many(LA_REDIS_REPLY_MAX_VALUES, "$-1\r\n"), TOO_LARGE);
    assert_int_equal(check_many(4096, "*2\r\n:1\r\n:1\r\n"), TOO_LARGE); /* all lists together */
}

/* A line that never ends, and values that are small each and too much together. */
static void test_size(void **state)
{
    apr_size_t size = LA_REDIS_REPLY_MAX_BYTES;
    char *line = malloc(size);
    apr_size_t len;

    (void)state;
    memset(line, '+', size);
    assert_int_equal(la_redis_reply_check((la_slice_t){line, size - 1}, &len), PARTIAL);
    assert_int_equal(la_redis_reply_check((la_slice_t){line, size}, &len), TOO_LARGE);
    memset(line, 'x', size);
    memcpy(line, "*2\r\n$2097000\r\n", 14);
    memcpy(line + 14 + 2097000, "\r\n$2097000\r\n", 12);
    assert_int_equal(la_redis_reply_check((la_slice_t){line, size}, &len), TOO_LARGE);
    free(line);
}

int main(void)
{
    for (size_t i = 0; i < ROWS(reply_cases); i++) {
        add(reply_cases[i].name, test_reply, &reply_cases[i]);
    }
    add("every cut of a reply", test_every_cut, NULL);
    add("the number of values", test_values, NULL);
    add("the size", test_size, NULL);
    return run_added("redis_reply");
}
