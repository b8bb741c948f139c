/* Checks every invariant of the layout that table.c draws, part by part, each under its lock; for
 * tests and fuzzers. What belongs to whom is derived here independently, not by the writers' own
 * functions.
 */
#ifndef LA_TABLE_VALIDATE_H
#define LA_TABLE_VALIDATE_H

#include "shm/table_layout.h"

/* Which chunks of a group belong to an entry, and which begin one. */
typedef struct survey_t {
    const la_table_t *table;
    apr_uint32_t group;
    unsigned char is_head[LA_TABLE_WAYS];
    unsigned char is_taken[LA_TABLE_WAYS];
} survey_t;

static inline apr_uint64_t state_of(const survey_t *survey, apr_uint32_t way)
{
    return la_table_load(&la_table_chunk(survey->table, survey->group, way)->state);
}

static inline const char *survey_heads(survey_t *survey)
{
    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        apr_uint64_t kind = la_table_kind(state_of(survey, way));

        if (kind == LA_TABLE_HEAD) {
            if (la_table_tag(survey->table, survey->group, way) == 0) {
                return "a head has no tag";
            }
            survey->is_head[way] = survey->is_taken[way] = 1;
        } else if (kind != LA_TABLE_EMPTY) {
            return "a chunk is being written though nobody holds the lock";
        }
    }
    return NULL;
}

static inline const char *survey_chain(survey_t *survey, apr_uint32_t way)
{
    const la_table_links_t *links = &survey->table->links[survey->group];
    apr_uint64_t size =
        la_table_load(&la_table_chunk(survey->table, survey->group, way)->u.head.size);

    if (size > LA_TABLE_VALUE_MAX_BYTES) {
        return "a value is too long";
    }
    for (apr_uint32_t i = 1; i < la_table_chunks_of(size); i++) {
        way = atomic_load_explicit(&links->next[way], memory_order_relaxed);
        if (way >= LA_TABLE_WAYS) {
            return "a link leads out of its group";
        }
        if (survey->is_taken[way]) {
            return "a chunk belongs to two entries";
        }
        survey->is_taken[way] = 1;
    }
    return NULL;
}

static inline void read_key(const survey_t *survey, apr_uint32_t way, unsigned char *key)
{
    const la_table_chunk_t *chunk = la_table_chunk(survey->table, survey->group, way);

    for (apr_uint32_t i = 0; i < LA_TABLE_KEY_WORDS; i++) {
        apr_uint64_t word = la_table_load(&chunk->u.head.key[i]);

        memcpy(key + (apr_size_t)8 * i, &word, 8);
    }
}

static inline const char *survey_key(const survey_t *survey, apr_uint32_t way,
                                     const unsigned char *key)
{
    la_table_place_t place = la_table_place(survey->table, key);
    unsigned char other[LA_TABLE_KEY_BYTES];
    unsigned differ;

    if (place.group != survey->group) {
        return "an entry is in a group that is not its key's";
    }
    if (place.tag != la_table_tag(survey->table, survey->group, way)) {
        return "an entry's tag is not its key's";
    }
    for (apr_uint32_t i = 0; i < way; i++) {
        if (survey->is_head[i]) {
            read_key(survey, i, other);
            differ = 0;
            for (apr_uint32_t j = 0; j < LA_TABLE_KEY_BYTES; j++) {
                differ |= (unsigned)(key[j] ^ other[j]);
            }
            if (!differ) {
                return "a key is stored twice";
            }
        }
    }
    return NULL;
}

static inline void *room_in(void *context, apr_size_t len)
{
    return len <= LA_TABLE_VALUE_MAX_BYTES ? context : NULL;
}

/* A removal needs no lock, so an entry may go away under the eyes of the check. */
static inline const char *survey_value(const survey_t *survey, apr_uint32_t way,
                                       const unsigned char *key)
{
    la_table_place_t place = la_table_place(survey->table, key);
    unsigned char value[LA_TABLE_VALUE_MAX_BYTES];
    la_table_room_t room = {room_in, value, NULL, 0};
    la_table_entry_t entry;

    if (la_table_read(survey->table, &place, way, &room, &entry) != LA_TABLE_READ_WHOLE &&
        la_table_kind(state_of(survey, way)) == LA_TABLE_HEAD) {
        return "an entry's checksum is wrong";
    }
    return NULL;
}

static inline const char *survey_group(const la_table_t *table, apr_uint32_t group)
{
    survey_t survey = {table, group, {0}, {0}};
    unsigned char key[LA_TABLE_KEY_BYTES] = {0};
    const char *reason = survey_heads(&survey);

    for (apr_uint32_t way = 0; way < LA_TABLE_WAYS && !reason; way++) {
        if (!survey.is_head[way]) {
            continue;
        }
        read_key(&survey, way, key);
        reason = survey_chain(&survey, way);
        if (!reason) {
            reason = survey_key(&survey, way, key);
        }
        if (!reason) {
            reason = survey_value(&survey, way, key);
        }
    }
    return reason;
}

/* Returns NULL, or the first invariant that does not hold, as a literal. */
static inline const char *la_table_validate(const la_table_t *table)
{
    const char *reason = NULL;

    for (apr_uint32_t group = 0; group < table->group_count && !reason; group++) {
        if (la_table_lock(table, group, LA_TABLE_LOCK_WAIT_US) != APR_SUCCESS) {
            return "a lock cannot be taken";
        }
        reason = survey_group(table, group);
        la_table_unlock(table, group);
    }
    return reason;
}

#endif
