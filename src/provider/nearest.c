/* Finds what a misspelled name may mean. Runs while the configuration is read. */
#include "provider/option.h"

#include <string.h>

#include <apr_lib.h>

/* Longest name that is compared. */
#define NAME_MAX_BYTES 40

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein's distance in any case, with two rows of the table in one. */
static int distance(const char *a, const char *b)
{
    int row[NAME_MAX_BYTES + 1];
    int width = (int)strlen(b);
    int i;
    int j;

    for (j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (i = 0; a[i]; i++) {
        int diagonal = row[0];

        row[0] = i + 1;
        for (j = 1; j <= width; j++) {
            int same = apr_tolower(a[i]) == apr_tolower(b[j - 1]);
            int above = row[j];

            row[j] = least(above + 1, row[j - 1] + 1, diagonal + !same);
            diagonal = above;
        }
    }
    return row[width];
}

const char *la_option_nearest(const apr_array_header_t *names, const char *name)
{
    const char *best = NULL;
    int best_distance = (int)strlen(name) / 2 + 1;
    int i;

    if (strlen(name) > NAME_MAX_BYTES) {
        return NULL;
    }
    for (i = 0; i < names->nelts; i++) {
        const char *candidate = APR_ARRAY_IDX(names, i, const char *);
        int d = strlen(candidate) <= NAME_MAX_BYTES ? distance(name, candidate) : best_distance;

        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}
