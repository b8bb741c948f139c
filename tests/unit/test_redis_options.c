/* redis_options.c: LlamaAuthCacheShared's words, which schemes there are, and what an error tells.
 */
#include "io/redis_options.h"

#include "support.h"

#define SECRET "hunter2-is-a-secret"

typedef struct sound_case_t {
    const char *url;
    const char *address;
    const char *master;
    int sentinels;
    int port; /* of the host, or of the last sentinel */
    int db;
    const char *user;
    int has_password;
} sound_case_t;

static sound_case_t sound_cases[] = {
    {"redis://h", "h:6379", NULL, 0, 6379, 0, NULL, 0},
    {"REDIS://h:1/7", "h:1", NULL, 0, 1, 7, NULL, 0},
    {"redis://:p@[::1]:6380/", "[::1]:6380", NULL, 0, 6380, 0, NULL, 1},
    {"redis://u:p%40@h/3", "h:6379", NULL, 0, 6379, 3, "u", 1},
    {"redis+sentinel://h/m", "redis+sentinel://h:26379/m", "m", 1, 26379, 0, NULL, 0},
    {"Redis+Sentinel://a,b:1,[::1]:2/my.master_1-x/15",
     "redis+sentinel://a:26379,b:1,[::1]:2/my.master_1-x", "my.master_1-x", 3, 2, 15, NULL, 0},
    {"redis+sentinel://u:p@h,i/m/", "redis+sentinel://h:26379,i:26379/m", "m", 2, 26379, 0, "u", 1},
    {"redis+sentinel://:p:q@h:5/m", "redis+sentinel://h:5/m", "m", 1, 5, 0, NULL, 1},
    {"redis+sentinel://@h/m", "redis+sentinel://h:26379/m", "m", 1, 26379, 0, NULL, 0},
};

static void test_sound(void **state)
{
    const sound_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_redis_options_t options;
    const char *error = la_redis_parse(pool, 1, &row->url, &options);
    const la_redis_host_t *host =
        row->sentinels ? &options.sentinels[row->sentinels - 1] : &options.host;

    assert_null(error);
    assert_string_equal(options.address, row->address);
    assert_int_equal(options.sentinel_count, row->sentinels);
    assert_int_equal(host->port, row->port);
    assert_int_equal(options.db, row->db);
    assert_int_equal(options.password != NULL, row->has_password);
    assert_true(row->user ? options.user && strcmp(options.user, row->user) == 0 : !options.user);
    assert_true(row->master ? strcmp(options.master, row->master) == 0 : !options.master);
    assert_null(options.tls);
    apr_pool_destroy(pool);
}

typedef struct wrong_case_t {
    const char *words[3];
    const char *part; /* of the error */
} wrong_case_t;

#define SENTINELS "must be redis+sentinel://[[user]:password@]host[:port],.../NAME[/db]"
#define USER      "u:" SECRET "@"

static wrong_case_t wrong_cases[] = {
    {{"http://h"}, "must be redis://"},
    {{"redis:h"}, "must be redis://"},
    {{"redis+sentinel:h/m"}, "must be redis://"},
    {{"rediss+sentinel://" USER "h/m"}, "rediss+sentinel:// cannot be used"},
    {{"RedisS+Sentinel://h/m"}, "rediss+sentinel:// cannot be used"},
    {{"redis-sentinel://" USER "h/m"}, SENTINELS},
    {{"redis+cluster://" USER "h"}, "a cluster cannot be used"},
    {{"rediss+cluster://h"}, "a cluster cannot be used"},
    {{"redis-cluster://h"}, "a cluster cannot be used"},
    {{"redis+sentinel://" USER "h"}, SENTINELS},
    {{"redis+sentinel://" USER "h/"}, SENTINELS},
    {{"redis+sentinel://" USER "/m"}, SENTINELS},
    {{"redis+sentinel://" USER "h,/m"}, SENTINELS},
    {{"redis+sentinel://" USER ",h/m"}, SENTINELS},
    {{"redis+sentinel://h/m m"}, SENTINELS},
    {{"redis+sentinel://h/m?db=1"}, SENTINELS},
    {{"redis+sentinel://h/m#x"}, SENTINELS},
    {{"redis+sentinel://u:a@" SECRET "@h/m"}, SENTINELS},
    {{"redis+sentinel://u:a/" SECRET "@h/m"}, SENTINELS},
    {{"redis+sentinel://h:0/m"}, "port must be 1 to 65535"},
    {{"redis+sentinel://h:65536/m"}, "port must be 1 to 65535"},
    {{"redis+sentinel://h/m/x"}, "must be the number of a database"},
    {{"redis+sentinel://h/m/1/2"}, "must be the number of a database"},
    {{"redis+sentinel://u@h/m"}, "a user and no password"},
    {{"redis+sentinel://u:%zz@h/m"}, "not well percent-encoded"},
    {{"redis+sentinel://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/m"}, "more than 16 sentinels"},
    {{"redis+sentinel://h/m", "cafile=x"}, "of which the URL says rediss://"},
    {{"redis+sentinel://h/m", "timeout=1s", "timeout=1s"}, "timeout is given twice"},
    {{"redis://h", "certfile=x"}, "of which the URL says rediss://"},
    {{"unix:/s", "keyfile=x"}, "of which the URL says rediss://"},
    {{"rediss://h", "cafile="}, "cafile names no path"},
    {{"rediss://h", "cafile=a", "CAFile=b"}, "cafile is given twice"},
    {{"rediss://h", "verify=off"}, "verify is not known"},
};

static void test_wrong(void **state)
{
    const wrong_case_t *row = *state;
    apr_pool_t *pool = new_pool();
    la_redis_options_t options;
    int count = 0;
    const char *error;

    while (count < 3 && row->words[count]) {
        count++;
    }
    error = la_redis_parse(pool, count, row->words, &options);
    assert_non_null(error);
    if (!strstr(error, row->part)) {
        fail_msg("%s", error);
    }
    assert_null(strstr(error, SECRET));
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(sound_cases); i++)
        add(sound_cases[i].url, test_sound, &sound_cases[i]);
    for (size_t i = 0; i < ROWS(wrong_cases); i++)
        add(wrong_cases[i].words[0], test_wrong, &wrong_cases[i]);
    return finish("redis_options");
}
