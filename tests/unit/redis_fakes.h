/* A Redis for tests that answers SET and GET as the test says. Included by one .c per program. */
#ifndef LA_TEST_REDIS_FAKES_H
#define LA_TEST_REDIS_FAKES_H

#include "support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NAMES_MAX 64

/* Its answer to SET: bytes; "set": as a Redis does; "hang": none; "close": it hangs up; "lose": as
 * a Redis does, but hangs up before it answers; at the command sent again, what `again` says. */
static struct fake_t {
    pthread_mutex_t lock;
    const char *answer;
    const char *again;
    void (*on_set)(void); /* before it answers; NULL: nothing */
    int listener;
    int calls;
    char sent[512]; /* the words of the last SET */
    char names[NAMES_MAX][128];
    char values[NAMES_MAX][128];
    int name_count;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* One word of a command. Returns 0 at the end of the stream. */
static int read_word(FILE *stream, char *word, size_t size)
{
    unsigned len;

    return fscanf(stream, "$%u\r\n", &len) == 1 && len < size &&
           fread(word, 1, len, stream) == len && fgetc(stream) == '\r' && fgetc(stream) == '\n' &&
           (word[len] = '\0', 1);
}

/* Returns where the name is; name_count: nowhere. */
static int find_name(const char *name)
{
    int i = 0;

    while (i < fake.name_count && strcmp(fake.names[i], name) != 0) {
        i++;
    }
    return i;
}

static const char *set_name(const char *name, const char *value)
{
    if (find_name(name) < fake.name_count) {
        return "$-1\r\n";
    }
    assert(fake.name_count < NAMES_MAX);
    apr_cpystrn(fake.values[fake.name_count], value, sizeof(fake.values[0]));
    apr_cpystrn(fake.names[fake.name_count++], name, sizeof(fake.names[0]));
    return "+OK\r\n";
}

/* With the lock. */
static const char *answer_set(char words[8][128], unsigned count)
{
    const char *answer = fake.answer;

    if (fake.on_set) {
        fake.on_set();
    }
    fake.calls++;
    fake.sent[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        size_t len = strlen(fake.sent);

        snprintf(fake.sent + len, sizeof(fake.sent) - len, "%s%s", i ? " " : "", words[i]);
    }
    if (strcmp(answer, "lose") == 0) {
        (void)set_name(words[1], words[2]);
        fake.answer = fake.again;
        return "close";
    }
    return strcmp(answer, "set") == 0 ? set_name(words[1], words[2]) : answer;
}

static const char *answer_get(const char *name, char text[160])
{
    int i = find_name(name);

    if (strcmp(fake.answer, "set") != 0) {
        return "close";
    }
    if (i == fake.name_count) {
        return "$-1\r\n";
    }
    snprintf(text, 160, "$%zu\r\n%.128s\r\n", strlen(fake.values[i]), fake.values[i]);
    return text;
}

/* Answers one command. Returns 0 when the connection ends. */
static int serve(FILE *in, FILE *out)
{
    const char *answer = "$0\r\n\r\n"; /* INFO */
    char words[8][128];
    char text[160];
    unsigned count;

    if (fscanf(in, "*%u\r\n", &count) != 1 || count > 8) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!read_word(in, words[i], sizeof(words[i]))) {
            return 0;
        }
    }
    pthread_mutex_lock(&fake.lock);
    if (strcmp(words[0], "SET") == 0) {
        answer = answer_set(words, count);
    } else if (strcmp(words[0], "GET") == 0) {
        answer = answer_get(words[1], text);
    }
    pthread_mutex_unlock(&fake.lock);
    if (strcmp(answer, "close") == 0) {
        return 0;
    }
    if (strcmp(answer, "hang") != 0) {
        fputs(answer, out);
        fflush(out);
    }
    return 1;
}

static void *serve_client(void *client)
{
    FILE *in = fdopen((int)(intptr_t)client, "r");
    FILE *out = fdopen(dup((int)(intptr_t)client), "w");

    while (serve(in, out)) {}
    fclose(in);
    fclose(out);
    return NULL;
}

static void *run_fake(void *unused)
{
    pthread_t thread;
    int client;

    (void)unused;
    while ((client = accept(fake.listener, NULL, NULL)) >= 0) {
        assert(pthread_create(&thread, NULL, serve_client, (void *)(intptr_t)client) == 0);
        pthread_detach(thread);
    }
    return NULL;
}

static const char *start_fake(apr_pool_t *pool)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;

    apr_cpystrn(address.sun_path, file_path(pool, "redis"), sizeof(address.sun_path));
    fake.listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    assert(listen(fake.listener, 16) == 0);
    assert(pthread_create(&thread, NULL, run_fake, NULL) == 0);
    return apr_pstrdup(pool, address.sun_path);
}

#endif
