/* What a sentinel answers: a list of texts, a line each. An address is taken whole or not at all,
 * and is one that can be connected to. No name is looked up. */
#include "io/redis_sentinel.h"

#include "fuzz.h"

#include <arpa/inet.h>

#define ITEMS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = exact(data, size);
    la_slice_t rest = {text, size};
    la_redis_answer_t items[ITEMS_MAX];
    la_redis_answer_t answer = {.kind = LA_REDIS_LIST, .items = items};
    la_redis_address_t master = {.port = 0};
    struct in6_addr ip;
    const char *error;

    while (rest.len > 0 && answer.count < ITEMS_MAX) {
        la_slice_t line = take_line(&rest);

        items[answer.count++] = (la_redis_answer_t){
            .kind = LA_REDIS_TEXT, .text = {apr_pstrmemdup(pool, line.data, line.len), line.len}};
    }
    error = la_redis_sentinel_read(&answer, 0, &master);
    HOLDS(error || answer.count == 2);
    HOLDS(error || (master.port > 0 && master.port < 65536));
    HOLDS(error || inet_pton(AF_INET, master.ip, &ip) == 1 || strchr(master.ip, ':'));
    free(text);
    apr_pool_destroy(pool);
    return 0;
}
