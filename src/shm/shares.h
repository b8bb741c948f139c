/* How much each of any number of owners has taken of something, so that none gets all of it; in
 * shared memory of two pages. What is known of an owner is at least what he took, and more by what
 * the others have in the one of his four places where they have least.
 *
 * Life cycle: zeroed bytes are good, and any others are sound. Each turn begins with nothing taken;
 * a turn is a number that the bytes meet again after 4,096 others. Any thread of any process: one
 * that dies leaves one count too few, and one that stands still until the next turn may make a
 * place forget its count.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define LA_SHARES_ROWS  4u
#define LA_SHARES_BITS  9u /* of a place in a row */
#define LA_SHARES_BYTES 8192u

typedef struct la_shares_t {
    _Atomic uint32_t rows[LA_SHARES_ROWS][1u << LA_SHARES_BITS];
} la_shares_t;

_Static_assert(sizeof(la_shares_t) == LA_SHARES_BYTES, "plain words");

/* What an owner may always take, which is more than his places hold by chance when three quarters
 * of all are taken; and what he gets when he is alone. */
#define LA_SHARES_LITTLE(all) ((all) / 512)
#define LA_SHARES_MOST(all)   ((all) / 4)

/* The most that `all` may be. */
#define LA_SHARES_ALL_MAX (UINT64_C(1) << 20)

/* Whether an owner may take one more. He may as long as he has little; and, of three quarters of
 * all, as long as he has less than half of what is left of them. So one alone gets a quarter of
 * all, the next one a sixth, and all who take much together never get what is kept for those who
 * take little.
 *
 * owner: la_hash_under() of what names him, at a point that is in no shared bytes: nobody can
 * choose names that meet. held: taken by all owners. all: with what is left.
 */
int la_shares_allow(const la_shares_t *shares, uint32_t turn, uint64_t owner, uint64_t held,
                    uint64_t all);

/* The owner takes one. */
void la_shares_add(la_shares_t *shares, uint32_t turn, uint64_t owner);
