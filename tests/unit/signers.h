/* What the signers' tests share: key files, and signers from option lines. Included by one .c per
 * program. */
#ifndef LA_TEST_SIGNERS_H
#define LA_TEST_SIGNERS_H

#include "support.h"

#include "signer/signer.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static apr_pool_t *pool; /* of write_signer_keys() on */

/* Writes a private key, which is freed, below the server's root. */
static inline void write_key(const char *name, EVP_PKEY *key)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    long len;

    assert(key && PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
    len = BIO_get_mem_data(out, &bytes);
    write_file(pool, name, (la_slice_t){bytes, (apr_size_t)len});
    BIO_free(out);
    EVP_PKEY_free(key);
}

/* Writes one file for each algorithm. */
static inline void write_signer_keys(void)
{
    pool = new_pool();
    write_key("es256.pem", EVP_EC_gen("P-256"));
    write_key("es384.pem", EVP_EC_gen("P-384"));
    write_key("eddsa.pem", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    write_key("rs256.pem", EVP_RSA_gen(2048));
}

/* One line, split at blanks; '' is an empty word. */
static inline const char *read_line(la_signer_t *signer, char *line)
{
    const char *words[16];
    const char *option = NULL;
    char *state;
    int count = 0;

    for (char *word = apr_strtok(line, " ", &state); word; word = apr_strtok(NULL, " ", &state)) {
        if (!option)
            option = word;
        else
            words[count++] = strcmp(word, "''") == 0 ? "" : word;
    }
    return la_signer_option(pool, signer, option, count, words);
}

/* Lines of a section, joined by `;`. Returns the first error. */
static inline const char *read_lines(la_signer_t *signer, const char *lines)
{
    char *copy = apr_pstrdup(pool, lines);
    const char *error = NULL;
    char *state;

    for (char *line = apr_strtok(copy, ";", &state); line && !error;
         line = apr_strtok(NULL, ";", &state))
        error = read_line(signer, line);
    return error ? error : la_signer_check(pool, signer);
}

static inline la_signer_t *good_signer(const char *lines)
{
    static uint32_t index;
    la_signer_t *signer = la_signer_make(pool, "internal", index++);
    const char *error = read_lines(signer, lines);

    if (error)
        fail_msg("%s", error);
    return signer;
}

#endif
