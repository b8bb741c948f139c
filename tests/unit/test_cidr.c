/* cidr.c: networks, and what is in them. */
#include "support.h"

#include "base/cidr.h"

typedef struct holds_case_t {
    const char *network;
    const char *address;
    int holds; /* -1: no network */
} holds_case_t;

static holds_case_t cases[] = {
    {"10.0.0.0/8", "10.255.255.255", 1},
    {"10.0.0.0/8", "11.0.0.0", 0},
    {"10.9.9.9/8", "10.1.1.1", 1},
    {"10.0.0.1", "10.0.0.1", 1},
    {"10.0.0.1", "10.0.0.2", 0},
    {"10.0.0.1/32", "10.0.0.1", 1},
    {"10.0.0.0/31", "10.0.0.1", 1},
    {"10.0.0.0/31", "10.0.0.2", 0},
    {"192.168.128.0/17", "192.168.128.1", 1},
    {"192.168.128.0/17", "192.168.127.255", 0},
    {"0.0.0.0/0", "255.255.255.255", 1},
    {"0.0.0.0/0", "2001:db8::1", 0},
    {"0.0.0.0/0", "::ffff:1.2.3.4", 1},
    {"::/0", "2001:db8::1", 1},
    {"::/0", "1.2.3.4", 0},
    {"::/0", "::ffff:1.2.3.4", 0},
    {"::ffff:10.0.0.0/104", "10.1.2.3", 1},
    {"::ffff:10.0.0.0/104", "11.1.2.3", 0},
    {"::ffff:0:0/96", "10.1.2.3", 1},
    {"::ffff:10.0.0.1", "10.0.0.1", 1},
    {"2001:db8::/32", "2001:db8:ffff::1", 1},
    {"2001:db8::/32", "2001:db9::1", 0},
    {"2001:db8::/33", "2001:db8:8000::1", 0},
    {"2001:db8::1/128", "2001:db8::1", 1},
    {"2001:DB8::1", "2001:db8:0::1", 1},
    {"::1", "::1", 1},
    {"::1", "127.0.0.1", 0},
    {"", "::1", -1},
    {"/8", "::1", -1},
    {"10.0.0.0/", "::1", -1},
    {"10.0.0.0/33", "::1", -1},
    {"::/129", "::1", -1},
    {"10.0.0.0/-1", "::1", -1},
    {"10.0.0.0/+8", "::1", -1},
    {"10.0.0.0/8 ", "::1", -1},
    {" 10.0.0.0/8", "::1", -1},
    {"10.0.0.0/8/8", "::1", -1},
    {"10.0.0/8", "::1", -1},
    {"10.0.0.256", "::1", -1},
    {"fe80::1%eth0", "::1", -1},
    {"localhost", "::1", -1},
    {"10.0.0.0/255.0.0.0", "::1", -1},
    {"2001:0db8:0000:0000:0000:0000:192.168.100.100/128", "::1", 0},
    {"2001:0db8:0000:0000:0000:0000:192.168.100.100/1280000", "::1", -1},
};

static void test_holds(void **state)
{
    const holds_case_t *row = *state;
    la_cidr_t network;
    la_cidr_t address;

    assert_int_equal(la_cidr_parse(slice_of_text(row->network), &network), row->holds >= 0);
    assert_int_equal(la_cidr_parse(slice_of_text(row->address), &address), 1);
    if (row->holds >= 0) {
        assert_int_equal(la_cidr_holds(&network, &address), row->holds);
    }
}

static void test_nul(void **state)
{
    la_cidr_t network;

    (void)state;
    assert_int_equal(la_cidr_parse(LA_SLICE("10.0.0.0\0/8"), &network), 0);
}

static void test_a_network_in_a_network(void **state)
{
    la_cidr_t large;
    la_cidr_t small;

    (void)state;
    assert_true(la_cidr_parse(LA_SLICE("10.0.0.0/8"), &large));
    assert_true(la_cidr_parse(LA_SLICE("10.1.0.0/16"), &small));
    assert_true(la_cidr_holds(&large, &small));
    assert_false(la_cidr_holds(&small, &large));
}

int main(void)
{
    start();
    for (size_t i = 0; i < ROWS(cases); i++)
        add(*cases[i].network ? cases[i].network : "(empty)", test_holds, &cases[i]);
    add("a NUL in it", test_nul, NULL);
    add("a network in a network", test_a_network_in_a_network, NULL);
    return finish("cidr");
}
