/* The layout of an identity's block: identity.c reads it, identity_build.c writes it.
 *
 *   offset
 *      0  magic | size                  size: of the whole block
 *      8  principal                     a span: offset from the block's start | length
 *     16  message                       span
 *     24  attributes                    span: the JSON text
 *     32  category_count | value_count
 *     40  confirmation_count            1 if the token is bound to a key, else 0
 *     44  end_s                         second since 1970 when the caller's token ends; 0: never
 *     48  categories[category_count]    32 bytes each, in the order in which they came:
 *           +0  name                    span
 *           +8  note                    span: name of the note
 *          +16  joined                  span: value of the note
 *          +24  first_value | value_count
 *      .  values[value_count]           a span each, category by category
 *      .  confirmation[confirmation_count]
 *                                       92 bytes, la_confirmation_t
 *      .  strings                       the spans' bytes, a NUL after each (not in its length)
 *
 * All numbers have 32 bits in the machine's byte order. There is no padding, so equal identities
 * are equal bytes. A change of the layout needs another magic: a block of an older version of the
 * module must never be read as one that is bound to nothing.
 */
#pragma once

#include "access/identity.h"

#include <stdint.h>

#define IDENTITY_MAGIC 0x3249414cu /* "LAI2" */

typedef struct span_t {
    uint32_t offset;
    uint32_t len;
} span_t;

typedef struct category_t {
    span_t name;
    span_t note;
    span_t joined;
    uint32_t first_value;
    uint32_t value_count;
} category_t;

struct la_identity_t {
    uint32_t magic;
    uint32_t size;
    span_t principal;
    span_t message;
    span_t attributes;
    uint32_t category_count;
    uint32_t value_count;
    uint32_t confirmation_count;
    uint32_t end_s;
    category_t categories[];
};

_Static_assert(sizeof(span_t) == 8, "a span has no padding");
_Static_assert(sizeof(category_t) == 32, "a category has no padding");
_Static_assert(sizeof(la_identity_t) == 48, "the header has no padding");
_Static_assert(sizeof(la_confirmation_t) == 92, "a confirmation has no padding");
_Static_assert(LA_IDENTITY_MAX_BYTES <= UINT32_MAX, "offsets have 32 bits");
