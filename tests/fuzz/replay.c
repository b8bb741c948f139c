/* Runs a fuzz target over the files that are named, as `make test` does with each target's corpus:
 * prints one line for each. */
#include "fuzz.h"

#include <stdio.h>

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(1 << 20);

    if (!file || !data) {
        perror(path);
        exit(1);
    }
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

int main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        size_t size;
        char *data = read_file(argv[i], &size);

        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
        free(data);
        printf("[       OK ] %s\n", argv[i]);
        fflush(stdout);
    }
    return 0;
}
