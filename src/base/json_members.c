/* The reader is a state machine that takes a byte at a time, except inside strings. It keeps a bit
 * for each open array or object and the name or value that it reads. Any thread, one at a time. */
#include "base/json_members.h"

#include "base/json_text.h"

#include <string.h>

#include <openssl/crypto.h>

/* A name in full: each letter of it may be written in three bytes that fold to one. */
#define NAME_CAPACITY ((apr_size_t)3 * LA_MEMBERS_NAME_BYTES)

#define VALUE_FIRST_CAPACITY ((apr_size_t)64)

typedef enum state_e {
    AT_VALUE,
    AT_FIRST_ITEM, /* a value or `]` */
    AT_FIRST_NAME, /* a name or `}` */
    AT_NAME,
    AT_COLON,
    AFTER_VALUE,
    AT_END,
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_CHARACTER, /* behind the first byte of a character beyond ASCII */
    IN_LITERAL,
    IN_MINUS, /* of a number, as the following */
    IN_ZERO,
    IN_INTEGER,
    IN_POINT,
    IN_FRACTION,
    IN_E,
    IN_E_SIGN,
    IN_EXPONENT
} state_e;

struct la_members_t {
    apr_pool_t *pool;
    la_member_t *members;
    int count;
    state_e state;
    const char *error;
    apr_size_t at;
    unsigned depth;
    unsigned char is_object[LA_MEMBERS_MAX_DEPTH]; /* of each open level */
    int has_object;                                /* the outermost value is an object */
    int in_name;
    const la_member_t *inner; /* whose object is read at the second level, or NULL */
    la_member_t *target;      /* the wanted member whose value comes next or is read */
    la_json_text_t kept;
    char name[NAME_CAPACITY];
    const char *literal;                /* what is left of one */
    unsigned char following, low, high; /* the bytes of a character that are still to come */
    unsigned hex_digits, unit;
};

static int fail(la_members_t *m, const char *error)
{
    m->error = error;
    return 0;
}

static int fail_at(la_members_t *m)
{
    return fail(m, "unexpected character");
}

/* ---- keeping ---- */

static void keep_nothing(la_members_t *m)
{
    m->kept = (la_json_text_t){.pool = m->pool};
}

static void keep_byte(la_members_t *m, unsigned char byte)
{
    char data = (char)byte;

    la_json_text_add(&m->kept, &data, 1);
}

/* ---- names ---- */

/* Whether the names of this level are looked at. */
static int is_watched(const la_members_t *m)
{
    return m->depth == 1 || (m->depth == 2 && m->inner);
}

/* Notes the member whose name has been read. */
static void find_target(la_members_t *m)
{
    const la_member_t *within = m->depth == 2 ? m->inner : NULL;
    la_slice_t name = {m->kept.data, m->kept.len};

    m->target = NULL;
    for (int i = 0; i < m->count && !m->kept.is_broken; i++) {
        la_member_t *member = &m->members[i];

        if (member->within == within && la_json_text_is_name(name, member->name)) {
            if (member->kind != LA_MEMBER_ABSENT || !la_slice_is(name, member->name)) {
                member->is_ambiguous = 1;
            } else {
                m->target = member;
            }
        }
    }
}

/* ---- values ---- */

static void begin_target(la_members_t *m, la_member_e kind)
{
    m->target->kind = kind;
    if (kind == LA_MEMBER_STRING || kind == LA_MEMBER_NUMBER) {
        m->kept.capacity = VALUE_FIRST_CAPACITY;
        m->kept.limit = m->target->limit_bytes;
        m->kept.data = apr_palloc(m->pool, VALUE_FIRST_CAPACITY);
    }
}

static void end_target(la_members_t *m)
{
    m->target->is_unusable = m->kept.data && m->kept.is_broken;
    if (m->kept.data && !m->kept.is_broken) {
        m->target->value = (la_slice_t){m->kept.data, m->kept.len};
    }
    m->target = NULL;
}

static int end_value(la_members_t *m)
{
    if (m->target) {
        end_target(m);
    }
    keep_nothing(m);
    m->state = m->depth > 0 ? AFTER_VALUE : AT_END;
    return 1;
}

static int open_level(la_members_t *m, int is_object)
{
    if (m->depth == LA_MEMBERS_MAX_DEPTH) {
        return fail(m, "nested too deep");
    }
    if (m->depth == 0) {
        m->has_object = is_object;
    } else if (m->depth == 1 && is_object) {
        m->inner = m->target;
    }
    m->target = NULL;
    m->is_object[m->depth++] = (unsigned char)is_object;
    m->state = is_object ? AT_FIRST_NAME : AT_FIRST_ITEM;
    return 1;
}

static int close_level(la_members_t *m, int is_object)
{
    if (m->is_object[m->depth - 1] != is_object) {
        return fail_at(m);
    }
    if (--m->depth == 1) {
        m->inner = NULL;
    }
    return end_value(m);
}

static int begin_string(la_members_t *m, int is_name)
{
    m->in_name = is_name;
    m->state = IN_STRING;
    if (is_name && is_watched(m)) {
        m->kept = (la_json_text_t){
            .data = m->name, .capacity = NAME_CAPACITY, .limit = NAME_CAPACITY, .pool = m->pool};
    }
    return 1;
}

static int end_string(la_members_t *m)
{
    if (!m->in_name) {
        return end_value(m);
    }
    if (m->kept.data) {
        find_target(m);
    }
    keep_nothing(m);
    m->state = AT_COLON;
    return 1;
}

static la_member_e kind_of(unsigned char byte)
{
    if (byte == '"') {
        return LA_MEMBER_STRING;
    }
    if (byte == '{') {
        return LA_MEMBER_OBJECT;
    }
    return byte == '-' || (byte >= '0' && byte <= '9') ? LA_MEMBER_NUMBER : LA_MEMBER_OTHER;
}

static int begin_value(la_members_t *m, unsigned char byte)
{
    if (m->target) {
        begin_target(m, kind_of(byte));
    }
    switch (byte) {
    case '{':
        return open_level(m, 1);
    case '[':
        return open_level(m, 0);
    case '"':
        return begin_string(m, 0);
    case 'n':
    case 't':
    case 'f':
        m->literal = byte == 'n' ? "ull" : byte == 't' ? "rue" : "alse";
        m->state = IN_LITERAL;
        return 1;
    }
    if (kind_of(byte) != LA_MEMBER_NUMBER) {
        return fail_at(m);
    }
    keep_byte(m, byte);
    m->state = byte == '-' ? IN_MINUS : byte == '0' ? IN_ZERO : IN_INTEGER;
    return 1;
}

/* ---- inside strings ---- */

/* Whether a byte stands for itself in a string. */
static int is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static int step_hex(la_members_t *m, unsigned char byte)
{
    int digit = OPENSSL_hexchar2int(byte);

    if (digit < 0) {
        return fail_at(m);
    }
    m->unit = m->unit << 4 | (unsigned)digit;
    if (++m->hex_digits < 4) {
        return 1;
    }
    if (m->in_name && m->unit == 0) {
        return fail(m, "NUL in a member name");
    }
    la_json_text_add_unit(&m->kept, m->unit);
    m->state = IN_STRING;
    return 1;
}

static int step_escape(la_members_t *m, unsigned char byte)
{
    static const char letters[] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'};
    static const char meant[] = {'"', '\\', '/', '\b', '\f', '\n', '\r', '\t'};
    const char *found = memchr(letters, byte, sizeof(letters));

    if (byte == 'u') {
        m->hex_digits = 0;
        m->unit = 0;
        m->state = IN_HEX;
        return 1;
    }
    if (!found) {
        return fail_at(m);
    }
    la_json_text_add(&m->kept, &meant[found - letters], 1);
    m->state = IN_STRING;
    return 1;
}

/* The first byte of a character beyond ASCII (Unicode 15, table 3-7). */
static int begin_character(la_members_t *m, unsigned char byte)
{
    if (byte < 0xC2 || byte > 0xF4) {
        return fail(m, "not UTF-8");
    }
    m->following = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    m->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
    m->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    keep_byte(m, byte);
    m->state = IN_CHARACTER;
    return 1;
}

static int step_character(la_members_t *m, unsigned char byte)
{
    if (byte < m->low || byte > m->high) {
        return fail(m, "not UTF-8");
    }
    m->low = 0x80;
    m->high = 0xBF;
    keep_byte(m, byte);
    if (--m->following == 0) {
        m->state = IN_STRING;
    }
    return 1;
}

static int step_string(la_members_t *m, unsigned char byte)
{
    if (byte == '\\') {
        m->state = IN_ESCAPE;
        return 1;
    }
    la_json_text_end(&m->kept);
    if (byte == '"') {
        return end_string(m);
    }
    if (byte < 0x20) {
        return fail(m, "control character in a string");
    }
    return begin_character(m, byte);
}

/* ---- numbers, literals, and what is between values ---- */

/* The state behind one more byte of a number; AT_END when the byte does not belong to it. */
static state_e number_state(state_e state, unsigned char byte)
{
    int is_digit = byte >= '0' && byte <= '9';
    int is_e = byte == 'e' || byte == 'E';

    switch ((int)state) {
    case IN_MINUS:
        return byte == '0' ? IN_ZERO : is_digit ? IN_INTEGER : AT_END;
    case IN_INTEGER:
        if (is_digit) {
            return IN_INTEGER;
        } /* fall through */
    case IN_ZERO:
        return byte == '.' ? IN_POINT : is_e ? IN_E : AT_END;
    case IN_POINT:
        return is_digit ? IN_FRACTION : AT_END;
    case IN_FRACTION:
        return is_digit ? IN_FRACTION : is_e ? IN_E : AT_END;
    case IN_E:
        return is_digit ? IN_EXPONENT : byte == '+' || byte == '-' ? IN_E_SIGN : AT_END;
    default:
        return is_digit ? IN_EXPONENT : AT_END;
    }
}

static int is_whole_number(state_e state)
{
    return state == IN_ZERO || state == IN_INTEGER || state == IN_FRACTION || state == IN_EXPONENT;
}

static int is_space(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static int step_after_value(la_members_t *m, unsigned char byte)
{
    if (byte == ',') {
        m->state = m->is_object[m->depth - 1] ? AT_NAME : AT_VALUE;
        return 1;
    }
    return byte == '}' || byte == ']' ? close_level(m, byte == '}') : fail_at(m);
}

static int step_between(la_members_t *m, unsigned char byte)
{
    if (is_space(byte)) {
        return 1;
    }
    switch ((int)m->state) {
    case AT_FIRST_ITEM:
        return byte == ']' ? close_level(m, 0) : begin_value(m, byte);
    case AT_VALUE:
        return begin_value(m, byte);
    case AT_FIRST_NAME:
        if (byte == '}') {
            return close_level(m, 1);
        } /* fall through */
    case AT_NAME:
        return byte == '"' ? begin_string(m, 1) : fail_at(m);
    case AT_COLON:
        m->state = AT_VALUE;
        return byte == ':' || fail_at(m);
    case AFTER_VALUE:
        return step_after_value(m, byte);
    default:
        return fail(m, "more after the value");
    }
}

static int step_number(la_members_t *m, unsigned char byte)
{
    state_e next = number_state(m->state, byte);

    if (next != AT_END) {
        keep_byte(m, byte);
        m->state = next;
        return 1;
    }
    if (!is_whole_number(m->state)) {
        return fail_at(m);
    }
    (void)end_value(m);
    return step_between(m, byte);
}

static int step_literal(la_members_t *m, unsigned char byte)
{
    if ((unsigned char)*m->literal != byte) {
        return fail_at(m);
    }
    return *++m->literal ? 1 : end_value(m);
}

static int step(la_members_t *m, unsigned char byte)
{
    switch ((int)m->state) {
    case IN_STRING:
        return step_string(m, byte);
    case IN_ESCAPE:
        return step_escape(m, byte);
    case IN_HEX:
        return step_hex(m, byte);
    case IN_CHARACTER:
        return step_character(m, byte);
    case IN_LITERAL:
        return step_literal(m, byte);
    default:
        return m->state >= IN_MINUS ? step_number(m, byte) : step_between(m, byte);
    }
}

la_members_t *la_members_make(apr_pool_t *pool, la_member_t *members, int count)
{
    la_members_t *reader = apr_pcalloc(pool, sizeof(*reader));

    reader->pool = pool;
    reader->kept.pool = pool;
    reader->members = members;
    reader->count = count;
    return reader;
}

/* How many bytes of a string from here on stand for themselves. Most of a body is in strings. */
static apr_size_t plain_run(const unsigned char *data, apr_size_t len)
{
    apr_size_t run = 0;

    while (run < len && is_plain(data[run])) {
        run++;
    }
    return run;
}

const char *la_members_read(la_members_t *m, la_slice_t part)
{
    const unsigned char *data = (const unsigned char *)part.data;
    apr_size_t at = 0;

    while (at < part.len && !m->error) {
        apr_size_t run = m->state == IN_STRING ? plain_run(data + at, part.len - at) : 0;

        if (run > 0) {
            la_json_text_add(&m->kept, part.data + at, run);
            at += run;
        } else if (step(m, data[at])) {
            at++;
        }
    }
    m->at += at;
    return m->error;
}

const char *la_members_end(la_members_t *m)
{
    if (!m->error && m->depth == 0 && is_whole_number(m->state)) {
        (void)end_value(m);
    }
    if (!m->error && m->state != AT_END) {
        (void)fail(m, "unexpected end");
    }
    if (!m->error && !m->has_object) {
        (void)fail(m, "not an object");
    }
    return m->error;
}

apr_size_t la_members_at(const la_members_t *m)
{
    return m->at;
}
