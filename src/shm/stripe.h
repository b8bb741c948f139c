/* A small number for each thread, by which threads spread over places of which there are a few, so
 * that those on different cores rarely write the same line.
 */
#ifndef LA_STRIPE_H
#define LA_STRIPE_H

/* This thread's number: counted up from the process's own start, so that processes differ too.
 * Never changes. */
unsigned la_lane(void);

#endif
