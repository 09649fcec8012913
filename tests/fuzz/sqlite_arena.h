/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_arena -- memory for SQLite in fuzz targets, several times as fast as what the sanitizers watch;
 * test_fuzz keeps to theirs. Blocks are powers of two with their head, freed ones are kept by size.
 */
#ifndef GDN_TESTS_FUZZ_SQLITE_ARENA_H
#define GDN_TESTS_FUZZ_SQLITE_ARENA_H

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#ifdef GDN_FUZZING

enum { ARENA = 1 << 26, ARENA_CLASSES = 27, ARENA_LARGE = 1 << 22 };

/* Before each block. */
typedef struct arena_head {
    size_t size; /* of the block */
    size_t own;  /* 1: from the arena */
} arena_head;

static struct {
    unsigned char at[ARENA] __attribute__((aligned(16)));
    size_t used;
    void *freed[ARENA_CLASSES]; /* each begins with a pointer to the next */
    void *spare; /* the largest block of malloc's that was freed: fresh ones cost page faults */
} arena;

static int arena_class(size_t n)
{
    int c = 5;
    while (((size_t)1 << c) < n + sizeof(arena_head))
        c++;
    return c;
}

/* What a request for n bytes is given. */
static int arena_round(int n)
{
    return n >= ARENA_LARGE ? (n + 7) & ~7
                            : (int)(((size_t)1 << arena_class((size_t)n)) - sizeof(arena_head));
}

/* Large blocks, and those that the arena has no room for, are malloc's: a fault of the arena's own would look
 * like a machine without memory. */
static void *arena_malloc(int n)
{
    arena_head head = {(size_t)arena_round(n), 1};
    size_t whole = head.size + sizeof head;
    unsigned char *p;
    int c = arena_class(head.size);
    if (n < ARENA_LARGE && (p = arena.freed[c])) {
        memcpy(&arena.freed[c], p, sizeof(void *));
        return p;
    }
    if (n < ARENA_LARGE && ARENA - arena.used >= whole) {
        p = arena.at + arena.used;
        arena.used += whole;
    } else if (arena.spare && ((arena_head *)arena.spare)[-1].size >= head.size) {
        p = arena.spare;
        arena.spare = NULL;
        return p;
    } else {
        head.own = 0;
        if (!(p = malloc(whole)))
            return NULL;
    }
    memcpy(p, &head, sizeof head);
    return p + sizeof head;
}

static int arena_size(void *p)
{
    return p ? (int)((arena_head *)p)[-1].size : 0;
}

static void arena_free(void *p)
{
    arena_head *head = (arena_head *)p - 1, *spare = arena.spare;
    int c = arena_class(head->size);
    if (!head->own) {
        if (!spare || spare[-1].size < head->size) {
            arena.spare = p;
            head = spare ? spare - 1 : NULL;
        }
        free(head);
        return;
    }
    memcpy(p, &arena.freed[c], sizeof(void *));
    arena.freed[c] = p;
}

static void *arena_realloc(void *p, int n)
{
    if (n <= arena_size(p))
        return p;
    void *grown = arena_malloc(n);
    if (!grown)
        return NULL;
    memcpy(grown, p, (size_t)arena_size(p));
    arena_free(p);
    return grown;
}

static int arena_begin(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void arena_end(void *context)
{
    (void)context;
}

/* Before SQLite is first used. */
static inline void fuzz_sqlite_arena(void)
{
    static const sqlite3_mem_methods methods = {arena_malloc, arena_free,  arena_realloc, arena_size,
                                                arena_round,  arena_begin, arena_end,     NULL};
    FUZZ_CHECK(sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == SQLITE_OK &&
               sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK &&
               sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}

#else

static inline void fuzz_sqlite_arena(void)
{
}

#endif

#endif
