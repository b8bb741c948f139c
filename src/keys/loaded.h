/* A key file as the commands see it: text, keys, and what may be changed. */
#pragma once

#include "io/replace.h"
#include "keys/edit.h"
#include "keys/run.h"
#include "provider/static_keys.h"

typedef struct la_key_loaded_t {
    la_replace_t file; /* only where it was loaded to be changed */
    la_slice_t text;
    la_static_keys_t *keys;
    const apr_array_header_t *all; /* of const la_api_key_t * */
    la_edit_t edit;
} la_key_loaded_t;

/* Says on standard error that something about the file is wrong. Returns LA_KEYS_FAILED. */
la_key_exit_e la_key_fail(const la_key_run_t *run, const char *what);

/* Reads the file. strict: members that nobody knows are an error. Returns 1, or 0 once the reason
 * is printed. */
int la_key_load(const la_key_run_t *run, int strict, la_key_loaded_t *loaded);

/* Locks and reads the file. make: an absent file is one without keys. Returns as above. */
int la_key_load_to_change(const la_key_run_t *run, int make, la_key_loaded_t *loaded);

/* Writes the edited text, once it is read as httpd will read it. Returns as above. */
int la_key_store(const la_key_run_t *run, la_key_loaded_t *loaded, gid_t group);

/* The raw JSON of a key's member; NULL if it has none or it is null. */
const char *la_key_member(const la_key_run_t *run, const la_key_loaded_t *loaded,
                          const la_api_key_t *key, const char *name);

/* Warns on standard error if httpd's usual User cannot read the file. */
void la_key_warn_unreadable(const la_key_run_t *run, const char *path);
