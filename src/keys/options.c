#include "keys/options.h"

#include "access/identity.h"
#include "base/cidr.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/timestamp.h"
#include "base/units.h"
#include "provider/api_key.h"

#include <stddef.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define DAY_US     (APR_TIME_C(86400) * APR_USEC_PER_SEC)
#define OVERLAP_US (7 * DAY_US)
#define PREFIX     "lla_"

/* What may stand beside a key in a text. */
#define NOT_IN_KEYS " \t\n,;:=/|'\"()<>"

const char la_key_help[] =
    "Usage: llama-auth-keys COMMAND FILE [ID] [OPTION]...\n"
    "Makes, lists, rotates and revokes the API keys in a key file of mod_llama_auth's\n"
    "`static` provider. httpd follows the file: what is changed holds within two seconds.\n"
    "\n"
    "Commands:\n"
    "  add FILE ID       add a key and print it; this is the only time it can be seen\n"
    "  list FILE         list the keys\n"
    "  rotate FILE ID    print a new key like the old one, which ends after the overlap\n"
    "  revoke FILE ID    remove all keys of the ID\n"
    "  disable FILE ID   refuse all keys of the ID until they are enabled\n"
    "  enable FILE ID    accept them again\n"
    "  check FILE        check the file as httpd does when it starts\n"
    "  verify FILE       read a key from standard input and say whether it is valid\n"
    "\n"
    "Options of add:\n"
    "  --principal NAME  who the caller is; by default the ID\n"
    "  --scope SCOPE     a scope of the caller; may be repeated\n"
    "  --attribute CATEGORY=VALUE[,VALUE...]\n"
    "                    attributes of the caller; may be repeated\n"
    "  --expires TIME    when the key ends: 90d, 12h, 2027-01-01 or 2027-01-01T00:00:00Z\n"
    "  --not-before TIME\n"
    "                    when it begins, written the same way\n"
    "  --from CIDR       accept it only from this network (10.0.0.0/8); may be repeated\n"
    "  --note TEXT       a remark for people\n"
    "  --prefix TEXT     how the key begins; by default lla_; rotate takes it too\n"
    "  --sha256 HEX      add a key that exists elsewhere by its SHA-256, and print nothing\n"
    "  --group GROUP     the group of a new file; by default its folder's\n"
    "\n"
    "Options of list:\n"
    "  --expiring 14d    only keys that end within this time and have no successor\n"
    "  --json            as JSON\n"
    "\n"
    "Options of rotate:\n"
    "  --overlap 7d      how long the old key goes on; by default 7d, 0 ends it at once\n"
    "\n"
    "Exit status: 0; 1 if there is no such ID, the file or the key is not valid, or the\n"
    "file cannot be read or written; 2 if the command line is wrong.\n";

typedef struct parser_t {
    apr_pool_t *pool;
    apr_time_t now;
    la_key_options_t *options;
} parser_t;

/* ---- values ---- */

static const char *check_text(const char *text)
{
    apr_size_t len = strlen(text);
    unsigned code;

    if (len == 0) {
        return "is empty";
    }
    while (len > 0) {
        apr_size_t width = la_utf8_decode((const unsigned char *)text, len, &code);

        if (code == LA_NOT_UTF8) {
            return "is not UTF-8";
        }
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            return "holds a control character";
        }
        text += width;
        len -= width;
    }
    return NULL;
}

static const char *set_text(const parser_t *parser, const char *value, void *field)
{
    (void)parser;
    *(const char **)field = value;
    return check_text(value);
}

static const char *set_principal(const parser_t *parser, const char *value, void *field)
{
    la_identity_builder_t *builder = la_identity_builder_make(parser->pool);

    if (la_identity_set_principal(builder, la_slice_of(value))) {
        return "is empty, begins or ends with a blank, or holds a control character";
    }
    return set_text(parser, value, field);
}

static const char *set_prefix(const parser_t *parser, const char *value, void *field)
{
    apr_size_t len = strlen(value);

    (void)parser;
    *(const char **)field = value;
    for (const char *c = value; *c; c++) {
        if (!apr_isascii(*c) || (!apr_isalnum(*c) && !strchr("_-.", *c))) {
            return "holds something that is no letter, digit, _, - or .";
        }
    }
    return len > LA_API_KEY_PREFIX_MAX ? "has more than 32 characters" : NULL;
}

static const char *set_sha256(const parser_t *parser, const char *value, void *field)
{
    (void)parser;
    *(const char **)field = value;
    return strlen(value) == (size_t)2 * LA_DIGEST_BYTES &&
                   strspn(value, "0123456789abcdefABCDEF") == (size_t)2 * LA_DIGEST_BYTES
               ? NULL
               : "is not 64 hex digits";
}

static const char *add_value(const parser_t *parser, const char *category, const char *value)
{
    apr_array_header_t *all = parser->options->attributes;
    la_key_attribute_t *attribute = (la_key_attribute_t *)all->elts;
    const la_key_attribute_t *end = attribute + all->nelts;

    while (attribute < end && strcmp(attribute->category, category) != 0) {
        attribute++;
    }
    if (attribute == end) {
        attribute = apr_array_push(all);
        attribute->category = category;
        attribute->values = apr_array_make(parser->pool, 2, sizeof(const char *));
    }
    APR_ARRAY_PUSH(attribute->values, const char *) = value;
    return check_text(value);
}

static const char *set_scope(const parser_t *parser, const char *value, void *field)
{
    (void)field;
    if (strpbrk(value, " ,")) {
        return "is one scope: repeat it for more";
    }
    return add_value(parser, LA_CATEGORY_SCOPES, value);
}

static const char *set_attribute(const parser_t *parser, const char *value, void *field)
{
    const char *equals = strchr(value, '=');
    const char *category;
    const char *error;

    (void)field;
    if (!equals) {
        return "is not CATEGORY=VALUE";
    }
    category = apr_pstrmemdup(parser->pool, value, (apr_size_t)(equals - value));
    error = check_text(category);
    value = equals + 1;
    while (!error && value) {
        const char *comma = strchr(value, ',');

        error = add_value(parser, category,
                          comma ? apr_pstrmemdup(parser->pool, value, (apr_size_t)(comma - value))
                                : value);
        value = comma ? comma + 1 : NULL;
    }
    return error;
}

static const char *set_from(const parser_t *parser, const char *value, void *field)
{
    la_cidr_t cidr;

    (void)field;
    APR_ARRAY_PUSH(parser->options->from, const char *) = value;
    return la_cidr_parse(la_slice_of(value), &cidr)
               ? NULL
               : "is no network as in 10.0.0.0/8 or 2001:db8::/32";
}

/* A number without a unit may be meant as days, a year or a date: only 0 is clear. */
static int read_duration(const char *text, apr_interval_time_t *us)
{
    return (text[strspn(text, "0123456789")] != '\0' || strcmp(text, "0") == 0) &&
           la_units_duration(text, us);
}

static const char *set_time(const parser_t *parser, const char *value, void *field)
{
    apr_time_t *at = field;
    apr_interval_time_t us;

    if (read_duration(value, &us)) {
        *at = parser->now + us;
        return NULL;
    }
    if (strlen(value) == sizeof("2027-01-01") - 1) {
        value = apr_pstrcat(parser->pool, value, "T00:00:00Z", NULL);
    }
    if (!la_timestamp_parse(la_slice_of(value), at)) {
        return "is neither a duration as in 90d nor a time as in 2027-01-01T00:00:00Z";
    }
    *at = *at > 0 ? *at : 1;
    return NULL;
}

static const char *set_duration(const parser_t *parser, const char *value, void *field)
{
    (void)parser;
    return read_duration(value, field) ? NULL : "is no duration as in 7d";
}

static const char *set_flag(const parser_t *parser, const char *value, void *field)
{
    (void)parser;
    (void)value;
    *(int *)field = 1;
    return NULL;
}

/* ---- options ---- */

typedef const char *set_fn(const parser_t *parser, const char *value, void *field);

typedef struct row_t {
    const char *name;
    set_fn *set;
    apr_size_t offset;
    unsigned verbs;
    int repeatable;
} row_t;

#define FIELD(name) offsetof(la_key_options_t, name)

static const row_t rows[] = {
    {"principal", set_principal, FIELD(principal), LA_KEYS_ADD, 0},
    {"scope", set_scope, 0, LA_KEYS_ADD, 1},
    {"attribute", set_attribute, 0, LA_KEYS_ADD, 1},
    {"expires", set_time, FIELD(expires), LA_KEYS_ADD, 0},
    {"not-before", set_time, FIELD(not_before), LA_KEYS_ADD, 0},
    {"from", set_from, 0, LA_KEYS_ADD, 1},
    {"note", set_text, FIELD(note), LA_KEYS_ADD, 0},
    {"prefix", set_prefix, FIELD(prefix), LA_KEYS_ADD | LA_KEYS_ROTATE, 0},
    {"sha256", set_sha256, FIELD(sha256), LA_KEYS_ADD, 0},
    {"group", set_text, FIELD(group), LA_KEYS_ADD, 0},
    {"expiring", set_duration, FIELD(expiring_us), LA_KEYS_LIST, 0},
    {"json", set_flag, FIELD(json), LA_KEYS_LIST, 0},
    {"overlap", set_duration, FIELD(overlap_us), LA_KEYS_ROTATE, 0},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
    const char *name;
    la_key_verb_e verb;
    int takes_id;
} verbs[] = {{"add", LA_KEYS_ADD, 1},         {"list", LA_KEYS_LIST, 0},
             {"rotate", LA_KEYS_ROTATE, 1},   {"revoke", LA_KEYS_REVOKE, 1},
             {"disable", LA_KEYS_DISABLE, 1}, {"enable", LA_KEYS_ENABLE, 1},
             {"check", LA_KEYS_CHECK, 0},     {"verify", LA_KEYS_VERIFY, 0}};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* Everybody on the machine can see a command line. */
static int holds_key(const char *word)
{
    for (;;) {
        apr_size_t len = strcspn(word, NOT_IN_KEYS);

        if (la_api_key_form((la_slice_t){word, len}) != LA_API_KEY_OTHER) {
            return 1;
        }
        if (!word[len]) {
            return 0;
        }
        word += len + 1;
    }
}

static const row_t *find_row(const char *name, apr_size_t len)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Reads the option at words[*at], and its value, which may be the next word. */
static const char *read_option(const parser_t *parser, int count, const char *const *words, int *at,
                               unsigned *seen)
{
    const char *name = words[*at] + 2;
    const char *value = strchr(name, '=');
    const row_t *row = find_row(name, value ? (apr_size_t)(value - name) : strlen(name));
    const char *error;
    unsigned bit;

    if (!row || !(row->verbs & parser->options->verb)) {
        return apr_pstrcat(parser->pool, "not an option here: ",
                           la_json_quoted(parser->pool, la_slice_of(words[*at])), NULL);
    }
    bit = 1u << (row - rows);
    if ((*seen & bit) && !row->repeatable) {
        return apr_pstrcat(parser->pool, "--", row->name, " is given twice", NULL);
    }
    *seen |= bit;
    if (row->set == set_flag) {
        error = value ? "takes no value"
                      : row->set(parser, NULL, (char *)parser->options + row->offset);
    } else {
        value = value ? value + 1 : *at + 1 < count ? words[++*at] : NULL;
        error = value ? row->set(parser, value, (char *)parser->options + row->offset)
                      : "needs a value";
    }
    return error ? apr_pstrcat(parser->pool, "--", row->name, " ", error, NULL) : NULL;
}

static int find_verb(const char *word)
{
    for (int i = 0; i < (int)VERBS; i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            return i;
        }
    }
    return -1;
}

static int wants_help(int count, const char *const *words)
{
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
            return 1;
        }
    }
    return 0;
}

static const char *check_operands(const parser_t *parser, const char *const *operands, int count,
                                  int takes_id)
{
    la_key_options_t *options = parser->options;
    const char *error;

    if (count < 1 + takes_id) {
        return count == 0 ? "FILE is missing" : "ID is missing";
    }
    if (count > 1 + takes_id) {
        return options->verb == LA_KEYS_VERIFY
                   ? "too many arguments: the key is read from standard input"
                   : "too many arguments";
    }
    options->file = operands[0];
    options->id = takes_id ? operands[1] : NULL;
    if (!options->file || !*options->file) {
        return "FILE is empty";
    }
    if (options->verb != LA_KEYS_ADD || !options->id) {
        return NULL;
    }
    error = check_text(options->id);
    if (!error && !options->principal) {
        error = set_principal(parser, options->id, &options->principal);
    }
    return error ? apr_pstrcat(parser->pool, "ID ", error, NULL) : NULL;
}

/* Options may stand anywhere behind the command; behind `--` nothing is an option. */
static const char *read_words(const parser_t *parser, int count, const char *const *words,
                              int takes_id)
{
    const char *operands[3] = {NULL};
    const char *error = NULL;
    unsigned seen = 0;
    int found = 0;
    int ended = 0;

    for (int i = 0; i < count && !error; i++) {
        if (!ended && strcmp(words[i], "--") == 0) {
            ended = 1;
        } else if (!ended && words[i][0] == '-' && words[i][1] == '-') {
            error = read_option(parser, count, words, &i, &seen);
        } else if (!ended && words[i][0] == '-' && words[i][1] != '\0') {
            error = "options begin with two dashes";
        } else if (found < 3) {
            operands[found++] = words[i];
        }
    }
    return error ? error : check_operands(parser, operands, found, takes_id);
}

const char *la_key_options_parse(apr_pool_t *pool, int count, const char *const *words,
                                 apr_time_t now, la_key_options_t *options)
{
    parser_t parser = {pool, now, options};
    const char *error;
    int verb;

    *options = (la_key_options_t){.verb = LA_KEYS_HELP,
                                  .prefix = PREFIX,
                                  .overlap_us = OVERLAP_US,
                                  .expiring_us = -1,
                                  .attributes = apr_array_make(pool, 4, sizeof(la_key_attribute_t)),
                                  .from = apr_array_make(pool, 2, sizeof(const char *))};
    if (count == 0) {
        return "a command is missing";
    }
    for (int i = 0; i < count; i++) {
        if (holds_key(words[i])) {
            return "a key does not belong on the command line, where other users see it";
        }
    }
    if (wants_help(count, words)) {
        return NULL;
    }
    verb = find_verb(words[0]);
    if (verb < 0) {
        return apr_pstrcat(pool, "no such command: ", la_json_quoted(pool, la_slice_of(words[0])),
                           NULL);
    }
    options->verb = verbs[verb].verb;
    error = read_words(&parser, count - 1, words + 1, verbs[verb].takes_id);
    if (!error && options->sha256 && strcmp(options->prefix, PREFIX) != 0) {
        error = "--prefix has no meaning with --sha256";
    }
    return error;
}
