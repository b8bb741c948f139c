/* Who a caller is: a principal and attributes (category -> list of values) in one flat block of
 * bytes without pointers, which is copied into and out of shared memory and read in place. With it
 * are the texts that requests need, and the key that the token is bound to.
 *
 * A builder collects in a pool; la_identity_build() makes the block, which never changes. Bytes of
 * unknown origin pass la_identity_check() first. Any thread may read a block. */
#pragma once

#include "access/confirmation.h"
#include "base/slice.h"

#include <apr_pools.h>
#include <apr_time.h>

/* The category that RequireScope reads. */
#define LA_CATEGORY_SCOPES "scopes"

/* A note's name: this and the category. */
#define LA_NOTE_ATTRIBUTE_PREFIX "llama_auth.attribute."

/* The flat block, 8-byte aligned; its layout is drawn in identity_layout.h. */
typedef struct la_identity_t la_identity_t;

typedef struct la_identity_builder_t la_identity_builder_t;

/* An empty builder in `pool`, which copies all that it is given. */
la_identity_builder_t *la_identity_builder_make(apr_pool_t *pool);

/* Sets the principal. Without one, readers make one of the client id, so that no digest of a token
 * enters the block. Returns NULL, or why it is refused: it is empty, has control characters (C0,
 * DEL, C1), or begins or ends with a blank. */
const char *la_identity_set_principal(la_identity_builder_t *builder, la_slice_t principal);

/* Sets the provider's message to the caller; control characters become spaces. */
void la_identity_set_message(la_identity_builder_t *builder, la_slice_t message);

/* Sets the key that the token is bound to; unset, it is bound to nothing. One that
 * la_confirmation_check() refuses becomes LA_CONFIRM_UNKNOWN. */
void la_identity_set_confirmation(la_identity_builder_t *builder,
                                  const la_confirmation_t *confirmation);

/* Adds an empty category unless it exists: the backend sees `"roles": []`. */
void la_identity_add_category(la_identity_builder_t *builder, la_slice_t category);

/* Adds a value to a category, and the category if it does not exist. Repeated values count once.
 * Both stay in the order in which they came. */
void la_identity_add(la_identity_builder_t *builder, la_slice_t category, la_slice_t value);

/* Largest block, and the most that a builder collects. */
#define LA_IDENTITY_MAX_BYTES ((apr_size_t)4 * 1024 * 1024)

/* Builds the block in `pool`.
 * identity: the block, NULL on failure.
 * Returns NULL, or the reason: it is too large. */
const char *la_identity_build(la_identity_builder_t *builder, apr_pool_t *pool,
                              const la_identity_t **identity);

/* The identity with the time when the caller's own token ends, its provider's leeway included; 0:
 * never. Rounded down to seconds. A copy in `pool`, or `identity` itself if it has that end. */
const la_identity_t *la_identity_ending(apr_pool_t *pool, const la_identity_t *identity,
                                        apr_time_t end);

/* Checks every offset and length of a block of unknown origin, so that the functions below may read
 * it.
 * bytes: 8-byte aligned; len: bytes available. Returns 1 if the block is sound, else 0. */
int la_identity_check(const void *bytes, apr_size_t len);

/* Size of the block in bytes. */
apr_size_t la_identity_size(const la_identity_t *identity);

/* The principal, NUL-terminated; empty if the provider named none. */
la_slice_t la_identity_principal(const la_identity_t *identity);

/* The provider's message, NUL-terminated; may be empty. */
la_slice_t la_identity_message(const la_identity_t *identity);

/* All attributes as one JSON object in ASCII, NUL-terminated: {"roles":["admin"]}. */
la_slice_t la_identity_attributes_json(const la_identity_t *identity);

/* The key that the token is bound to, in the block; NULL: none. */
const la_confirmation_t *la_identity_confirmation(const la_identity_t *identity);

/* Number of categories. */
apr_size_t la_identity_count(const la_identity_t *identity);

/* The category at `index` (below la_identity_count()) as a note: LA_NOTE_ATTRIBUTE_PREFIX and the
 * category, and its values joined by `,`. `%`, control and non-ASCII bytes are percent-encoded, and
 * in a value `,`. Both point into the block, NUL-terminated. */
void la_identity_note(const la_identity_t *identity, apr_size_t index, const char **name,
                      const char **value);

/* The name of the category at `index` (below la_identity_count()), NUL-terminated, in the block. */
la_slice_t la_identity_category(const la_identity_t *identity, apr_size_t index);

/* When the caller's own token ends, at the earliest; 0: never. */
apr_time_t la_identity_end(const la_identity_t *identity);

/* The index of that category; la_identity_count() if there is none. */
apr_size_t la_identity_find(const la_identity_t *identity, la_slice_t category);

/* How many values the category at `index` has; 0 if there is no such category. */
apr_size_t la_identity_value_count(const la_identity_t *identity, apr_size_t index);

/* One value as it came, NUL-terminated, in the block. index, value: below the counts. */
la_slice_t la_identity_value(const la_identity_t *identity, apr_size_t index, apr_size_t value);

/* Whether the category exists and holds exactly this value. */
int la_identity_has(const la_identity_t *identity, la_slice_t category, la_slice_t value);

/* Percent-encodes `%`, control and non-ASCII bytes, and with `comma` that too. Returns the length,
 * and writes unless `out` is NULL; no NUL. */
apr_size_t la_identity_encode(char *out, la_slice_t text, int comma);

/* A text as a header field carries it, since backends disagree on a field's charset: encoded as
 * above, without `comma`. In `pool`, or `text` itself. */
const char *la_identity_ascii(apr_pool_t *pool, const char *text);
