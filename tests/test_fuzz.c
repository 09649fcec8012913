/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fuzz -- the fuzz targets on their seeds and on a fixed row of changes to them; `make fuzz` goes
 * further. A target that finds something aborts.
 */
#include "tests/gdn_test.h"

#include <dirent.h>

#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "tests/fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_index
int fuzz_index(const unsigned char *input, size_t n);
#include "tests/fuzz/fuzz_index.c"
#undef LLVMFuzzerTestOneInput

enum { ROOM = 4096, CHANGES = 1500 };

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

static void replay(int (*target)(const unsigned char *input, size_t n), const char *folder)
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
        size_t before = well_formed;
        target(seed.at, seed.n);
        GDN_CHECK(target != fuzz_safetensors ||
                      (well_formed == before) == (strcmp(entry->d_name, "zip") == 0),
                  "%s", path);
        for (int i = 0; i < CHANGES; i++) {
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

START_TEST(safetensors)
{
    replay(fuzz_safetensors, "tests/fuzz/seeds_safetensors");
}
END_TEST

START_TEST(indexes)
{
    replay(fuzz_index, "tests/fuzz/seeds_index");
}
END_TEST

GDN_TEST_MAIN("fuzz", safetensors, indexes)
