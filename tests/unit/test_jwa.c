/* jwa.c: names of algorithms. */
#include "support.h"

#include "jose/jwa.h"

typedef struct name_case_t {
    const char *name;
    la_jwa_set_t set;
    const char *digest;
} name_case_t;

static name_case_t name_cases[] = {
    {"RS256", LA_JWA_RS256, "SHA256"}, {"RS384", LA_JWA_RS384, "SHA384"},
    {"RS512", LA_JWA_RS512, "SHA512"}, {"PS256", LA_JWA_PS256, "SHA256"},
    {"PS384", LA_JWA_PS384, "SHA384"}, {"PS512", LA_JWA_PS512, "SHA512"},
    {"ES256", LA_JWA_ES256, "SHA256"}, {"ES384", LA_JWA_ES384, "SHA384"},
    {"ES512", LA_JWA_ES512, "SHA512"}, {"Ed25519", LA_JWA_ED25519, NULL},
    {"Ed448", LA_JWA_ED448, NULL},     {"EdDSA", LA_JWA_ED25519 | LA_JWA_ED448, NULL},
    {"HS256", LA_JWA_HS256, "SHA256"}, {"HS384", LA_JWA_HS384, "SHA384"},
    {"HS512", LA_JWA_HS512, "SHA512"},
};

typedef struct unknown_case_t {
    const char *name;
    la_slice_t text;
} unknown_case_t;

static unknown_case_t unknown_cases[] = {
    {"unknown: none", LA_SLICE("none")},
    {"unknown: None", LA_SLICE("None")},
    {"unknown: NONE", LA_SLICE("NONE")},
    {"unknown: empty", LA_SLICE("")},
    {"unknown: no bytes at all", {NULL, 0}},
    {"unknown: rs256", LA_SLICE("rs256")},
    {"unknown: hs256", LA_SLICE("hs256")},
    {"unknown: Rs256", LA_SLICE("Rs256")},
    {"unknown: eddsa", LA_SLICE("eddsa")},
    {"unknown: EDDSA", LA_SLICE("EDDSA")},
    {"unknown: ed25519", LA_SLICE("ed25519")},
    {"unknown: RS25", LA_SLICE("RS25")},
    {"unknown: RS2560", LA_SLICE("RS2560")},
    {"unknown: a NUL behind", LA_SLICE("RS256\0")},
    {"unknown: a NUL within", LA_SLICE("RS\0256")},
    {"unknown: a space in front", LA_SLICE(" RS256")},
    {"unknown: a space behind", LA_SLICE("RS256 ")},
    {"unknown: two", LA_SLICE("RS256 PS256")},
    {"unknown: RS1", LA_SLICE("RS1")},
    {"unknown: HS1", LA_SLICE("HS1")},
    {"unknown: ES256K", LA_SLICE("ES256K")},
    {"unknown: RSA-OAEP", LA_SLICE("RSA-OAEP")},
    {"unknown: dir", LA_SLICE("dir")},
    {"unknown: RSA", LA_SLICE("RSA")},
};

static la_jwa_set_t not_one[] = {
    0,
    LA_JWA_RSA,
    LA_JWA_EC,
    LA_JWA_OKP,
    LA_JWA_HMAC,
    LA_JWA_DEFAULT,
    LA_JWA_RS256 | LA_JWA_HS256,
    LA_JWA_ES256 | LA_JWA_ES384,
    (la_jwa_set_t)1 << 14,
    (la_jwa_set_t)1 << 31,
    ~(la_jwa_set_t)0,
};

static void test_name(void **state)
{
    const name_case_t *row = *state;

    assert_int_equal(la_jwa_named(slice_of_text(row->name)), row->set);
    if (row->digest)
        assert_string_equal(la_jwa_digest(row->set), row->digest);
    else
        assert_null(la_jwa_digest(row->set));
}

static void test_unknown(void **state)
{
    const unknown_case_t *row = *state;

    assert_int_equal(la_jwa_named(row->text), 0);
}

static void test_not_one(void **state)
{
    assert_null(la_jwa_digest(*(la_jwa_set_t *)*state));
}

/* Each bit has one name and is in one family; HMAC is not for who has not asked for it. */
static void test_families(void **state)
{
    la_jwa_set_t families[] = {LA_JWA_RSA, LA_JWA_EC, LA_JWA_OKP, LA_JWA_HMAC};
    la_jwa_set_t named = 0;
    la_jwa_set_t all = 0;

    (void)state;
    for (size_t i = 0; i < ROWS(families); i++) {
        assert_int_equal(all & families[i], 0);
        all |= families[i];
    }
    for (size_t i = 0; i < ROWS(name_cases); i++) {
        if (name_cases[i].set != LA_JWA_OKP) {
            assert_int_equal(named & name_cases[i].set, 0);
            named |= name_cases[i].set;
        }
    }
    assert_int_equal(named, all);
    assert_int_equal(LA_JWA_DEFAULT, all & ~LA_JWA_HMAC);
}

static void test_names(void **state)
{
    apr_pool_t *pool = new_pool();

    (void)state;
    assert_string_equal(la_jwa_names(pool, 0), "");
    assert_string_equal(la_jwa_names(pool, LA_JWA_ED25519), "Ed25519");
    assert_string_equal(la_jwa_names(pool, LA_JWA_HS256 | LA_JWA_ES256), "ES256 HS256");
    assert_string_equal(la_jwa_names(pool, LA_JWA_DEFAULT),
                        "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA");
    apr_pool_destroy(pool);
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(name_cases); i++)
        add(name_cases[i].name, test_name, &name_cases[i]);
    for (size_t i = 0; i < ROWS(unknown_cases); i++)
        add(unknown_cases[i].name, test_unknown, &unknown_cases[i]);
    for (size_t i = 0; i < ROWS(not_one); i++)
        add("digest of what is not one algorithm", test_not_one, &not_one[i]);
    add("families", test_families, NULL);
    add("a set's names", test_names, NULL);
    return finish("jwa");
}
