#include "base/cidr.h"

#include "base/units.h"

#include <arpa/inet.h>

#define BITS      128
#define BITS_V4   32
#define BYTES     16
#define V4_OFFSET 12 /* of an IPv4 address within an IPv6 one */

static const unsigned char v4_prefix[V4_OFFSET] = {[10] = 0xff, [11] = 0xff};

static void mask(la_cidr_t *cidr)
{
    for (int i = 0; i < BYTES; i++) {
        int kept = cidr->bits - 8 * i;

        if (kept < 8) {
            cidr->address[i] &= kept <= 0 ? 0 : (unsigned char)(0xff << (8 - kept));
        }
    }
}

int la_cidr_parse(la_slice_t text, la_cidr_t *cidr)
{
    char copy[INET6_ADDRSTRLEN + sizeof("/128")];
    apr_int64_t bits = BITS;
    const char *end;
    char *slash;
    int v4;

    *cidr = (la_cidr_t){.bits = BITS};
    if (text.len >= sizeof(copy) || memchr(text.data, '\0', text.len)) {
        return 0;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    slash = strchr(copy, '/');
    if (slash) {
        *slash = '\0';
    }
    v4 = inet_pton(AF_INET, copy, cidr->address + V4_OFFSET) == 1;
    if (v4) {
        memcpy(cidr->address, v4_prefix, V4_OFFSET);
    } else if (inet_pton(AF_INET6, copy, cidr->address) != 1) {
        return 0;
    }
    if (slash) {
        end = slash + 1;
        if (!la_units_number(&end, v4 ? BITS_V4 : BITS, &bits) || *end) {
            return 0;
        }
        cidr->bits = (int)bits + (v4 ? BITS - BITS_V4 : 0);
    }
    cidr->is_v4 =
        v4 || (cidr->bits >= BITS - BITS_V4 && memcmp(cidr->address, v4_prefix, V4_OFFSET) == 0);
    mask(cidr);
    return 1;
}

int la_cidr_holds(const la_cidr_t *outer, const la_cidr_t *inner)
{
    la_cidr_t part = *inner;

    if (outer->is_v4 != inner->is_v4 || inner->bits < outer->bits) {
        return 0;
    }
    part.bits = outer->bits;
    mask(&part);
    return memcmp(part.address, outer->address, BYTES) == 0;
}
