/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ranks -- the processes that mpirun or srun started together, and messages between them.
 *
 * harness/ranks.c alone knows MPI (make MPI=1); without it, and in a process that nothing launched, this is
 * rank 0 of 1. Messages are for the thread that called gdn_ranks_start(). Nothing waits in MPI: its blocking
 * calls spin, on cores that tasks want. An error of MPI's own ends the job.
 */
#ifndef GDN_HARNESS_RANKS_H
#define GDN_HARNESS_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct gdn_ranks {
    int rank, size;
    int local, local_size; /* among the ranks on this host */
    int cores;             /* of this host, for each of them */
    char host[65];         /* its name, where there are other ranks */
} gdn_ranks;

/* Join the other ranks where a launcher has started more than one process. */
gdn_status gdn_ranks_start(gdn_error *err);

/*
 * All ranks have come here, with this status each: are all well? If not, status and sentence of the lowest
 * rank that is not, the same on each. Without MPI, whether this may be one of several processes: if it works
 * alone, on a part that is its own.
 */
gdn_status gdn_ranks_agree(gdn_status status, bool alone, gdn_error *err);

const gdn_ranks *gdn_ranks_here(void);

/* Does this process speak to the user: rank 0, and one that ends the job (gdn_ranks_break)? */
bool gdn_ranks_speaks(void);

/* How many ranks of this host have given the same key, this one included. All ranks call it together. */
int gdn_ranks_alike(uint64_t key);

typedef struct gdn_message {
    int from, tag;
    unsigned char *bytes; /* [size]; free() it */
    size_t size;
} gdn_message;

/* Send bytes[0..size), which must be malloc()ed and are freed when they are gone. Returns at once. */
gdn_status gdn_ranks_send(int to, int tag, void *bytes, size_t size, gdn_error *err);

/* The same of a copy of them. */
gdn_status gdn_ranks_post(int to, int tag, const void *bytes, size_t size, gdn_error *err);

/* Messages of this tag sent from here that the other side has not begun to receive. */
int gdn_ranks_under_way(int tag);

/*
 * Is there a message, of this tag or (tag < 0) any? Returns at once. On failure, which is memory, *found is
 * false and the message stays where it is.
 */
gdn_status gdn_ranks_receive(int tag, gdn_message *m, bool *found, gdn_error *err);

/* The same, whenever it comes; m->bytes is NULL on failure. */
gdn_status gdn_ranks_wait(int tag, gdn_message *m, gdn_error *err);

/* Sleep for about a millisecond: between two looks at what has come. */
void gdn_ranks_pause(void);

/* A rank is lost, or this one cannot say what others wait for: gdn_ranks_end() ends them all at once. */
void gdn_ranks_break(void);
bool gdn_ranks_broken(void);

/* The last thing a process does; returns the status that it exits with. */
gdn_status gdn_ranks_end(gdn_status status);

#endif
