/* An incremental reader of JSON that keeps no text but the beginning of a member's name and one
 * number. It reads each byte once, so what it takes is linear in the text whatever the text holds.
 */
#include "quota/usage_json.h"

#include <string.h>

#include <apr_lib.h>

#define NUMBER_MAX (UINT64_C(1) << 53)

/* Bytes that la_usage_find() searches for one byte before it searches them for the other. */
#define FIND_WINDOW 256

/* Members beside those of a usage. */
enum { MEMBER_OTHER = LA_USAGE_MEMBERS, MEMBER_USAGE, MEMBER_RESPONSE, MEMBER_MESSAGE };

/* Where in a document an object is. */
typedef enum place_e {
    PLACE_OTHER,
    PLACE_TOP,
    PLACE_USAGE,
    PLACE_RESPONSE, /* its usage counts, in events */
    PLACE_MESSAGE,  /* of its usage only the input counts: the output is not there yet */
    PLACE_MESSAGE_USAGE
} place_e;

typedef enum state_e {
    STATE_VALUE, /* a value, or the end of an empty list */
    STATE_NAME,  /* a member's name, or the end of an object */
    STATE_COLON,
    STATE_AFTER, /* a comma, or the end of an object or a list; the last that passes blanks over */
    STATE_STRING,
    STATE_STRING_ESCAPE,
    STATE_IN_NAME,
    STATE_NAME_ESCAPE,
    STATE_NAME_UNICODE,
    STATE_SCALAR,
    STATE_DEEP, /* below the last level that is known */
    STATE_DEEP_STRING,
    STATE_DEEP_ESCAPE,
    STATE_DONE /* the value has ended, or it is no JSON */
} state_e;

/* ---- names and places ---- */

/* A name that is looked for, and what it holds. */
typedef struct name_t {
    const char *name;
    int member;
} name_t;

static const name_t in_usage[] = {{"prompt_tokens", LA_USAGE_PROMPT},
                                  {"input_tokens", LA_USAGE_INPUT},
                                  {"completion_tokens", LA_USAGE_OUTPUT},
                                  {"output_tokens", LA_USAGE_OUTPUT},
                                  {"total_tokens", LA_USAGE_TOTAL},
                                  {"cache_creation_input_tokens", LA_USAGE_CACHE_WRITTEN},
                                  {"cache_read_input_tokens", LA_USAGE_CACHE_READ},
                                  {NULL, MEMBER_OTHER}};

static const name_t at_top[] = {
    {"usage", MEMBER_USAGE},         {"response", MEMBER_RESPONSE},
    {"message", MEMBER_MESSAGE},     {"prompt_eval_count", LA_USAGE_PROMPT},
    {"eval_count", LA_USAGE_OUTPUT}, {NULL, MEMBER_OTHER}};

static const name_t in_part[] = {{"usage", MEMBER_USAGE}, {NULL, MEMBER_OTHER}};

static int member_named(const char *name, place_e place)
{
    static const name_t *const names[] = {[PLACE_TOP] = at_top,
                                          [PLACE_USAGE] = in_usage,
                                          [PLACE_RESPONSE] = in_part,
                                          [PLACE_MESSAGE] = in_part,
                                          [PLACE_MESSAGE_USAGE] = in_usage};
    const name_t *known = names[place];

    while (known && known->name && strcmp(known->name, name) != 0) {
        known++;
    }
    return known ? known->member : MEMBER_OTHER;
}

static place_e place_of(const la_usage_json_t *reader)
{
    return reader->level > 0 && reader->level < 4 ? (place_e)reader->places[reader->level]
                                                  : PLACE_OTHER;
}

/* Where an object is that is the value of the current member. */
static place_e place_inside(const la_usage_json_t *reader)
{
    place_e place = place_of(reader);

    if (reader->level == 0) {
        return PLACE_TOP;
    }
    if (reader->member == MEMBER_USAGE) {
        return place == PLACE_MESSAGE ? PLACE_MESSAGE_USAGE : PLACE_USAGE;
    }
    if (!reader->is_event) {
        return PLACE_OTHER;
    }
    return reader->member == MEMBER_RESPONSE  ? PLACE_RESPONSE
           : reader->member == MEMBER_MESSAGE ? PLACE_MESSAGE
                                              : PLACE_OTHER;
}

/* A scalar has ended. */
static void take_number(la_usage_json_t *reader)
{
    int member = reader->member;

    if (!reader->is_number || member >= LA_USAGE_MEMBERS) {
        return;
    }
    if (place_of(reader) == PLACE_MESSAGE_USAGE &&
        (member == LA_USAGE_OUTPUT || member == LA_USAGE_TOTAL)) {
        return;
    }
    reader->counts[member] = reader->number;
    reader->has |= 1u << member;
}

/* ---- a document ---- */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int in_object(const la_usage_json_t *reader)
{
    return reader->level > 0 && reader->objects >> (reader->level - 1) & 1;
}

static void open_container(la_usage_json_t *reader, int is_object)
{
    place_e place =
        is_object && (reader->level == 0 || in_object(reader)) ? place_inside(reader) : PLACE_OTHER;
    uint64_t bit;

    if (reader->level == LA_USAGE_LEVELS) {
        reader->deeper = 1;
        reader->state = STATE_DEEP;
        return;
    }
    bit = (uint64_t)1 << reader->level;
    reader->objects = is_object ? reader->objects | bit : reader->objects & ~bit;
    reader->level++;
    if (reader->level < 4) {
        reader->places[reader->level] = place;
    }
    reader->member = MEMBER_OTHER;
    reader->state = is_object ? STATE_NAME : STATE_VALUE;
}

static void end_value(la_usage_json_t *reader)
{
    reader->member = MEMBER_OTHER;
    reader->state = reader->level > 0 ? STATE_AFTER : STATE_DONE;
}

static void close_container(la_usage_json_t *reader)
{
    reader->level--;
    end_value(reader);
}

static void begin_value(la_usage_json_t *reader, char c)
{
    if (c == '{' || c == '[') {
        open_container(reader, c == '{');
    } else if (c == '"') {
        reader->state = STATE_STRING;
    } else if (c == ']' && reader->level > 0 && !in_object(reader)) {
        close_container(reader);
    } else if (apr_isdigit(c) || c == '-' || apr_isalpha(c)) {
        reader->state = STATE_SCALAR;
        reader->is_number = apr_isdigit(c) != 0;
        reader->number = reader->is_number ? (uint64_t)(c - '0') : 0;
    } else {
        reader->state = STATE_DONE;
    }
}

/* What may stand behind a value. */
static void after_value(la_usage_json_t *reader, char c)
{
    if (c == ',') {
        reader->state = in_object(reader) ? STATE_NAME : STATE_VALUE;
    } else if (c == (in_object(reader) ? '}' : ']')) {
        close_container(reader);
    } else {
        reader->state = STATE_DONE;
    }
}

static void read_scalar(la_usage_json_t *reader, char c)
{
    if (apr_isdigit(c) && reader->number <= NUMBER_MAX) {
        reader->number = reader->number * 10 + (uint64_t)(c - '0');
        reader->is_number &= reader->number <= NUMBER_MAX;
    } else if (apr_isalnum(c) || c == '.' || c == '+' || c == '-') {
        reader->is_number = 0;
    } else {
        take_number(reader);
        end_value(reader);
        if (reader->state == STATE_AFTER && !is_blank(c)) {
            after_value(reader, c);
        }
    }
}

static void add_to_name(la_usage_json_t *reader, char c)
{
    if (reader->name_len < LA_USAGE_NAME_MAX) {
        reader->name[reader->name_len++] = c;
    } else {
        reader->name_len = LA_USAGE_NAME_MAX + 1;
    }
}

static void end_name(la_usage_json_t *reader)
{
    reader->name[reader->name_len <= LA_USAGE_NAME_MAX ? reader->name_len : 0] = '\0';
    reader->member =
        reader->name_len <= LA_USAGE_NAME_MAX && memchr(reader->name, 0, reader->name_len) == NULL
            ? member_named(reader->name, place_of(reader))
            : MEMBER_OTHER;
    reader->state = STATE_COLON;
}

static void begin_name(la_usage_json_t *reader, char c)
{
    if (c == '"') {
        reader->name_len = 0;
        reader->state = STATE_IN_NAME;
    } else if (c == '}') {
        close_container(reader);
    } else {
        reader->state = STATE_DONE;
    }
}

static void read_name_escape(la_usage_json_t *reader, char c)
{
    reader->state = c == 'u' ? STATE_NAME_UNICODE : STATE_IN_NAME;
    reader->hex_len = 0;
    reader->hex = 0;
    if (c != 'u') {
        /* No name that is looked for has a control character: any will do. */
        add_to_name(reader, (char)(c == '"' || c == '\\' || c == '/' ? c : '\n'));
    }
}

static void read_name_unicode(la_usage_json_t *reader, char c)
{
    unsigned digit = apr_isdigit(c) ? (unsigned)(c - '0') : (unsigned)(apr_tolower(c) - 'a') + 10;

    reader->hex = reader->hex << 4 | (digit & 15);
    if (!apr_isxdigit(c)) {
        reader->state = STATE_DONE;
    } else if (++reader->hex_len == 4) {
        add_to_name(reader, (char)(reader->hex > 0 && reader->hex < 0x80 ? reader->hex : '\n'));
        reader->state = STATE_IN_NAME;
    }
}

static void read_deep(la_usage_json_t *reader, char c)
{
    if (c == '"') {
        reader->state = STATE_DEEP_STRING;
    } else if (c == '{' || c == '[') {
        reader->deeper++;
    } else if ((c == '}' || c == ']') && --reader->deeper == 0) {
        reader->state = STATE_AFTER;
    }
}

static void read_byte(la_usage_json_t *reader, char c)
{
    if (reader->state <= STATE_AFTER && is_blank(c)) {
        return;
    }
    switch ((state_e)reader->state) {
    case STATE_VALUE:
        begin_value(reader, c);
        break;
    case STATE_NAME:
        begin_name(reader, c);
        break;
    case STATE_COLON:
        reader->state = c == ':' ? STATE_VALUE : STATE_DONE;
        break;
    case STATE_AFTER:
        after_value(reader, c);
        break;
    case STATE_STRING:
        if (c == '"') {
            end_value(reader);
        } else if (c == '\\') {
            reader->state = STATE_STRING_ESCAPE;
        }
        break;
    case STATE_STRING_ESCAPE:
        reader->state = STATE_STRING;
        break;
    case STATE_IN_NAME:
        if (c == '"') {
            end_name(reader);
        } else if (c == '\\') {
            reader->state = STATE_NAME_ESCAPE;
        } else {
            add_to_name(reader, c);
        }
        break;
    case STATE_NAME_ESCAPE:
        read_name_escape(reader, c);
        break;
    case STATE_NAME_UNICODE:
        read_name_unicode(reader, c);
        break;
    case STATE_SCALAR:
        read_scalar(reader, c);
        break;
    case STATE_DEEP:
        read_deep(reader, c);
        break;
    case STATE_DEEP_STRING:
        reader->state = c == '"' ? STATE_DEEP : c == '\\' ? STATE_DEEP_ESCAPE : STATE_DEEP_STRING;
        break;
    case STATE_DEEP_ESCAPE:
        reader->state = STATE_DEEP_STRING;
        break;
    case STATE_DONE:
        break;
    }
}

const char *la_usage_find(const char *p, const char *end, char one, char other)
{
    while (p < end) {
        apr_size_t window = end - p < FIND_WINDOW ? (apr_size_t)(end - p) : FIND_WINDOW;
        const char *first = memchr(p, one, window);
        const char *second = memchr(p, other, first ? (apr_size_t)(first - p) : window);

        if (first || second) {
            return second ? second : first;
        }
        p += window;
    }
    return end;
}

/* Most of an answer is text in strings, which nothing is looked for in. */
static const char *skip_text(const la_usage_json_t *reader, const char *p, const char *end)
{
    if (reader->state == STATE_DONE) {
        return end;
    }
    if (reader->state == STATE_STRING || reader->state == STATE_DEEP_STRING) {
        return la_usage_find(p, end, '"', '\\');
    }
    return p;
}

void la_usage_json_read(la_usage_json_t *reader, la_slice_t bytes)
{
    const char *end = bytes.data + bytes.len;
    const char *p = skip_text(reader, bytes.data, end);

    while (p < end) {
        read_byte(reader, *p++);
        p = skip_text(reader, p, end);
    }
}

void la_usage_json_end(la_usage_json_t *reader)
{
    if (reader->state == STATE_SCALAR) {
        take_number(reader);
    }
    reader->state = STATE_VALUE;
    reader->member = MEMBER_OTHER;
    reader->level = 0;
}
