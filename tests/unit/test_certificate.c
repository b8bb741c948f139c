/* Tests of src/jose/thumbprint.c. The expected thumbprints are computed here by other means. */
#include "jose/thumbprint.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 8705 appendix A: a certificate, and its thumbprint in the token of figure 4. */
#define RFC_PEM                                                                                    \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx\n"                           \
    "ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG\n"                           \
    "SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ\n"                           \
    "/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID\n"                           \
    "SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV\n"                           \
    "bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=\n"                                                       \
    "-----END CERTIFICATE-----\n"
#define RFC_X5T "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"

#define OTHER_PEM "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"

typedef struct row_t {
    const char *name;
    const char *pem;
    const char *text; /* "": refused */
} row_t;

static const row_t rows[] = {
    {"certificate: RFC 8705's", RFC_PEM, RFC_X5T},
    {"certificate: text before it", "subject=/CN=mtls\n" RFC_PEM, RFC_X5T},
    {"certificate: others behind it", RFC_PEM OTHER_PEM, RFC_X5T},
    {"certificate: no text", "", ""},
    {"certificate: no PEM", "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0", ""},
    {"certificate: other PEM before it", OTHER_PEM RFC_PEM, ""},
    {"certificate: cut", "-----BEGIN CERTIFICATE-----\nMIIBBjCBrAIBAjAKBggq\n", ""},
    {"certificate: no base64", "-----BEGIN CERTIFICATE-----\nA*AA\n-----END CERTIFICATE-----\n",
     ""},
    {"certificate: empty", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", ""},
};

static void test_thumbprint(void **state)
{
    const row_t *row = *state;
    size_t len = strlen(row->pem);
    char text[LA_THUMBPRINT_LEN + 1];
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, row->pem, len);
    memset(text, 'x', sizeof(text));
    assert_int_equal(la_certificate_thumbprint((la_slice_t){copy, len}, text), *row->text != 0);
    assert_string_equal(text, row->text);
    assert_int_equal(ERR_peek_error(), 0);
    free(copy);
}

/* A certificate made now, and the digest of its DER by X509_digest(). */
static void test_made_now(void **state)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *made = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char digest[EVP_MAX_MD_SIZE];
    char expected[64];
    char text[LA_THUMBPRINT_LEN + 1];
    unsigned int digest_len;
    char *pem;
    long len;

    (void)state;
    assert_int_equal(X509_set_pubkey(made, key), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -1000);
    X509_gmtime_adj(X509_getm_notAfter(made), -10); /* it has expired: that is mod_ssl's to say */
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, made), 1);
    len = BIO_get_mem_data(bio, &pem);
    assert_int_equal(X509_digest(made, EVP_sha256(), digest, &digest_len), 1);
    EVP_EncodeBlock((unsigned char *)expected, digest, (int)digest_len);
    for (char *p = expected; *p; p++) {
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
    }
    assert_int_equal(la_certificate_thumbprint((la_slice_t){pem, (apr_size_t)len}, text), 1);
    assert_string_equal(text, expected);
    BIO_free(bio);
    X509_free(made);
    EVP_PKEY_free(key);
}

int main(void)
{
    struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0]) + 1];
    size_t count = 0;

    for (; count < sizeof(rows) / sizeof(rows[0]); count++) {
        tests[count] = (struct CMUnitTest){rows[count].name, test_thumbprint, NULL, NULL,
                                           (void *)(uintptr_t)&rows[count]};
    }
    tests[count] =
        (struct CMUnitTest){"certificate: made now, expired", test_made_now, NULL, NULL, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
