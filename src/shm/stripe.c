/* Numbers threads in the order in which they first ask. Any thread, no lock. */
#include "shm/stripe.h"

#include <stdatomic.h>
#include <unistd.h>

unsigned la_lane(void)
{
    static atomic_uint next;
    static _Thread_local unsigned number;

    if (number == 0) {
        number = atomic_fetch_add(&next, 1) + (unsigned)getpid() + 1;
        number = number ? number : 1;
    }
    return number;
}
