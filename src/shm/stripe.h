/* A number for each thread, by which threads spread over a few places, so that those on different
 * cores rarely write the same line. */
#ifndef LA_STRIPE_H
#define LA_STRIPE_H

/* This thread's number, which never changes. Each process starts at another one. */
unsigned la_lane(void);

#endif
