/* The grammar of JSON (RFC 8259) and of UTF-8. Decides whether a text is JSON, and rewrites what
 * json-c would misread in a sound one. Any thread. */
#include "base/json_scan.h"

#include <string.h>

#include <openssl/crypto.h>

/* One row of Unicode's table 3-7: which second bytes may follow a lead byte. */
typedef struct utf8_lead_t {
    unsigned char first, last;
    unsigned char following;
    unsigned char second_low, second_high;
} utf8_lead_t;

static const utf8_lead_t utf8_leads[] = {
    {0xC2, 0xDF, 1, 0x80, 0xBF}, {0xE0, 0xE0, 2, 0xA0, 0xBF}, {0xE1, 0xEC, 2, 0x80, 0xBF},
    {0xED, 0xED, 2, 0x80, 0x9F}, {0xEE, 0xEF, 2, 0x80, 0xBF}, {0xF0, 0xF0, 3, 0x90, 0xBF},
    {0xF1, 0xF3, 3, 0x80, 0xBF}, {0xF4, 0xF4, 3, 0x80, 0x8F},
};

static const utf8_lead_t *utf8_lead(unsigned char byte)
{
    for (apr_size_t i = 0; i < sizeof(utf8_leads) / sizeof(utf8_leads[0]); i++) {
        if (byte >= utf8_leads[i].first && byte <= utf8_leads[i].last) {
            return &utf8_leads[i];
        }
    }
    return NULL;
}

apr_size_t la_utf8_decode(const unsigned char *bytes, apr_size_t len, unsigned *code)
{
    const utf8_lead_t *lead;
    unsigned value, low, high;

    *code = bytes[0];
    if (bytes[0] < 0x80) {
        return 1;
    }
    *code = LA_NOT_UTF8;
    lead = utf8_lead(bytes[0]);
    if (!lead) {
        return 1;
    }
    value = bytes[0] & (0x3Fu >> lead->following);
    low = lead->second_low;
    high = lead->second_high;
    for (apr_size_t i = 1; i <= lead->following; i++) {
        if (i == len || bytes[i] < low || bytes[i] > high) {
            return i;
        }
        value = value << 6 | (bytes[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *code = value;
    return lead->following + 1u;
}

apr_size_t la_utf8_encode(unsigned code, char bytes[4])
{
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    unsigned following = (code >= 0x80) + (code >= 0x800) + (code >= 0x10000);

    bytes[0] = (char)(leads[following] | code >> 6 * following);
    for (unsigned i = 1; i <= following; i++) {
        bytes[i] = (char)(0x80 | (code >> 6 * (following - i) & 0x3F));
    }
    return following + 1;
}

/* The scan: recursive descent over the text, at most LA_JSON_MAX_DEPTH deep. Its functions return
 * 1 and leave `at` behind what they read, or 0 with `error` set and `at` where it is. */
typedef la_json_scan_t scan_t;

/* Bytes that json-c 0.16 to 0.18 allocate for each value, beside its characters, measured on 64
 * bits. Tables that grow are counted with the smaller ones that they replace. */
#define TREE_OBJECT  784 /* its table has room for TREE_ROOM members */
#define TREE_ARRAY   144
#define TREE_STRING  80
#define TREE_NUMBER  96 /* fractions keep their text too */
#define TREE_BOOLEAN 64
#define TREE_ITEM    24
#define TREE_NAME    32
#define TREE_ROOM    10
#define TREE_GROWTH  160 /* each further member */

static int scan_value(scan_t *scan);
static int scan_container(scan_t *scan);

static int scan_fail(scan_t *scan, const char *error)
{
    scan->error = error;
    return 0;
}

/* The next byte; -1 at the end, which no byte equals. */
static int scan_peek(const scan_t *scan)
{
    return scan->at < scan->len ? scan->data[scan->at] : -1;
}

static int scan_unexpected(scan_t *scan)
{
    return scan_fail(scan, scan_peek(scan) < 0 ? "unexpected end" : "unexpected character");
}

static int scan_take(scan_t *scan, char wanted)
{
    if (scan_peek(scan) != wanted) {
        return 0;
    }
    scan->at++;
    return 1;
}

static int scan_expect(scan_t *scan, char wanted)
{
    return scan_take(scan, wanted) || scan_unexpected(scan);
}

static void scan_space(scan_t *scan)
{
    while (scan_take(scan, ' ') || scan_take(scan, '\t') || scan_take(scan, '\n') ||
           scan_take(scan, '\r')) {
        ;
    }
}

static int scan_literal(scan_t *scan, const char *literal)
{
    for (; *literal; literal++) {
        if (!scan_expect(scan, *literal)) {
            return 0;
        }
    }
    return 1;
}

static int scan_digits(scan_t *scan)
{
    apr_size_t start = scan->at;

    while (scan_peek(scan) >= '0' && scan_peek(scan) <= '9') {
        scan->at++;
    }
    return scan->at > start || scan_unexpected(scan);
}

static int scan_number(scan_t *scan)
{
    (void)scan_take(scan, '-');
    if (!scan_take(scan, '0') && !scan_digits(scan)) {
        return 0;
    }
    if (scan_take(scan, '.') && !scan_digits(scan)) {
        return 0;
    }
    if (scan_take(scan, 'e') || scan_take(scan, 'E')) {
        if (!scan_take(scan, '+')) {
            (void)scan_take(scan, '-');
        }
        return scan_digits(scan);
    }
    return 1;
}

static int scan_hex4(scan_t *scan, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = OPENSSL_hexchar2int((unsigned char)scan_peek(scan)); /* -1 at the end too */

        if (digit < 0) {
            return scan_unexpected(scan);
        }
        *unit = *unit << 4 | (unsigned)digit;
        scan->at++;
    }
    return 1;
}

/* An escape, from behind its backslash. json-c keeps member names as C strings and would cut a name
 * at \u0000, so that it looks like another name. */
static int scan_escape(scan_t *scan, int in_name)
{
    static const char plain[] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'};
    int byte = scan_peek(scan);
    unsigned unit;

    if (scan_take(scan, 'u')) {
        if (!scan_hex4(scan, &unit)) {
            return 0;
        }
        if (unit >= 0xD800 && unit <= 0xDFFF) {
            scan->surrogates = 1;
        }
        return !(in_name && unit == 0) || scan_fail(scan, "NUL in a member name");
    }
    if (byte < 0 || !memchr(plain, byte, sizeof(plain))) {
        return scan_unexpected(scan);
    }
    scan->at++;
    return 1;
}

/* One raw character of a string; json-c accepts overlong forms and surrogates. */
static int scan_character(scan_t *scan)
{
    unsigned code;
    apr_size_t taken;

    if (scan_peek(scan) < 0) {
        return scan_unexpected(scan);
    }
    taken = la_utf8_decode(scan->data + scan->at, scan->len - scan->at, &code);
    if (code == LA_NOT_UTF8) {
        return scan_fail(scan, "not UTF-8");
    }
    if (code < 0x20) {
        return scan_fail(scan, "control character in a string");
    }
    scan->at += taken;
    return 1;
}

static int scan_string(scan_t *scan, int is_name)
{
    if (!scan_expect(scan, '"')) {
        return 0;
    }
    while (!scan_take(scan, '"')) {
        if (!(scan_take(scan, '\\') ? scan_escape(scan, is_name) : scan_character(scan))) {
            return 0;
        }
    }
    return 1;
}

/* The list that was asked for, from its opening bracket. Trees are built of its items one at a
 * time, so their sum does not count. */
static int scan_list(scan_t *scan)
{
    apr_size_t members = scan->members;
    apr_size_t tree = scan->tree + TREE_ARRAY;
    apr_size_t first = scan->at + 1;

    scan->list_name = NULL;
    if (!scan_container(scan)) {
        return 0;
    }
    scan->list = (la_slice_t){(const char *)scan->data + first, scan->at - 1 - first};
    scan->items = scan->closed;
    scan->members = members;
    scan->tree = tree;
    return 1;
}

static int is_list_name(const scan_t *scan, la_slice_t quoted)
{
    return scan->depth == 1 && scan->list_name && strlen(scan->list_name) == quoted.len - 2 &&
           memcmp(quoted.data + 1, scan->list_name, quoted.len - 2) == 0;
}

static int scan_member(scan_t *scan)
{
    apr_size_t start;
    la_slice_t name;
    int is_list;

    scan_space(scan);
    start = scan->at;
    if (!scan_string(scan, 1)) {
        return 0;
    }
    name = (la_slice_t){(const char *)scan->data + start, scan->at - start};
    if (scan->on_name && !scan->on_name(scan->baton, scan->object, name)) {
        scan->at = start;
        return 0;
    }
    is_list = is_list_name(scan, name);
    scan->members++;
    scan->tree += TREE_NAME;
    if (scan->width++ >= TREE_ROOM) {
        scan->tree += TREE_GROWTH;
    }
    scan_space(scan);
    if (!scan_expect(scan, ':')) {
        return 0;
    }
    scan_space(scan);
    if (!is_list || scan_peek(scan) != '[') {
        return scan_value(scan);
    }
    if (!scan_list(scan)) {
        return 0;
    }
    scan_space(scan);
    return 1;
}

static int scan_element(scan_t *scan)
{
    scan->tree += TREE_ITEM;
    scan->width++;
    return scan_value(scan);
}

/* The inside of an array or object, from behind its opening bracket to its `close`. */
static int scan_items(scan_t *scan, int (*scan_item)(scan_t *), char close)
{
    scan_space(scan);
    if (scan_take(scan, close)) {
        return 1;
    }
    do {
        if (!scan_item(scan)) {
            return 0;
        }
    } while (scan_take(scan, ','));
    return scan_expect(scan, close);
}

static int scan_container(scan_t *scan)
{
    apr_size_t outer_width = scan->width;
    apr_size_t outer_object = scan->object;
    int sound;

    if (scan->depth == LA_JSON_MAX_DEPTH) {
        return scan_fail(scan, "nested too deep");
    }
    scan->depth++;
    scan->width = 0;
    if (scan_take(scan, '{')) {
        scan->tree += TREE_OBJECT;
        scan->object = ++scan->objects;
        sound = scan_items(scan, scan_member, '}');
    } else {
        scan->tree += TREE_ARRAY;
        sound = scan_expect(scan, '[') && scan_items(scan, scan_element, ']');
    }
    scan->depth--;
    scan->closed = scan->width;
    scan->width = outer_width;
    scan->object = outer_object;
    return sound;
}

static int scan_bare_value(scan_t *scan)
{
    switch (scan_peek(scan)) {
    case '{':
    case '[':
        return scan_container(scan);
    case '"':
        scan->tree += TREE_STRING;
        return scan_string(scan, 0);
    case 'n':
        return scan_literal(scan, "null");
    case 't':
        scan->tree += TREE_BOOLEAN;
        return scan_literal(scan, "true");
    case 'f':
        scan->tree += TREE_BOOLEAN;
        return scan_literal(scan, "false");
    }
    scan->tree += TREE_NUMBER;
    return scan_number(scan);
}

/* A value with the white space around it. */
static int scan_value(scan_t *scan)
{
    scan_space(scan);
    if (!scan_bare_value(scan)) {
        return 0;
    }
    scan_space(scan);
    return 1;
}

static void begin(scan_t *scan, la_slice_t text)
{
    *scan = (scan_t){.data = (const unsigned char *)text.data, .len = text.len};
}

int la_json_scan(la_slice_t text, const char *list, la_json_scan_t *scan)
{
    begin(scan, text);
    scan->list_name = list;
    return scan_value(scan) && (scan->at == scan->len || scan_fail(scan, "more after the value"));
}

int la_json_scan_item(la_slice_t text, la_json_scan_t *scan)
{
    begin(scan, text);
    return scan_value(scan) &&
           (scan->at == scan->len || scan_peek(scan) == ',' || scan_unexpected(scan));
}

apr_size_t la_json_scan_names(la_slice_t text, la_json_name_t *on_name, void *baton)
{
    scan_t scan;

    begin(&scan, text);
    scan.on_name = on_name;
    scan.baton = baton;
    (void)scan_value(&scan);
    return scan.at;
}

/* The unit that a \u escape at the start of `text` names, 0 if there is no such escape. */
static unsigned escaped_unit(const unsigned char *text, apr_size_t len)
{
    scan_t scan = {.data = text, .len = len};
    unsigned unit;

    return scan_literal(&scan, "\\u") && scan_hex4(&scan, &unit) ? unit : 0;
}

/* The character of a surrogate pair, 0 if the units are none. */
static unsigned pair_character(unsigned high, unsigned low)
{
    if ((high & 0xFC00u) != 0xD800 || (low & 0xFC00u) != 0xDC00) {
        return 0;
    }
    return 0x10000 + ((high & 0x3FFu) << 10 | (low & 0x3FFu));
}

la_slice_t la_json_join_surrogates(apr_pool_t *pool, la_slice_t text)
{
    const unsigned char *in = (const unsigned char *)text.data;
    char *joined = apr_palloc(pool, text.len);
    char *out = joined;
    apr_size_t at = 0;

    while (at < text.len) {
        unsigned high = escaped_unit(in + at, text.len - at);
        unsigned code =
            high ? pair_character(high, escaped_unit(in + at + 6, text.len - at - 6)) : 0;

        if (code) {
            out += la_utf8_encode(code, out);
            at += 12;
            continue;
        }
        /* A backslash takes the next byte with it, or "\\\\ud800" would look like an escape. */
        if (in[at] == '\\') {
            *out++ = text.data[at++];
        }
        *out++ = text.data[at++];
    }
    return (la_slice_t){joined, (apr_size_t)(out - joined)};
}
