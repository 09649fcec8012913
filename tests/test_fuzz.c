/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fuzz -- the fuzz targets on their seeds and on a fixed row of changes to them; `make fuzz` goes
 * further. A target that finds something aborts.
 */
#include "tests/gdn_test.h"

#include <dirent.h>

#define GDN_FUZZING /* its memory, which the targets here do without */
#include "tests/fuzz/sqlite_arena.h"

/* Each target is compiled under names of its own (Makefile). */
#define TARGET(name)                                                                                         \
    int fuzz_##name(const unsigned char *input, size_t n);                                                   \
    extern size_t fuzz_accepted_##name;
TARGET(safetensors)
TARGET(index)
TARGET(experiment)
TARGET(table)
TARGET(store)
#undef TARGET

enum { ROOM = 8192 };

typedef struct bytes {
    size_t n;
    unsigned char at[ROOM];
} bytes;

/* One change: bytes put in, taken out, overwritten by others of the text or by ones that JSON minds. */
static void change(bytes *b, uint64_t *random)
{
    static const unsigned char odd[] = "\0\xff\x80\"\\{}[],:-90 eEu";
    size_t at = gdn_test_random(random) % (b->n + 1), most = b->n - at;
    size_t n = 1 + gdn_test_random(random) % 8, from = gdn_test_random(random) % (b->n + 1);
    n = n < most ? n : most;
    switch (gdn_test_random(random) % 5) {
    case 0:
        memmove(b->at + at, b->at + at + n, b->n - at - n);
        b->n -= n;
        break;
    case 1:
        if (b->n + n > ROOM)
            break;
        memmove(b->at + at + n, b->at + at, b->n - at);
        b->n += n;
        break;
    case 2:
        n = n < b->n - from ? n : b->n - from;
        memmove(b->at + at, b->at + from, n);
        break;
    case 3:
        if (most)
            b->at[at] ^= (unsigned char)(1u << gdn_test_random(random) % 8);
        break;
    default:
        if (most)
            b->at[at] = odd[gdn_test_random(random) % (sizeof odd - 1)];
    }
}

/* The seeds of a folder, and so many changes of each. */
static void replay(int (*target)(const unsigned char *input, size_t n), const char *folder, int changes)
{
    const struct dirent *entry;
    int seeds = 0;
    DIR *d = opendir(folder);
    GDN_CHECK(d, "cannot list %s", folder);
    while ((entry = readdir(d))) {
        char path[512];
        bytes seed, b;
        uint64_t random = 6; /* for each: folders are listed in any order */
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *f = fopen(path, "rb");
        GDN_CHECK(f, "cannot read %s", path);
        seed.n = fread(seed.at, 1, ROOM, f);
        fclose(f);
        GDN_CHECK(seed.n > 0 && seed.n < ROOM, "%s: %zu bytes", path, seed.n);
        target(seed.at, seed.n);
        for (int i = 0; i < changes; i++) {
            b = seed;
            for (int k = 0; k <= i % 4; k++)
                change(&b, &random);
            target(b.at, b.n);
        }
        seeds++;
    }
    closedir(d);
    GDN_CHECK(seeds > 3, "%d seeds in %s", seeds, folder);
}

/*
 * Of the seeds so many are what they set out to be, and of their changes at least so many more: a target that
 * refuses all it sees finds nothing.
 */
#define REPLAY(name, good, changes, more)                                                                    \
    START_TEST(replay_##name)                                                                                \
    {                                                                                                        \
        replay(fuzz_##name, "tests/fuzz/seeds_" #name, 0);                                                   \
        ck_assert_uint_eq(fuzz_accepted_##name, good);                                                       \
        replay(fuzz_##name, "tests/fuzz/seeds_" #name, changes);                                             \
        ck_assert_uint_gt(fuzz_accepted_##name, 2 * (good) + (more));                                        \
    }                                                                                                        \
    END_TEST

REPLAY(safetensors, 8, 1500, 500)
REPLAY(index, 2, 1500, 500)
REPLAY(experiment, 5, 500, 20)
REPLAY(table, 10, 200, 200)
REPLAY(store, 8, 100, 200)

/* A record that claims 4 GiB has SQLite ask for 72 MB; refused by the arena, a damaged file would look like a
 * machine without memory. */
START_TEST(arena_gives_what_is_asked)
{
    static const int sizes[] = {1, 16, 1 << 20, ARENA_LARGE - 1, ARENA_LARGE, 72200000};
    unsigned char *p[2 * ARENA >> 20];
    enum { BLOCKS = sizeof p / sizeof p[0] }; /* of a MiB: twice what the arena holds */
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int k = 0; k < 2; k++) {
            ck_assert_ptr_nonnull(p[k] = arena_malloc(sizes[i]));
            ck_assert_int_ge(arena_size(p[k]), arena_round(sizes[i]));
            ck_assert_int_ge(arena_round(sizes[i]), sizes[i]);
            memset(p[k], k + 1, (size_t)arena_size(p[k]));
        }
        ck_assert_ptr_nonnull(p[0] = arena_realloc(p[0], arena_size(p[0]) + 1));
        for (int k = 0; k < 2; k++) {
            ck_assert(p[k][0] == k + 1 && p[k][sizes[i] - 1] == k + 1);
            arena_free(p[k]);
        }
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            ck_assert_ptr_nonnull(p[i] = arena_malloc(1 << 20));
            memset(p[i], i, 1 << 20);
        }
        for (int i = 0; i < BLOCKS; i++) {
            ck_assert(p[i][0] == i && p[i][(1 << 20) - 1] == i);
            arena_free(p[i]);
        }
    }
}
END_TEST

GDN_TEST_MAIN("fuzz", arena_gives_what_is_asked, replay_safetensors, replay_index, replay_experiment,
              replay_table, replay_store)
