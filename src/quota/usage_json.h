/* Reads the usage out of JSON texts while they pass. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* What is read of a usage. */
typedef enum la_usage_member_e {
    LA_USAGE_INPUT,  /* without what a cache held */
    LA_USAGE_PROMPT, /* with it */
    LA_USAGE_OUTPUT,
    LA_USAGE_TOTAL,
    LA_USAGE_CACHE_WRITTEN,
    LA_USAGE_CACHE_READ,
    LA_USAGE_MEMBERS /* how many; a member that is none of them */
} la_usage_member_e;

/* The longest name that is looked for, and levels of which it is known whether they are objects;
 * what is deeper is passed over. */
#define LA_USAGE_NAME_MAX 27
#define LA_USAGE_LEVELS   64

/* A reader. Zeroed, it begins a text; counts and has go on from text to text. */
typedef struct la_usage_json_t {
    int state;
    int member; /* whose value comes, or is being read */
    unsigned level;
    uint64_t objects; /* a bit for each level: an object, not a list */
    uint64_t deeper;  /* levels below LA_USAGE_LEVELS */
    int places[4];
    char name[LA_USAGE_NAME_MAX + 1];
    unsigned name_len; /* above LA_USAGE_NAME_MAX: too long to be looked for */
    unsigned hex_len;
    unsigned hex;
    uint64_t number;
    int is_number; /* the scalar is a whole number so far */
    int is_event;  /* `response` and `message` may hold the usage, too */
    uint64_t counts[LA_USAGE_MEMBERS];
    unsigned has; /* a bit for each of counts */
} la_usage_json_t;

/* The next bytes of a text. What is no JSON is passed over. */
void la_usage_json_read(la_usage_json_t *reader, la_slice_t bytes);

/* The first of two bytes, or `end`: in linear time however they alternate. */
const char *la_usage_find(const char *p, const char *end, char one, char other);

/* The text has ended; the next one begins. */
void la_usage_json_end(la_usage_json_t *reader);
