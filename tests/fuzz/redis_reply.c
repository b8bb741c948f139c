/* Redis replies: the check and hiredis' parser agree on what is whole, and nothing that passes the
 * check is large. */
#include "io/redis_reply.h"

#include "fuzz.h"

#include <hiredis/hiredis.h>

static size_t values_of(const redisReply *reply)
{
    size_t count = 1;

    for (size_t i = 0; i < reply->elements; i++) {
        count += values_of(reply->element[i]);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = exact(data, size);
    apr_size_t len;
    la_redis_reply_e result = la_redis_reply_check((la_slice_t){bytes, size}, &len);
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    HOLDS(result == LA_REDIS_REPLY_WHOLE ? len > 0 && len <= size : len == 0);
    if (result == LA_REDIS_REPLY_WHOLE) {
        redisReaderFeed(reader, bytes, len);
        HOLDS(redisReaderGetReply(reader, &reply) == REDIS_OK && reply);
        HOLDS(reader->pos == reader->len);
        HOLDS(values_of(reply) <= LA_REDIS_REPLY_MAX_VALUES);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    free(bytes);
    return 0;
}
