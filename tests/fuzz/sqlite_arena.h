/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite_arena -- memory for SQLite in fuzz targets, several times as fast as what the sanitizers watch;
 * test_fuzz keeps to theirs. Blocks are powers of two, freed ones are kept by size.
 */
#ifndef GDN_TESTS_FUZZ_SQLITE_ARENA_H
#define GDN_TESTS_FUZZ_SQLITE_ARENA_H

#include <sqlite3.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#ifdef GDN_FUZZING

enum { ARENA = 1 << 26, ARENA_HEAD = 16, ARENA_CLASSES = 27 };

static struct {
    unsigned char at[ARENA] __attribute__((aligned(16)));
    size_t used;
    void *freed[ARENA_CLASSES]; /* each begins with a pointer to the next */
} arena;

static int arena_class(size_t n)
{
    int c = 5;
    while (((size_t)1 << c) < n + ARENA_HEAD)
        c++;
    return c;
}

static void *arena_malloc(int n)
{
    int c = arena_class((size_t)n);
    unsigned char *p;
    if (c >= ARENA_CLASSES)
        return NULL;
    if ((p = arena.freed[c])) {
        memcpy(&arena.freed[c], p, sizeof(void *));
        return p;
    }
    if (ARENA - arena.used < (size_t)1 << c)
        return NULL;
    p = arena.at + arena.used;
    arena.used += (size_t)1 << c;
    *p = (unsigned char)c;
    return p + ARENA_HEAD;
}

static int arena_size(void *p)
{
    return p ? (int)(((size_t)1 << ((unsigned char *)p)[-ARENA_HEAD]) - ARENA_HEAD) : 0;
}

static void arena_free(void *p)
{
    int c = ((unsigned char *)p)[-ARENA_HEAD];
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

static int arena_round(int n)
{
    return (int)(((size_t)1 << arena_class((size_t)n)) - ARENA_HEAD);
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
