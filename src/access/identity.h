/* Who a caller is: a principal and attributes (category -> list of values), and
 * with them all that a request needs of them, as one flat block of bytes without
 * pointers: it can be copied into and out of shared memory and is read in place.
 *
 * Life cycle: a builder collects in a pool, la_identity_build() makes the block,
 * which is never changed afterwards. Bytes of unknown origin pass la_identity_check() first.
 */
#ifndef LA_IDENTITY_H
#define LA_IDENTITY_H

#include "base/slice.h"

#include <apr_errno.h>
#include <apr_pools.h>

/* The category that RequireScope reads. */
#define LA_CATEGORY_SCOPES "scopes"

/* What notes of attributes begin with; a note's name is this and the category. */
#define LA_NOTE_ATTRIBUTE_PREFIX "llama_auth.attribute."

/* The flat block, 8-byte aligned; its layout is drawn in identity_layout.h. */
typedef struct la_identity_t la_identity_t;

typedef struct la_identity_builder_t la_identity_builder_t;

/* An empty builder; it and all it is given are copied into `pool`. */
la_identity_builder_t *la_identity_builder_make(apr_pool_t *pool);

/* Sets the principal. Without one the identity is anonymous to the provider
 * and readers derive `token:<16 digits of the client id>` (so that no digest of a token
 * enters the block).
 *
 * Returns NULL, or the reason for a refusal: empty, with control characters (C0, DEL, C1), or with
 * a blank at its beginning or end.
 */
const char *la_identity_set_principal(la_identity_builder_t *builder, la_slice_t principal);

/* Sets the provider's message to the caller; control characters become spaces. */
void la_identity_set_message(la_identity_builder_t *builder, la_slice_t message);

/* Adds an empty category unless it exists: `"roles": []` stays visible to the backend. */
void la_identity_add_category(la_identity_builder_t *builder, la_slice_t category);

/* Appends a value to a category, creating the category; a value it already has is not repeated.
 * Both keep the order in which they first came. */
void la_identity_add(la_identity_builder_t *builder, la_slice_t category, la_slice_t value);

/* Builds the block in `pool`.
 *
 * identity: the block, NULL on failure.
 * Returns APR_SUCCESS, or APR_ENOSPC when it would be larger than LA_IDENTITY_MAX_BYTES, or what
 * was added takes more than that; the builder collects nothing beyond.
 */
#define LA_IDENTITY_MAX_BYTES ((apr_size_t)4 * 1024 * 1024)
apr_status_t la_identity_build(la_identity_builder_t *builder, apr_pool_t *pool,
                               const la_identity_t **identity);

/* Checks every offset and length of a block of unknown origin, so that the readers below are safe
 * on it.
 *
 * bytes: 8-byte aligned; len: bytes available. Returns 1 when sound, else 0.
 */
int la_identity_check(const void *bytes, apr_size_t len);

/* Size of the block in bytes: copying that many copies the identity. */
apr_size_t la_identity_size(const la_identity_t *identity);

/* The principal, NUL-terminated, or an empty slice where the provider named none. */
la_slice_t la_identity_principal(const la_identity_t *identity);

/* The provider's message, NUL-terminated, or an empty slice. */
la_slice_t la_identity_message(const la_identity_t *identity);

/* All attributes as one JSON object in ASCII, NUL-terminated: {"roles":["admin"]}. */
la_slice_t la_identity_attributes_json(const la_identity_t *identity);

/* Number of categories. */
apr_size_t la_identity_count(const la_identity_t *identity);

/* The category at `index` (below la_identity_count) as a note: name
 * LA_NOTE_ATTRIBUTE_PREFIX and the category, value the joined values. In both `%`, control and
 * non-ASCII bytes are percent-encoded, in each value `,` too; values are joined by `,`. Both
 * point into the block, NUL-terminated. */
void la_identity_note(const la_identity_t *identity, apr_size_t index, const char **name,
                      const char **value);

/* The index of that category; la_identity_count() when there is none. */
apr_size_t la_identity_find(const la_identity_t *identity, la_slice_t category);

/* How many values the category at `index` has; 0 where there is no such category. */
apr_size_t la_identity_value_count(const la_identity_t *identity, apr_size_t index);

/* One value, as it came, NUL-terminated; index and value below the counts. Points into the block.
 */
la_slice_t la_identity_value(const la_identity_t *identity, apr_size_t index, apr_size_t value);

/* Whether the category exists and holds exactly this value. */
int la_identity_has(const la_identity_t *identity, la_slice_t category, la_slice_t value);

#endif
