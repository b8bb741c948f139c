/* jwt.c and verifier.c: tokens that must be refused, each with the reason that the log gives. What
 * is accepted: test_jwt.c. JSON is written with ' for ".
 */
#include "support.h"

#include "jose.h"

#include "tokens.h"

#include <openssl/pem.h>

typedef enum verdict_e { FOREIGN, REFUSED, BAD, UNKNOWN } verdict_e;

typedef struct hostile_t {
    const char *name;
    const char *header; /* NULL: `edit` is the token */
    const char *claims;
    key_e key; /* that signs */
    const char *alg;
    form_e form;
    const char *edit; /* what is done to the token afterwards; see edit() */
    verdict_e verdict;
    const char *reason; /* what the log says begins with it */
} hostile_t;

/* clang-format off */
static hostile_t cases[] = {
    {"opaque: a word", NULL, NULL, K_P256, "ES256", FORM_JOSE, "opaque", FOREIGN, "not a JWT"},
    {"opaque: one dot", NULL, NULL, K_P256, "ES256", FORM_JOSE, "abc.def", FOREIGN, "not a JWT"},
    {"opaque: three dots", NULL, NULL, K_P256, "ES256", FORM_JOSE, "eyJhbGciOiJFUzI1NiJ9.e30.AA.AA", FOREIGN, "not a JWT"},
    {"opaque: JWE", NULL, NULL, K_P256, "ES256", FORM_JOSE, "eyJhbGciOiJkaXIifQ..AA.AA.AA", FOREIGN, "not a JWT"},
    {"opaque: two dots and nothing", NULL, NULL, K_P256, "ES256", FORM_JOSE, "..", FOREIGN, "not a JWT"},
    {"opaque: two dots, empty header", NULL, NULL, K_P256, "ES256", FORM_JOSE, ".e30.AA", FOREIGN, "not a JWT"},
    {"opaque: GitHub's", NULL, NULL, K_P256, "ES256", FORM_JOSE, "ghp_0123456789abcdef", FOREIGN, "not a JWT"},
    {"opaque: header is no base64url", NULL, NULL, K_P256, "ES256", FORM_JOSE, "a+b.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: header with padding", NULL, NULL, K_P256, "ES256", FORM_JOSE, "eyJhbGciOiJFUzI1NiJ9=.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: header begins with a list", NULL, NULL, K_P256, "ES256", FORM_JOSE, "WzFd.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: header begins with a space", NULL, NULL, K_P256, "ES256", FORM_JOSE, "IHt9.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: header with bits over", NULL, NULL, K_P256, "ES256", FORM_JOSE, "e31.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: header is a lone character", NULL, NULL, K_P256, "ES256", FORM_JOSE, "e.e30.AA", FOREIGN, "not a JWT"},
    {"opaque: a dot at the start", NULL, NULL, K_P256, "ES256", FORM_JOSE, ".eyJhbGciOiJFUzI1NiJ9.e30", FOREIGN, "not a JWT"},
    {"opaque: only one brace", NULL, NULL, K_P256, "ES256", FORM_JOSE, "ew.e30.AA", REFUSED, "the header is not JSON"},
    {"header: cut", "{'alg':'ES256'", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: duplicate member", "{'alg':'ES256','alg':'none'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON: duplicate member name"},
    {"header: duplicate kid", "{'alg':'ES256','kid':'p256','kid':'x'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON: duplicate member name"},
    {"header: escaped duplicate", "{'alg':'ES256','\\u0061lg':'none'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON: duplicate member name"},
    {"header: trailing bytes", "{'alg':'ES256'} x", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: two objects", "{'alg':'ES256'}{}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: NaN", "{'alg':'ES256','x':NaN}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: raw control character", "{'alg':'ES256','x':'\x01'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: comment", "{'alg':'ES256'/**/}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: trailing comma", "{'alg':'ES256',}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: bad UTF-8", "{'alg':'ES256','x':'\xff'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the header is not JSON"},
    {"header: empty object", "{}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is missing"},
    {"crit: empty list", "{'alg':'ES256','crit':[]}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "crit is present"},
    {"crit: exp", "{'alg':'ES256','crit':['exp'],'exp':1}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "crit is present"},
    {"crit: b64", "{'alg':'ES256','crit':['b64'],'b64':false}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "crit is present"},
    {"crit: null", "{'alg':'ES256','crit':null}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "crit is present"},
    {"crit: string", "{'alg':'ES256','crit':'exp'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "crit is present"},
    {"b64: false", "{'alg':'ES256','b64':false}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "b64 is present"},
    {"b64: true", "{'alg':'ES256','b64':true}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "b64 is present"},
    {"kid: number", "{'alg':'ES256','kid':1}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "kid is not a string"},
    {"kid: null", "{'alg':'ES256','kid':null}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "kid is not a string"},
    {"kid: list", "{'alg':'ES256','kid':['p256']}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "kid is not a string"},
    {"kid: object", "{'alg':'ES256','kid':{'p256':1}}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "kid is not a string"},
    {"kid: boolean", "{'alg':'ES256','kid':true}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "kid is not a string"},
    {"typ: number", "{'alg':'ES256','typ':1}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "typ is not a string"},
    {"typ: null", "{'alg':'ES256','typ':null}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "typ is not a string"},
    {"typ: list", "{'alg':'ES256','typ':['JWT']}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "typ is not a string"},
    {"alg: absent", "{'kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is missing"},
    {"alg: in another case of the name", "{'Alg':'ES256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is missing"},
    {"alg: number", "{'alg':256}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is not a string"},
    {"alg: null", "{'alg':null}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is not a string"},
    {"alg: list", "{'alg':['ES256']}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is not a string"},
    {"alg: object", "{'alg':{'ES256':1}}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is not a string"},
    {"alg: boolean", "{'alg':true}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is not a string"},
    {"alg: 'none'", "{'alg':'none','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"none\", expected one of: RS256 RS384"},
    {"alg: 'None'", "{'alg':'None','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"None\", expected one of: RS256 RS384"},
    {"alg: 'NONE'", "{'alg':'NONE','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"NONE\", expected one of: RS256 RS384"},
    {"alg: 'nOnE'", "{'alg':'nOnE','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"nOnE\", expected one of: RS256 RS384"},
    {"alg: 'none '", "{'alg':'none ','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"none \", expected one of: RS256 RS384"},
    {"alg: ''", "{'alg':'','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"\", expected one of: RS256 RS384"},
    {"alg: 'es256'", "{'alg':'es256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"es256\", expected one of: RS256 RS384"},
    {"alg: 'ES256K'", "{'alg':'ES256K','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"ES256K\", expected one of: RS256 RS384"},
    {"alg: 'ES256 '", "{'alg':'ES256 ','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"ES256 \", expected one of: RS256 RS384"},
    {"alg: 'RS1'", "{'alg':'RS1','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"RS1\", expected one of: RS256 RS384"},
    {"alg: 'HS1'", "{'alg':'HS1','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"HS1\", expected one of: RS256 RS384"},
    {"alg: 'A128KW'", "{'alg':'A128KW','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"A128KW\", expected one of: RS256 RS384"},
    {"alg: 'dir'", "{'alg':'dir','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"dir\", expected one of: RS256 RS384"},
    {"alg: 'RSA-OAEP'", "{'alg':'RSA-OAEP','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"RSA-OAEP\", expected one of: RS256 RS384"},
    {"alg: 'ES256,none'", "{'alg':'ES256,none','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"ES256,none\", expected one of: RS256 RS384"},
    {"alg: 'EdDSA448'", "{'alg':'EdDSA448','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"EdDSA448\", expected one of: RS256 RS384"},
    {"alg: 'ML-DSA-44'", "{'alg':'ML-DSA-44','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"ML-DSA-44\", expected one of: RS256 RS384"},
    {"alg: 'RS2560'", "{'alg':'RS2560','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"RS2560\", expected one of: RS256 RS384"},
    {"alg: none with NUL behind", "{'alg':'none\\u0000','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"none\\u0000\", expected one of: RS256 RS384"},
    {"alg: ES256 with NUL behind", "{'alg':'ES256\\u0000','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "alg is \"ES256\\u0000\", expected one of: RS256 RS384"},
    {"signature: empty", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "-sig", REFUSED, "it is not signed"},
    {"signature: padding", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+=", REFUSED, "the signature is not base64url"},
    {"signature: plus", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+plus", REFUSED, "the signature is not base64url"},
    {"signature: slash", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+slash", REFUSED, "the signature is not base64url"},
    {"signature: white space", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+space", REFUSED, "the signature is not base64url"},
    {"signature: line break", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+nl", REFUSED, "the signature is not base64url"},
    {"signature: lone character", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "+lone", REFUSED, "the signature is not base64url"},
    {"signature: bits over", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "bits", REFUSED, "the signature is not base64url"},
    {"claims: empty part", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "-claims", REFUSED, "the claims part is not JSON"},
    {"claims: padding", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "claims=", REFUSED, "the claims are not base64url"},
    {"claims: foreign", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "claims+", REFUSED, "the claims are not base64url"},
    {"claims: list", "{'alg':'ES256','kid':'p256'}", "[1]", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not an object"},
    {"claims: string", "{'alg':'ES256','kid':'p256'}", "'sub'", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not an object"},
    {"claims: number", "{'alg':'ES256','kid':'p256'}", "1", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not an object"},
    {"claims: null", "{'alg':'ES256','kid':'p256'}", "null", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not an object"},
    {"claims: true", "{'alg':'ES256','kid':'p256'}", "true", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not an object"},
    {"claims: cut", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: duplicate sub", "{'alg':'ES256','kid':'p256'}", "{'sub':'a','sub':'root'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON: duplicate member name"},
    {"claims: duplicate exp", "{'alg':'ES256','kid':'p256'}", "{'exp':1,'exp':9999999999}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON: duplicate member name"},
    {"claims: nested duplicate", "{'alg':'ES256','kid':'p256'}", "{'a':{'b':1,'b':2}}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON: duplicate member name"},
    {"claims: trailing bytes", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}x", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: NaN", "{'alg':'ES256','kid':'p256'}", "{'exp':NaN}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: Infinity", "{'alg':'ES256','kid':'p256'}", "{'exp':Infinity}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: hex number", "{'alg':'ES256','kid':'p256'}", "{'exp':0x10}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: leading zero", "{'alg':'ES256','kid':'p256'}", "{'exp':01}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: raw newline", "{'alg':'ES256','kid':'p256'}", "{'sub':'a\nb'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: bad UTF-8", "{'alg':'ES256','kid':'p256'}", "{'sub':'\xc3('}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: overlong UTF-8", "{'alg':'ES256','kid':'p256'}", "{'sub':'\xc0\xaf'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: too deep", "{'alg':'ES256','kid':'p256'}", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: NUL in a name", "{'alg':'ES256','kid':'p256'}", "{'su\\u0000b':'a'}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"claims: comment", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'//\n}", K_P256, "ES256", FORM_JOSE, NULL, REFUSED, "the claims part is not JSON"},
    {"kid: unknown", "{'alg':'ES256','kid':'nobody'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"nobody\""},
    {"kid: another case", "{'alg':'ES256','kid':'P256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"P256\""},
    {"kid: a prefix", "{'alg':'ES256','kid':'p25'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"p25\""},
    {"kid: longer", "{'alg':'ES256','kid':'p256 '}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"p256 \""},
    {"kid: NUL behind", "{'alg':'ES256','kid':'p256\\u0000'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"p256\\u0000\""},
    {"kid: empty", "{'alg':'ES256','kid':''}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"\""},
    {"kid: a path", "{'alg':'HS256','kid':'../../dev/null'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"../../dev/null\""},
    {"kid: SQL", "{'alg':'HS256','kid':'x\\u0027 UNION SELECT 1'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, UNKNOWN, "its key is unknown: kid \"x' UNION SELECT 1\""},
    {"mix: ES256 with the key rsa", "{'alg':'ES256','kid':'rsa'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rsa\", alg ES256"},
    {"mix: ES384 with the key rsa", "{'alg':'ES384','kid':'rsa'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rsa\", alg ES384"},
    {"mix: ES512 with the key rsa", "{'alg':'ES512','kid':'rsa'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rsa\", alg ES512"},
    {"mix: EdDSA with the key rsa", "{'alg':'EdDSA','kid':'rsa'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rsa\", alg EdDSA"},
    {"mix: HS256 with the key rsa", "{'alg':'HS256','kid':'rsa'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rsa\", alg HS256"},
    {"mix: RS256 with the key p256", "{'alg':'RS256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg RS256"},
    {"mix: PS256 with the key p256", "{'alg':'PS256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg PS256"},
    {"mix: ES384 with the key p256", "{'alg':'ES384','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg ES384"},
    {"mix: ES512 with the key p256", "{'alg':'ES512','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg ES512"},
    {"mix: EdDSA with the key p256", "{'alg':'EdDSA','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg EdDSA"},
    {"mix: HS256 with the key p256", "{'alg':'HS256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p256\", alg HS256"},
    {"mix: RS256 with the key p384", "{'alg':'RS256','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg RS256"},
    {"mix: PS256 with the key p384", "{'alg':'PS256','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg PS256"},
    {"mix: ES256 with the key p384", "{'alg':'ES256','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg ES256"},
    {"mix: ES512 with the key p384", "{'alg':'ES512','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg ES512"},
    {"mix: EdDSA with the key p384", "{'alg':'EdDSA','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg EdDSA"},
    {"mix: HS256 with the key p384", "{'alg':'HS256','kid':'p384'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p384\", alg HS256"},
    {"mix: RS256 with the key p521", "{'alg':'RS256','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg RS256"},
    {"mix: PS256 with the key p521", "{'alg':'PS256','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg PS256"},
    {"mix: ES256 with the key p521", "{'alg':'ES256','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg ES256"},
    {"mix: ES384 with the key p521", "{'alg':'ES384','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg ES384"},
    {"mix: EdDSA with the key p521", "{'alg':'EdDSA','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg EdDSA"},
    {"mix: HS256 with the key p521", "{'alg':'HS256','kid':'p521'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"p521\", alg HS256"},
    {"mix: RS256 with the key ed", "{'alg':'RS256','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg RS256"},
    {"mix: PS256 with the key ed", "{'alg':'PS256','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg PS256"},
    {"mix: ES256 with the key ed", "{'alg':'ES256','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg ES256"},
    {"mix: ES384 with the key ed", "{'alg':'ES384','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg ES384"},
    {"mix: ES512 with the key ed", "{'alg':'ES512','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg ES512"},
    {"mix: HS256 with the key ed", "{'alg':'HS256','kid':'ed'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg HS256"},
    {"mix: RS256 with the key ed448", "{'alg':'RS256','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg RS256"},
    {"mix: PS256 with the key ed448", "{'alg':'PS256','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg PS256"},
    {"mix: ES256 with the key ed448", "{'alg':'ES256','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg ES256"},
    {"mix: ES384 with the key ed448", "{'alg':'ES384','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg ES384"},
    {"mix: ES512 with the key ed448", "{'alg':'ES512','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg ES512"},
    {"mix: HS256 with the key ed448", "{'alg':'HS256','kid':'ed448'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg HS256"},
    {"mix: RS256 with the key hmac", "{'alg':'RS256','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg RS256"},
    {"mix: PS256 with the key hmac", "{'alg':'PS256','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg PS256"},
    {"mix: ES256 with the key hmac", "{'alg':'ES256','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg ES256"},
    {"mix: ES384 with the key hmac", "{'alg':'ES384','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg ES384"},
    {"mix: ES512 with the key hmac", "{'alg':'ES512','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg ES512"},
    {"mix: EdDSA with the key hmac", "{'alg':'EdDSA','kid':'hmac'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"hmac\", alg EdDSA"},
    {"mix: RS256 with the key rs512", "{'alg':'RS256','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg RS256"},
    {"mix: PS256 with the key rs512", "{'alg':'PS256','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg PS256"},
    {"mix: ES256 with the key rs512", "{'alg':'ES256','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg ES256"},
    {"mix: ES384 with the key rs512", "{'alg':'ES384','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg ES384"},
    {"mix: ES512 with the key rs512", "{'alg':'ES512','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg ES512"},
    {"mix: EdDSA with the key rs512", "{'alg':'EdDSA','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg EdDSA"},
    {"mix: HS256 with the key rs512", "{'alg':'HS256','kid':'rs512'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg HS256"},
    {"mix: Ed25519 with Ed448's key", "{'alg':'Ed25519','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed448\", alg Ed25519"},
    {"mix: Ed448 with Ed25519's key", "{'alg':'Ed448','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"ed\", alg Ed448"},
    {"key's alg: RS256 under RS512", "{'alg':'RS256','kid':'rs512'}", "{'sub':'a'}", K_RSA2, "RS256", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg RS256"},
    {"key's alg: PS512 under RS512", "{'alg':'PS512','kid':'rs512'}", "{'sub':'a'}", K_RSA2, "PS512", FORM_JOSE, NULL, BAD, "its key is for another algorithm: kid \"rs512\", alg PS512"},
    {"key: another's signature", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_OTHER, "ES256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"key: another RSA key's", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA2, "RS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"key: embedded, and signed with it", "{'alg':'ES256','kid':'p256','jwk':{'kty':'EC'},'jku':'http://127.0.0.1/'}", "{'sub':'a'}", K_OTHER, "ES256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"key: x5c, and signed with it", "{'alg':'ES256','kid':'p256','x5c':['MII'],'x5u':'http://127.0.0.1/'}", "{'sub':'a'}", K_OTHER, "ES256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"no kid: several fit, none signed", "{'alg':'RS512'}", "{'sub':'a'}", K_RSA, "RS512", FORM_JOSE, "flip", BAD, "it names no key (kid), and none that was tried"},
    {"no kid: wrong signature", "{'alg':'ES256'}", "{'sub':'a'}", K_OTHER, "ES256", FORM_JOSE, NULL, BAD, "it names no key (kid), and none that was tried"},
    {"no kid: one fits, another signed", "{'alg':'ES384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "flip", BAD, "it names no key (kid), and none that was tried"},
    {"RS256, rsa: a bit flipped", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"RS256, rsa: a byte less", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"RS256, rsa: a byte more", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"RS256, rsa: all zero", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"RS256, rsa: claims changed", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"RS256, rsa: one byte alone", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"PS256, rsa: a bit flipped", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"PS256, rsa: a byte less", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"PS256, rsa: a byte more", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"PS256, rsa: all zero", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"PS256, rsa: claims changed", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"PS256, rsa: one byte alone", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"ES256, p256: a bit flipped", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"ES256, p256: a byte less", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"ES256, p256: a byte more", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"ES256, p256: all zero", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"ES256, p256: claims changed", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"ES256, p256: one byte alone", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"ES384, p384: a bit flipped", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"ES384, p384: a byte less", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"ES384, p384: a byte more", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"ES384, p384: all zero", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"ES384, p384: claims changed", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"ES384, p384: one byte alone", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"ES512, p521: a bit flipped", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"ES512, p521: a byte less", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"ES512, p521: a byte more", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"ES512, p521: all zero", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"ES512, p521: claims changed", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"ES512, p521: one byte alone", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"EdDSA, ed: a bit flipped", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"EdDSA, ed: a byte less", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"EdDSA, ed: a byte more", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"EdDSA, ed: all zero", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"EdDSA, ed: claims changed", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"EdDSA, ed: one byte alone", "{'alg':'EdDSA','kid':'ed'}", "{'sub':'a'}", K_ED, "EdDSA", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"EdDSA, ed448: a bit flipped", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"EdDSA, ed448: a byte less", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"EdDSA, ed448: a byte more", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"EdDSA, ed448: all zero", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"EdDSA, ed448: claims changed", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"EdDSA, ed448: one byte alone", "{'alg':'EdDSA','kid':'ed448'}", "{'sub':'a'}", K_ED448, "EdDSA", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"HS256, hmac: a bit flipped", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "flip", BAD, "the signature is wrong"},
    {"HS256, hmac: a byte less", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "cut", BAD, "the signature is wrong"},
    {"HS256, hmac: a byte more", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "more", BAD, "the signature is wrong"},
    {"HS256, hmac: all zero", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "zero", BAD, "the signature is wrong"},
    {"HS256, hmac: claims changed", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "tamper", BAD, "the signature is wrong"},
    {"HS256, hmac: one byte alone", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_RSA, "HS256", FORM_JOSE, "one", BAD, "the signature is wrong"},
    {"ES256: DER", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_DER, NULL, BAD, "the signature is wrong"},
    {"ES384: DER", "{'alg':'ES384','kid':'p384'}", "{'sub':'a'}", K_P384, "ES384", FORM_DER, NULL, BAD, "the signature is wrong"},
    {"ES512: DER", "{'alg':'ES512','kid':'p521'}", "{'sub':'a'}", K_P521, "ES512", FORM_DER, NULL, BAD, "the signature is wrong"},
    {"ES256: r alone is zero", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "r0", BAD, "the signature is wrong"},
    {"ES256: s alone is zero", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "s0", BAD, "the signature is wrong"},
    {"ES256: all ones", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "ones", BAD, "the signature is wrong"},
    {"ES256: r is the order, s one", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "order", BAD, "the signature is wrong"},
    {"ES256: r and s swapped", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES256", FORM_JOSE, "swap", BAD, "the signature is wrong"},
    {"PS256: salt of no bytes", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_SHORT_SALT, NULL, BAD, "the signature is wrong"},
    {"PS256: longest salt", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_LONG_SALT, NULL, BAD, "the signature is wrong"},
    {"says RS256, is PS256", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says PS256, is RS256", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says RS256, is RS384", "{'alg':'RS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS384", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says RS384, is RS256", "{'alg':'RS384','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says PS256, is PS512", "{'alg':'PS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS512", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says PS512, is PS256", "{'alg':'PS512','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says RS512, is PS512", "{'alg':'RS512','kid':'rsa'}", "{'sub':'a'}", K_RSA, "PS512", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says ES256, digest of ES384", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES384", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says ES256, digest of ES512", "{'alg':'ES256','kid':'p256'}", "{'sub':'a'}", K_P256, "ES512", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says HS256, is HS384", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_P256, "HS384", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says HS384, is HS256", "{'alg':'HS384','kid':'hmac'}", "{'sub':'a'}", K_P256, "HS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"says HS512, is HS256", "{'alg':'HS512','kid':'hmac'}", "{'sub':'a'}", K_P256, "HS256", FORM_JOSE, NULL, BAD, "the signature is wrong"},
    {"HS256: cut to half", "{'alg':'HS256','kid':'hmac'}", "{'sub':'a'}", K_P256, "HS256", FORM_JOSE, "half", BAD, "the signature is wrong"},
    {"HS256: the public key as secret, pem", "{'alg':'HS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "pemHS256", BAD, "its key is for another algorithm: kid \"rsa\", alg HS256"},
    {"HS256: the public key as secret, der", "{'alg':'HS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "derHS256", BAD, "its key is for another algorithm: kid \"rsa\", alg HS256"},
    {"HS256: the public key as secret, n", "{'alg':'HS256','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "nHS256", BAD, "its key is for another algorithm: kid \"rsa\", alg HS256"},
    {"HS384: the public key as secret, pem", "{'alg':'HS384','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "pemHS384", BAD, "its key is for another algorithm: kid \"rsa\", alg HS384"},
    {"HS384: the public key as secret, der", "{'alg':'HS384','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "derHS384", BAD, "its key is for another algorithm: kid \"rsa\", alg HS384"},
    {"HS384: the public key as secret, n", "{'alg':'HS384','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "nHS384", BAD, "its key is for another algorithm: kid \"rsa\", alg HS384"},
    {"HS512: the public key as secret, pem", "{'alg':'HS512','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "pemHS512", BAD, "its key is for another algorithm: kid \"rsa\", alg HS512"},
    {"HS512: the public key as secret, der", "{'alg':'HS512','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "derHS512", BAD, "its key is for another algorithm: kid \"rsa\", alg HS512"},
    {"HS512: the public key as secret, n", "{'alg':'HS512','kid':'rsa'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "nHS512", BAD, "its key is for another algorithm: kid \"rsa\", alg HS512"},
    {"HS256: without kid, the public key as secret", "{'alg':'HS256'}", "{'sub':'a'}", K_RSA, "RS256", FORM_JOSE, "pemHS256", BAD, "it names no key (kid), and none that was tried"},
};
/* clang-format on */

#define IS(text) (strcmp(edit, text) == 0)

/* Another signature in the place of the token's. */
static const char *edited_signature(apr_pool_t *pool, const char *edit, const char *input,
                                    la_slice_t signature)
{
    unsigned char bytes[2100] = {0};
    apr_size_t len = signature.len;

    memcpy(bytes, signature.data, len);
    if (IS("flip")) {
        bytes[len / 2] ^= 1;
    } else if (IS("cut")) {
        len--;
    } else if (IS("half")) {
        len /= 2;
    } else if (IS("more")) {
        len++;
    } else if (IS("one")) {
        len = 1;
    } else if (IS("zero")) {
        memset(bytes, 0, len);
    } else if (IS("ones")) {
        memset(bytes, 0xff, len);
    } else if (IS("r0")) {
        memset(bytes, 0, len / 2);
    } else if (IS("s0")) {
        memset(bytes + len / 2, 0, len / 2);
    } else if (IS("swap")) {
        memcpy(bytes, signature.data + len / 2, len / 2);
        memcpy(bytes + len / 2, signature.data, len / 2);
    } else if (IS("order")) { /* of P-256's generator */
        BIGNUM *n = NULL;

        BN_hex2bn(&n, "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551");
        BN_bn2binpad(n, bytes, 32);
        memset(bytes + 32, 0, 32);
        bytes[63] = 1;
        BN_free(n);
    }
    return apr_pstrcat(pool, input, ".", b64(pool, bytes, len), NULL);
}

/* Signed with HMAC and what everybody knows of the RSA key: its PEM, its DER, its modulus. */
static const char *confused(apr_pool_t *pool, const char *edit, const char *input)
{
    BIO *out = BIO_new(BIO_s_mem());
    const char *digest = strstr(edit, "256") ? "SHA256" : strstr(edit, "384") ? "SHA384" : "SHA512";
    unsigned char mac[64];
    char *secret = NULL;
    size_t len = 0;
    long secret_len;

    if (edit[0] == 'p') {
        PEM_write_bio_PUBKEY(out, pair[K_RSA]);
    } else if (edit[0] == 'd') {
        i2d_PUBKEY_bio(out, pair[K_RSA]);
    } else {
        BIO_puts(out, number(pair[K_RSA], "n", 0));
    }
    secret_len = BIO_get_mem_data(out, &secret);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, secret, (size_t)secret_len,
                              (const unsigned char *)input, strlen(input), mac, sizeof(mac), &len));
    BIO_free(out);
    return apr_pstrcat(pool, input, ".", b64(pool, mac, len), NULL);
}

static const char *edited(apr_pool_t *pool, const char *edit, char *input, la_slice_t signature)
{
    static const struct {
        const char *edit;
        const char *tail;
    } tails[] = {{"+=", "="},       {"+plus", "+A"}, {"+slash", "/A"},
                 {"+space", " AA"}, {"+nl", "\n"},   {"+lone", "AAA"}};
    const char *token =
        apr_pstrcat(pool, input, ".", b64(pool, signature.data, signature.len), NULL);
    char *dot = strchr(input, '.');

    for (size_t i = 0; i < ROWS(tails); i++) {
        if (IS(tails[i].edit)) {
            return apr_pstrcat(pool, token, tails[i].tail, NULL);
        }
    }
    if (strstr(edit, "HS")) {
        return confused(pool, edit, input);
    }
    if (IS("-sig")) {
        return apr_pstrcat(pool, input, ".", NULL);
    }
    if (IS("bits")) { /* 64 bytes end in a character with four bits over */
        return apr_pstrcat(pool, apr_pstrmemdup(pool, token, strlen(token) - 1), "B", NULL);
    }
    if (IS("tamper")) { /* still JSON */
        return apr_pstrcat(pool, apr_pstrmemdup(pool, input, (apr_size_t)(dot + 1 - input)),
                           encode_json(pool, "{'sub':'b'}"), strrchr(token, '.'), NULL);
    }
    if (strncmp(edit, "claims", 6) == 0) {
        return apr_pstrcat(pool, input, edit + 6, strrchr(token, '.'), NULL);
    }
    if (IS("-claims")) {
        return apr_pstrcat(pool, apr_pstrmemdup(pool, input, (apr_size_t)(dot + 1 - input)),
                           strrchr(token, '.'), NULL);
    }
    return edited_signature(pool, edit, input, signature);
}

static const char *token_of(apr_pool_t *pool, const hostile_t *row)
{
    char *input;

    if (!row->header) {
        return row->edit;
    }
    if (!row->edit) {
        return make_token(pool, row->header, row->claims, pair[row->key], row->alg, row->form);
    }
    input = apr_pstrcat(pool, encode_json(pool, row->header), ".", encode_json(pool, row->claims),
                        NULL);
    return edited(pool, row->edit, input, sign(pool, pair[row->key], row->alg, input, row->form));
}

static void test_hostile(void **state)
{
    const hostile_t *row = *state;
    apr_pool_t *pool = new_pool();
    const char *reason = NULL;
    la_jwt_t jwt;
    la_jwt_e parsed = la_jwt_parse(pool, slice_of_text(token_of(pool, row)), &jwt, &reason);

    assert_int_equal(parsed, row->verdict == FOREIGN   ? LA_JWT_FOREIGN
                             : row->verdict == REFUSED ? LA_JWT_REFUSED
                                                       : LA_JWT_GOOD);
    if (parsed == LA_JWT_GOOD) {
        assert_int_equal(la_jwt_verify(pool, &jwt, key_set, LA_JWA_DEFAULT | LA_JWA_HMAC, &reason),
                         row->verdict == UNKNOWN ? LA_JWT_UNKNOWN_KEY : LA_JWT_BAD);
    }
    assert_non_null(reason);
    if (strncmp(reason, row->reason, strlen(row->reason)) != 0) {
        fail_msg("%s", reason);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    int failed;

    start();
    make_keys();
    for (size_t i = 0; i < ROWS(cases); i++)
        add(cases[i].name, test_hostile, &cases[i]);
    failed = finish("jwt, hostile");
    drop_keys();
    return failed;
}
