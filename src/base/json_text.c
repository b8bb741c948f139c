#include "base/json_text.h"

#include "base/json_scan.h"

#include <string.h>

static void add(la_json_text_t *kept, const char *data, apr_size_t len)
{
    if (!kept->data || kept->is_broken) {
        return;
    }
    if (len > kept->limit - kept->len) {
        kept->is_broken = 1;
        return;
    }
    if (len > kept->capacity - kept->len) {
        apr_size_t wanted = 2 * (kept->len + len);
        char *grown;

        kept->capacity = wanted < kept->limit ? wanted : kept->limit;
        grown = apr_palloc(kept->pool, kept->capacity);
        memcpy(grown, kept->data, kept->len);
        kept->data = grown;
    }
    memcpy(kept->data + kept->len, data, len);
    kept->len += len;
}

static void add_character(la_json_text_t *text, unsigned code)
{
    char bytes[4];

    add(text, bytes, la_utf8_encode(code, bytes));
}

/* Half of a pair is no character, and readers disagree on what it becomes. */
void la_json_text_end(la_json_text_t *text)
{
    if (text->high_surrogate) {
        text->is_broken = 1;
        text->high_surrogate = 0;
    }
}

void la_json_text_add(la_json_text_t *text, const char *data, apr_size_t len)
{
    la_json_text_end(text);
    add(text, data, len);
}

void la_json_text_add_unit(la_json_text_t *text, unsigned unit)
{
    if ((unit & 0xFC00) == 0xDC00 && text->high_surrogate) {
        add_character(text, 0x10000 + ((text->high_surrogate & 0x3FF) << 10 | (unit & 0x3FF)));
        text->high_surrogate = 0;
        return;
    }
    la_json_text_end(text);
    if ((unit & 0xFC00) == 0xD800) {
        text->high_surrogate = unit;
    } else if ((unit & 0xFC00) == 0xDC00) {
        text->is_broken = 1;
    } else {
        add_character(text, unit);
    }
}

static unsigned char fold_ascii(char byte)
{
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
}

/* One character as Go folds it: of those beyond ASCII two are letters of ASCII there, U+017F and
 * U+212A. Returns how many bytes it takes. */
static apr_size_t fold(const char *text, apr_size_t len, unsigned char *folded)
{
    *folded = fold_ascii(*text);
    if (len >= 2 && memcmp(text, "\xC5\xBF", 2) == 0) {
        *folded = 's';
        return 2;
    }
    if (len >= 3 && memcmp(text, "\xE2\x84\xAA", 3) == 0) {
        *folded = 'k';
        return 3;
    }
    return 1;
}

int la_json_text_is_name(la_slice_t text, const char *name)
{
    unsigned char folded;

    while (text.len > 0 && *name) {
        apr_size_t taken = fold(text.data, text.len, &folded);

        if (folded != fold_ascii(*name)) {
            return 0;
        }
        text.data += taken;
        text.len -= taken;
        name++;
    }
    return text.len == 0 && !*name;
}
