/* Checks the shape of Redis replies. No state, no memory of its own; any thread. hiredis allocates
 * what a header announces (`*2000000000` is 16 GB of pointers), so it gets a reply only after all
 * of it has arrived and was found to be small. */
#include "io/redis_reply.h"

#include <string.h>

/* The largest number that is read, and the digits of the least one: 64 bits. */
#define NUMBER_MAX   "9223372036854775807"
#define NUMBER_LEAST "9223372036854775808"

typedef struct scan_t {
    const char *data;
    apr_size_t len;
    apr_size_t pos;
    apr_size_t values;                           /* read so far */
    apr_size_t wanted[LA_REDIS_REPLY_MAX_DEPTH]; /* of each list that is open, the values to come */
    int depth;
} scan_t;

/* Takes a line without its CR LF. */
static la_redis_reply_e take_line(scan_t *scan, la_slice_t *line)
{
    const char *start = scan->data + scan->pos;
    apr_size_t left = scan->len - scan->pos;
    const char *end = memchr(start, '\r', left);

    if (!end || (apr_size_t)(end - start) + 1 == left) {
        return left < LA_REDIS_REPLY_MAX_BYTES ? LA_REDIS_REPLY_PARTIAL : LA_REDIS_REPLY_TOO_LARGE;
    }
    if (end[1] != '\n') {
        return LA_REDIS_REPLY_MALFORMED;
    }
    *line = (la_slice_t){start, (apr_size_t)(end - start)};
    scan->pos += line->len + 2;
    return LA_REDIS_REPLY_WHOLE;
}

/* Whether a text is a decimal number as hiredis reads it, with a minus in front of it if
 * `negative`: one of 64 bits, without zeros in front. */
static int is_number(la_slice_t text, int negative)
{
    int minus = negative && text.len > 0 && text.data[0] == '-';
    const char *digits = text.data + minus;
    apr_size_t len = text.len - (apr_size_t)minus;
    apr_size_t i;

    for (i = 0; i < len && digits[i] >= '0' && digits[i] <= '9';) {
        i++;
    }
    if (i < len || len == 0 || len >= sizeof(NUMBER_MAX) ||
        (digits[0] == '0' && (len > 1 || minus))) {
        return 0;
    }
    return len < sizeof(NUMBER_MAX) - 1 ||
           memcmp(digits, minus ? NUMBER_LEAST : NUMBER_MAX, len) <= 0;
}

/* Reads a length of at most `max`; -1 means that there is no value. */
static la_redis_reply_e read_length(la_slice_t text, apr_size_t max, apr_size_t *length, int *nil)
{
    apr_size_t i;

    *length = 0;
    *nil = text.len == 2 && memcmp(text.data, "-1", 2) == 0;
    if (*nil) {
        return LA_REDIS_REPLY_WHOLE;
    }
    if (!is_number(text, 0)) {
        return LA_REDIS_REPLY_MALFORMED;
    }
    for (i = 0; i < text.len && *length <= max; i++) {
        *length = *length * 10 + (apr_size_t)(text.data[i] - '0');
    }
    return *length <= max ? LA_REDIS_REPLY_WHOLE : LA_REDIS_REPLY_TOO_LARGE;
}

static la_redis_reply_e take_bulk(scan_t *scan, la_slice_t header)
{
    apr_size_t length;
    int nil;
    la_redis_reply_e result = read_length(header, LA_REDIS_REPLY_MAX_BYTES, &length, &nil);

    if (result != LA_REDIS_REPLY_WHOLE || nil) {
        return result;
    }
    if (scan->len - scan->pos < length + 2) {
        return LA_REDIS_REPLY_PARTIAL;
    }
    if (memcmp(scan->data + scan->pos + length, "\r\n", 2) != 0) {
        return LA_REDIS_REPLY_MALFORMED;
    }
    scan->pos += length + 2;
    return LA_REDIS_REPLY_WHOLE;
}

/* Opens a list, unless it is empty. */
static la_redis_reply_e open_list(scan_t *scan, la_slice_t header)
{
    apr_size_t length;
    int nil;
    la_redis_reply_e result = read_length(header, LA_REDIS_REPLY_MAX_VALUES, &length, &nil);

    if (result == LA_REDIS_REPLY_WHOLE && scan->depth == LA_REDIS_REPLY_MAX_DEPTH) {
        return LA_REDIS_REPLY_TOO_LARGE;
    }
    if (result == LA_REDIS_REPLY_WHOLE && length > 0) {
        scan->wanted[scan->depth++] = length;
    }
    return result;
}

static la_redis_reply_e take_value(scan_t *scan)
{
    la_slice_t line;
    la_redis_reply_e result = take_line(scan, &line);
    la_slice_t rest;

    if (result != LA_REDIS_REPLY_WHOLE) {
        return result;
    }
    if (line.len == 0) {
        return LA_REDIS_REPLY_MALFORMED;
    }
    rest = (la_slice_t){line.data + 1, line.len - 1};
    switch (line.data[0]) {
    case '+':
    case '-':
        return LA_REDIS_REPLY_WHOLE;
    case ':':
        return is_number(rest, 1) ? LA_REDIS_REPLY_WHOLE : LA_REDIS_REPLY_MALFORMED;
    case '$':
        return take_bulk(scan, rest);
    case '*':
        return open_list(scan, rest);
    }
    return LA_REDIS_REPLY_MALFORMED;
}

/* Counts a value in the list that it belongs to, and closes the lists that it completes. */
static void count_value(scan_t *scan, int depth)
{
    if (scan->depth > depth) {
        return; /* a list was opened: it counts when it closes */
    }
    while (scan->depth > 0 && --scan->wanted[scan->depth - 1] == 0) {
        scan->depth--;
    }
}

la_redis_reply_e la_redis_reply_check(la_slice_t bytes, apr_size_t *len)
{
    scan_t scan = {.data = bytes.data, .len = bytes.len};
    la_redis_reply_e result;

    *len = 0;
    do {
        int depth = scan.depth;

        result = scan.values++ < LA_REDIS_REPLY_MAX_VALUES ? take_value(&scan)
                                                           : LA_REDIS_REPLY_TOO_LARGE;
        if (result == LA_REDIS_REPLY_WHOLE) {
            count_value(&scan, depth);
        }
    } while (result == LA_REDIS_REPLY_WHOLE && scan.depth > 0);
    if (scan.pos > LA_REDIS_REPLY_MAX_BYTES ||
        (result == LA_REDIS_REPLY_PARTIAL && scan.len >= LA_REDIS_REPLY_MAX_BYTES)) {
        return LA_REDIS_REPLY_TOO_LARGE;
    }
    *len = result == LA_REDIS_REPLY_WHOLE ? scan.pos : 0;
    return result;
}
