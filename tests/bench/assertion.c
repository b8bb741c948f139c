/* Measures what an assertion costs, ES256, for a caller with a handful of attributes: used again,
 * signed anew, and libcrypto's signature alone; prints `name value unit` a line.
 *
 * Every figure is CPU time, and the median of rounds in which all cases take turns.
 */
#include "io/server.h"
#include "signer/reuse.h"

#include <apr_general.h>
#include <apr_strings.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 15
#define REUSED 20000
#define SIGNED 500

static apr_pool_t *pool;
static la_reuse_t *reuse;
static la_assertion_t assertion;
static EVP_PKEY *key;

static void quit(const char *what)
{
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

/* ---- what is needed ---- */

static void host_log(la_log_e level, const char *line)
{
    if (level != LA_LOG_DEBUG) {
        fprintf(stderr, "%s\n", line);
    }
}

static const char *host_path(apr_pool_t *p, const char *path)
{
    return apr_pstrdup(p, path);
}

static int host_threads(void)
{
    return 1;
}

/* Writes the key to a file that is there for a moment. */
static const char *write_key(void)
{
    static char path[] = "/tmp/la_bench_XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

    key = EVP_EC_gen("P-256");
    if (!out || !key || PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        fclose(out) != 0) {
        quit("writing a key");
    }
    return path;
}

static void make_signer(void)
{
    const char *path = write_key();
    const char *words[] = {apr_pstrcat(pool, "file:", path, NULL)};
    const char *issuer[] = {"https://api.example.com"};
    const char *audience[] = {"ogx"};
    la_signer_t *signer = la_signer_make(pool, "bench", 0);

    if (la_signer_option(pool, signer, "Key", 1, words) ||
        la_signer_option(pool, signer, "Issuer", 1, issuer) ||
        la_signer_option(pool, signer, "Audience", 1, audience) || la_signer_check(pool, signer)) {
        quit("a signer");
    }
    assertion.signer = signer;
    unlink(path);
    la_signer_child_init(signer, pool); /* the file is gone */
}

static void make_caller(void)
{
    la_identity_builder_t *builder = la_identity_builder_make(pool);

    (void)la_identity_set_principal(builder, LA_SLICE("alice@example.com"));
    la_identity_add(builder, LA_SLICE("scopes"), LA_SLICE("models.read"));
    la_identity_add(builder, LA_SLICE("scopes"), LA_SLICE("telemetry.read"));
    la_identity_add(builder, LA_SLICE("roles"), LA_SLICE("admin"));
    la_identity_add(builder, LA_SLICE("teams"), LA_SLICE("research"));
    la_identity_add(builder, LA_SLICE("teams"), LA_SLICE("platform"));
    if (la_identity_build(builder, pool, &assertion.identity)) {
        quit("an identity");
    }
    assertion.principal = "alice@example.com";
    assertion.client_id = "0123456789abcdef0123456789abcdef";
    assertion.now = apr_time_now();
}

static void make_reuse(void)
{
    static la_holder_t life;
    int fd;

    if (la_holder_open(&fd) != APR_SUCCESS) {
        quit("the holders' file");
    }
    la_holder_init(&life, fd);
    if (la_reuse_make(pool, &life, &reuse) != APR_SUCCESS) {
        quit("memory");
    }
}

/* ---- the cases ---- */

static int is_new;

static void use_again(int times)
{
    apr_pool_t *request;

    apr_pool_create(&request, pool);
    for (int i = 0; i < times; i++) {
        if (!la_reuse_get(reuse, &assertion, request, &is_new)) {
            quit("an assertion");
        }
        apr_pool_clear(request);
    }
    apr_pool_destroy(request);
}

/* Each for another caller, so that none is found. */
static void sign_anew(int times)
{
    static int caller;
    la_assertion_t other = assertion;
    char client_id[33];
    apr_pool_t *request;

    apr_pool_create(&request, pool);
    other.client_id = client_id;
    for (int i = 0; i < times; i++) {
        snprintf(client_id, sizeof(client_id), "%032d", ++caller);
        if (!la_reuse_get(reuse, &other, request, &is_new)) {
            quit("an assertion");
        }
        apr_pool_clear(request);
    }
    apr_pool_destroy(request);
}

/* What `openssl speed` measures: a prepared key signs a digest. */
static void sign_bare(int times)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    unsigned char digest[32] = {1};
    unsigned char signature[80];

    if (!context || EVP_PKEY_sign_init(context) != 1) {
        quit("a signature");
    }
    for (int i = 0; i < times; i++) {
        size_t len = sizeof(signature);

        if (EVP_PKEY_sign(context, signature, &len, digest, sizeof(digest)) != 1) {
            quit("a signature");
        }
    }
    EVP_PKEY_CTX_free(context);
}

/* ---- measuring ---- */

static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double measure(void (*what)(int times), int times)
{
    double start = cpu_us();

    what(times);
    return (cpu_us() - start) / times;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static double median_of(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

int main(void)
{
    static const la_server_t host = {.log = host_log, .path = host_path, .threads = host_threads};
    double again[ROUNDS];
    double anew[ROUNDS];
    double bare[ROUNDS];

    apr_initialize();
    la_server_set(&host);
    apr_pool_create(&pool, NULL);
    make_signer();
    make_caller();
    make_reuse();
    use_again(1);
    for (int i = 0; i < ROUNDS; i++) {
        again[i] = measure(use_again, REUSED);
        anew[i] = measure(sign_anew, SIGNED);
        bare[i] = measure(sign_bare, SIGNED);
    }
    printf("assertion_reused %.2f us\n", median_of(again));
    printf("assertion_signed %.1f us\n", median_of(anew));
    printf("signature_alone %.1f us\n", median_of(bare));
    EVP_PKEY_free(key);
    return 0;
}
