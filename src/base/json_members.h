/* Finds a few members of a JSON object that arrives in parts, with memory for these members alone.
 * Whoever decides by a body and whoever acts on it must find the same values in it, so the text is
 * read strictly (RFC 8259, UTF-8 without a byte order mark), and a member whose name differs from a
 * wanted one only by case is noticed: Go's readers take both for one. */
#pragma once

#include "base/slice.h"

#include <apr_pools.h>

/* The most levels of arrays and objects; the outermost one counts. */
#define LA_MEMBERS_MAX_DEPTH 200

/* The longest name of a member that can be found, in bytes. */
#define LA_MEMBERS_NAME_BYTES 64

typedef enum la_member_e {
    LA_MEMBER_ABSENT,
    LA_MEMBER_STRING,
    LA_MEMBER_NUMBER,
    LA_MEMBER_OBJECT,
    LA_MEMBER_OTHER /* null, a boolean, an array */
} la_member_e;

/* A wanted member, and what was found. */
typedef struct la_member_t {
    const char *name;
    const struct la_member_t *within; /* in whose object it is; NULL: in the outermost */
    apr_size_t limit_bytes;           /* of the value; a longer one is not kept */
    la_member_e kind;
    int is_ambiguous; /* there is a second one, or one whose name differs by case */
    int is_unusable;  /* the value is too long, or half of a surrogate pair is in it */
    la_slice_t value; /* of a string, without escapes; of a number, as it is written; else empty */
} la_member_t;

/* The reader of one text. Opaque. */
typedef struct la_members_t la_members_t;

/* Begins a text. pool: for the reader and the values. members: wanted; changed while the text is
 * read. */
la_members_t *la_members_make(apr_pool_t *pool, la_member_t *members, int count);

/* Reads the next part. Returns NULL, or what is wrong with the text: a constant. After an error no
 * more can be read. */
const char *la_members_read(la_members_t *reader, la_slice_t part);

/* Ends the text. Returns NULL, or what is wrong with it: it is not complete, or not an object. */
const char *la_members_end(la_members_t *reader);

/* Where the reader is: bytes from the beginning of the text. */
apr_size_t la_members_at(const la_members_t *reader);
