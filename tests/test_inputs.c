/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_inputs -- the synthetic tensors: the generator against published answers, the quantile table against
 * the normal distribution, values as functions of (seed, stream, head, index) alone, and each population
 * against its definition.
 *
 * Checksums of small blocks are pinned: whoever changes what any experiment was run on finds it here.
 */
#include "tests/gdn_test.h"

#include <xxhash.h>

#include "base/inputs.h"

enum { TABLE = 65536 };

/* Sum of the squared entries times 2^46; divided by 2^62 it is the variance of every normal input. */
static const uint64_t QUANTILE_SQUARES = 4611619853270465960;

static void init(void)
{
    gdn_error err = {""};
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
}

/* Philox 4x32-10, from kat_vectors of Random123: counter, key, answer. */
START_TEST(philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof kat[0]; i++) {
        const uint32_t *c = kat[i].counter, *k = kat[i].key;
        uint32_t out[4];
        gdn_random((uint64_t)k[1] << 32 | k[0], (gdn_stream)c[3], c[2], (uint64_t)c[1] << 32 | c[0], out);
        for (int j = 0; j < 4; j++)
            GDN_CHECK(out[j] == kat[i].answer[j], "vector %zu, word %d: %08x, not %08x", i, j, out[j],
                      kat[i].answer[j]);
    }
}
END_TEST

static double entry(int i)
{
    return gdn_bf16_to_float(gdn_quantile_table()[i]);
}

/* Symmetric to the bit, ascending, and the checksum that the header promises. */
START_TEST(quantiles_shape)
{
    init();
    const uint16_t *q = gdn_quantile_table();
    uint64_t sum = XXH3_64bits(q, TABLE * sizeof *q);
    GDN_CHECK(sum == GDN_QUANTILE_CHECKSUM, "checksum %016llx", (unsigned long long)sum);
    for (int i = 0; i < TABLE; i++) {
        GDN_CHECK((q[i] ^ q[TABLE - 1 - i]) == 0x8000, "entry %d: 0x%04x, mirror 0x%04x", i, q[i],
                  q[TABLE - 1 - i]);
        GDN_CHECK(i == 0 || entry(i - 1) <= entry(i), "entry %d: %a after %a", i, entry(i), entry(i - 1));
    }
}
END_TEST

/* P(N > z) */
static double upper_tail(double z)
{
    return erfc(z * 0x1.6a09e667f3bcdp-1) / 2;
}

/* The exact quantile of (i + 1/2) / 65536 lies in the interval of numbers that round to the entry. */
START_TEST(quantiles_are_normal)
{
    init();
    for (int i = 0; i < TABLE / 2; i++) {
        uint16_t h = gdn_quantile_table()[TABLE - 1 - i];
        double x = gdn_bf16_to_float(h), p = (i + 0.5) / TABLE;
        double below = (x + gdn_bf16_to_float((uint16_t)(h - 1))) / 2;
        double above = (x + gdn_bf16_to_float((uint16_t)(h + 1))) / 2;
        GDN_CHECK(upper_tail(above) <= p && p <= upper_tail(below),
                  "entry %d = %a: P(N > %a) = %a, P(N > %a) = %a, p %a", TABLE - 1 - i, x, above,
                  upper_tail(above), below, upper_tail(below), p);
    }
}
END_TEST

/*
 * Moments without rounding: entries are multiples of 2^-23 below 8, so squares summed as integers fit 64
 * bits. The mean is 0; the variance falls short of 1 by the tails beyond the outermost half cell and is off
 * by the rounding to bf16.
 */
START_TEST(quantile_moments)
{
    init();
    int64_t sum = 0;
    uint64_t squares = 0;
    for (int i = 0; i < TABLE; i++) {
        double scaled = entry(i) * 0x1p23;
        GDN_CHECK(scaled == rint(scaled), "entry %d = %a is no multiple of 2^-23", i, entry(i));
        int64_t m = (int64_t)scaled;
        sum += m;
        squares += (uint64_t)(m * m);
    }
    ck_assert_int_eq(sum, 0);
    double variance = (double)squares * 0x1p-62;
    GDN_CHECK(fabs(variance - 1) < 1e-4, "variance %.17g", variance);
    GDN_CHECK(squares == QUANTILE_SQUARES, "sum of squares x 2^46 = %llu", (unsigned long long)squares);
}
END_TEST

/* A value does not depend on where a draw starts or how long it is. */
START_TEST(normals_any_order)
{
    init();
    enum { LONG = 200 };
    const uint64_t base[] = {0, 5, (1ULL << 35) - 100, (1ULL << 63) - 101};
    for (int b = 0; b < 4; b++) {
        float all[LONG], some[LONG];
        gdn_normals(77, GDN_STREAM_V, 3, base[b], LONG, all);
        for (int from = 0; from < LONG; from += 1 + from / 40)
            for (int n = 1; from + n <= LONG; n += 1 + n / 3) {
                gdn_normals(77, GDN_STREAM_V, 3, base[b] + (uint64_t)from, n, some);
                GDN_CHECK(memcmp(some, all + from, (size_t)n * sizeof *some) == 0,
                          "index %llu + %d, %d values", (unsigned long long)base[b], from, n);
            }
    }
}
END_TEST

/* Element e is half e % 8 of the Philox block e / 8, low half first: the definition in the header, written
 * again. */
START_TEST(normals_definition)
{
    init();
    float x[64];
    gdn_normals(0x123456789abcdefULL, GDN_STREAM_K, 9, 1000, 64, x);
    for (uint64_t i = 0; i < 64; i++) {
        uint32_t r[4];
        gdn_random(0x123456789abcdefULL, GDN_STREAM_K, 9, (1000 + i) / 8, r);
        uint32_t word = r[(1000 + i) % 8 / 2], half = i % 2 ? word >> 16 : word & 0xffff;
        GDN_CHECK(x[i] == entry((int)half), "element %llu: %a, not %a", (unsigned long long)i, (double)x[i],
                  entry((int)half));
    }
}
END_TEST

/* Seed, stream and head each give other numbers. */
START_TEST(streams_differ)
{
    init();
    float x[4][64];
    gdn_normals(1, GDN_STREAM_Q, 0, 0, 64, x[0]);
    gdn_normals(2, GDN_STREAM_Q, 0, 0, 64, x[1]);
    gdn_normals(1, GDN_STREAM_K, 0, 0, 64, x[2]);
    gdn_normals(1, GDN_STREAM_Q, 1, 0, 64, x[3]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) {
            double dot = 0;
            for (int n = 0; n < 64; n++)
                dot += (double)x[i][n] * x[j][n];
            GDN_CHECK(fabs(dot) < gdn_tolerance.sigmas * 8, "draws %d and %d: product %a", j, i, dot);
        }
}
END_TEST

/* Fifty-two bits of the first two words, centred in their cell. */
START_TEST(uniform_definition)
{
    for (uint64_t i = 0; i < 1000; i++) {
        uint32_t r[4];
        gdn_random(5, GDN_STREAM_DT_BIAS, 2, i, r);
        double want = (r[0] * 0x1p20 + (double)(r[1] / 4096) + 0.5) * 0x1p-52;
        double got = gdn_uniform(5, GDN_STREAM_DT_BIAS, 2, i);
        GDN_CHECK(got == want, "u %llu = %a, not %a", (unsigned long long)i, got, want);
    }
}
END_TEST

START_TEST(uniform_moments)
{
    enum { N = 100000 };
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double u = gdn_uniform(3, GDN_STREAM_A_LOG, 0, (uint64_t)i);
        GDN_CHECK(u > 0 && u < 1, "u = %a", u);
        sum += u;
        squares += u * u;
    }
    double mean = sum / N, variance = squares / N - mean * mean;
    GDN_CHECK(fabs(mean - 0.5) < gdn_tolerance.sigmas * sqrt(1.0 / 12 / N), "mean %a", mean);
    GDN_CHECK(fabs(variance - 1.0 / 12) < gdn_tolerance.sigmas * sqrt(1.0 / 180 / N), "variance %a",
              variance);
}
END_TEST

/* The six arrays of a block. */
typedef struct block {
    gdn_shape shape;
    int tokens;
    float *x[6]; /* q, k, v, z, a, b */
} block;

static size_t row_width(const gdn_shape *s, int array)
{
    return array < 2 ? (size_t)s->dk : array < 4 ? (size_t)s->dv : 1;
}

static block fill(const gdn_input_spec *spec, gdn_shape shape, uint32_t head0, int64_t first, int tokens)
{
    block b = {.shape = shape, .tokens = tokens};
    for (int i = 0; i < 6; i++)
        b.x[i] = gdn_test_alloc((size_t)shape.heads * (size_t)tokens * row_width(&shape, i), sizeof(float));
    gdn_inputs_fill(spec, &shape, 20240607, head0, first, tokens, b.x[0], b.x[1], b.x[2], b.x[3], b.x[4],
                    b.x[5]);
    return b;
}

static void drop(block *b)
{
    for (int i = 0; i < 6; i++)
        free(b->x[i]);
}

/* Row of array i (0 q, 1 k, 2 v, 3 z, 4 a, 5 b) of head h at token n of the block. */
static const float *row(const block *b, int i, int h, int n)
{
    return b->x[i] + ((size_t)h * (size_t)b->tokens + (size_t)n) * row_width(&b->shape, i);
}

static gdn_input_spec spec_of(gdn_keys keys)
{
    return (gdn_input_spec){.keys = keys,
                            .rank = 5,
                            .zipf_half_steps = 2,
                            .values = GDN_VALUES_RANDOM,
                            .a_mean = -0.5,
                            .a_scale = 1.5,
                            .b_mean = 0.25,
                            .b_scale = 1};
}

static const gdn_shape small = {.heads = 3, .dk = 12, .dv = 7};

/* Does `part`, of tokens t0 .. and heads h0 .. of `whole`, hold the same values? */
static void check_part(const block *whole, const block *part, int h0, int t0, const char *name)
{
    for (int i = 0; i < 6; i++)
        for (int h = 0; h < part->shape.heads; h++)
            for (int n = 0; n < part->tokens; n++) {
                const float *x = row(whole, i, h0 + h, t0 + n), *y = row(part, i, h, n);
                for (size_t j = 0; j < row_width(&small, i); j++)
                    GDN_CHECK(gdn_same(x[j], y[j]), "%s: array %d, head %d, token %d, %zu: %a, not %a", name,
                              i, h0 + h, t0 + n, j, (double)y[j], (double)x[j]);
            }
}

/* Blocks of tokens and batches of heads may be cut anywhere. */
START_TEST(fill_split)
{
    init();
    for (gdn_keys keys = 0; keys < GDN_KEYS_KINDS; keys++)
        for (gdn_values values = 0; values < GDN_VALUES_KINDS; values++) {
            gdn_input_spec spec = spec_of(keys);
            spec.values = values;
            block whole = fill(&spec, small, 4, 1, 11);
            for (int t = 0; t < 11; t++)
                for (int n = 1; t + n <= 11; n += 3) {
                    block part = fill(&spec, small, 4, 1 + t, n);
                    check_part(&whole, &part, 0, t, gdn_keys_names[keys]);
                    drop(&part);
                }
            for (int h = 0; h < 3; h++) {
                block part = fill(&spec, (gdn_shape){1, small.dk, small.dv}, 4 + (uint32_t)h, 1, 11);
                check_part(&whole, &part, h, 0, gdn_keys_names[keys]);
                drop(&part);
            }
            drop(&whole);
        }
}
END_TEST

/* With groups of r heads, value head h has the q and k of key head floor(h / r), and v, z, a, b of its own.
 */
START_TEST(groups)
{
    init();
    for (gdn_keys keys = 0; keys < GDN_KEYS_KINDS; keys++)
        for (int r = 1; r <= 4; r++) {
            gdn_input_spec plain = spec_of(keys), grouped = plain;
            grouped.group = r;
            block b = fill(&grouped, small, 7, 1, 5);
            for (int h = 0; h < small.heads; h++)
                for (int i = 0; i < 6; i++) {
                    uint32_t head = 7 + (uint32_t)h, key_head = head / (uint32_t)r;
                    block own =
                        fill(&plain, (gdn_shape){1, small.dk, small.dv}, i < 2 ? key_head : head, 1, 5);
                    GDN_CHECK(memcmp(row(&b, i, h, 0), row(&own, i, 0, 0),
                                     5 * row_width(&small, i) * sizeof(float)) == 0,
                              "%s, group %d: array %d of head %u", gdn_keys_names[keys], r, i, head);
                    drop(&own);
                }
            drop(&b);
        }
}
END_TEST

/* RN_bf16(scale N) from a stream of its own, row i of a head from element i dv on, whatever the batch. */
START_TEST(initial_state)
{
    init();
    double all[3 * 12 * 7], one[12 * 7];
    float n[12 * 7], v[12 * 7];
    gdn_initial_state(0.3, &small, 5, 2, all);
    for (int h = 0; h < 3; h++) {
        gdn_initial_state(0.3, &(gdn_shape){1, 12, 7}, 5, 2 + (uint32_t)h, one);
        gdn_normals(5, GDN_STREAM_INITIAL_STATE, 2 + (uint32_t)h, 0, 12 * 7, n);
        gdn_normals(5, GDN_STREAM_V, 2 + (uint32_t)h, 0, 12 * 7, v);
        GDN_CHECK(memcmp(n, v, sizeof n) != 0, "the state is drawn like v");
        for (int i = 0; i < 12 * 7; i++) {
            double want = gdn_round(&gdn_formats[GDN_BF16], 0.3 * n[i]);
            GDN_CHECK(gdn_same(all[h * 12 * 7 + i], want) && gdn_same(one[i], want),
                      "head %d, element %d: %a and %a, not %a", h, i, all[h * 12 * 7 + i], one[i], want);
        }
    }
}
END_TEST

/* An array that is not wanted changes nothing in the others. */
START_TEST(fill_skips_null)
{
    init();
    gdn_input_spec spec = spec_of(GDN_KEYS_ISOTROPIC);
    block all = fill(&spec, small, 0, 1, 6);
    for (int i = 0; i < 6; i++) {
        size_t n = 18 * row_width(&small, i);
        float *only[6] = {0};
        only[i] = gdn_test_alloc(n, sizeof(float));
        gdn_inputs_fill(&spec, &small, 20240607, 0, 1, 6, only[0], only[1], only[2], only[3], only[4],
                        only[5]);
        GDN_CHECK(memcmp(only[i], all.x[i], n * sizeof(float)) == 0, "array %d alone differs", i);
        free(only[i]);
    }
    drop(&all);
}
END_TEST

/* q, k, v, z are the streams themselves; a and b are RN_bf16(mean + scale N). */
START_TEST(isotropic_definition)
{
    init();
    gdn_input_spec spec = spec_of(GDN_KEYS_ISOTROPIC);
    block b = fill(&spec, small, 2, 9, 4);
    const gdn_stream stream[6] = {GDN_STREAM_Q, GDN_STREAM_K, GDN_STREAM_V,
                                  GDN_STREAM_Z, GDN_STREAM_A, GDN_STREAM_B};
    const double mean[6] = {0, 0, 0, 0, spec.a_mean, spec.b_mean},
                 scale[6] = {1, 1, 1, 1, spec.a_scale, spec.b_scale};
    for (int i = 0; i < 6; i++)
        for (int h = 0; h < small.heads; h++)
            for (int n = 0; n < 4; n++) {
                float want[12];
                size_t width = row_width(&small, i);
                gdn_normals(20240607, stream[i], 2 + (uint32_t)h, (uint64_t)(9 + n) * width, (int)width,
                            want);
                for (size_t j = 0; j < width; j++) {
                    double exact = mean[i] + scale[i] * want[j], got = row(&b, i, h, n)[j];
                    GDN_CHECK(got == gdn_round(&gdn_formats[GDN_BF16], exact),
                              "array %d, head %d, token %d, %zu: %a, %a", i, h, n, j, got, exact);
                }
            }
    drop(&b);
}
END_TEST

START_TEST(low_rank_definition)
{
    init();
    gdn_input_spec low = spec_of(GDN_KEYS_LOW_RANK), full = spec_of(GDN_KEYS_ISOTROPIC);
    for (low.rank = 1; low.rank <= small.dk; low.rank++) {
        block b = fill(&low, small, 0, 1, 5), iso = fill(&full, small, 0, 1, 5);
        for (int i = 0; i < 2; i++)
            for (int h = 0; h < small.heads; h++)
                for (int n = 0; n < 5; n++)
                    for (int j = 0; j < small.dk; j++) {
                        double x = row(&b, i, h, n)[j], want = j < low.rank ? row(&iso, i, h, n)[j] : 0;
                        GDN_CHECK(gdn_same(x, want), "rank %d, array %d, token %d, %d: %a", low.rank, i, n, j,
                                  x);
                    }
        drop(&b);
        drop(&iso);
    }
}
END_TEST

/* sum_j (-1)^|i & w_j| z_j over the first components of an isotropic key, in long double; d = 12. */
START_TEST(spread_definition)
{
    init();
    static const int w[] = {0, 1, 2, 4, 8, 3, 5, 6, 7, 9, 10, 11};
    gdn_input_spec spread = spec_of(GDN_KEYS_SPREAD), full = spec_of(GDN_KEYS_ISOTROPIC);
    ck_assert_int_eq(small.dk, sizeof w / sizeof *w);
    for (spread.rank = 1; spread.rank <= small.dk; spread.rank++) {
        block b = fill(&spread, small, 0, 1, 5), iso = fill(&full, small, 0, 1, 5);
        for (int i = 0; i < 2; i++)
            for (int h = 0; h < small.heads; h++)
                for (int n = 0; n < 5; n++)
                    for (int j = 0; j < small.dk; j++) {
                        long double want = 0, size = 0;
                        for (int m = 0; m < spread.rank; m++) {
                            long double z = row(&iso, i, h, n)[m];
                            want += __builtin_popcount((unsigned)(j & w[m])) % 2 ? -z : z;
                            size += fabsl(z);
                        }
                        double x = row(&b, i, h, n)[j];
                        GDN_CHECK(fabsl(x - want) <= 0x1p-20L * size,
                                  "rank %d, array %d, token %d, %d: %a, %La", spread.rank, i, n, j, x, want);
                    }
        drop(&b);
        drop(&iso);
    }
}
END_TEST

START_TEST(repeated_definition)
{
    init();
    gdn_input_spec spec = spec_of(GDN_KEYS_REPEATED);
    block b = fill(&spec, small, 0, 1, 9);
    size_t bytes = (size_t)small.dk * sizeof(float);
    for (int h = 0; h < small.heads; h++) {
        for (int n = 1; n < 9; n++) {
            GDN_CHECK(memcmp(row(&b, 1, h, n), row(&b, 1, h, 0), bytes) == 0, "head %d: key %d is another", h,
                      n);
            GDN_CHECK(memcmp(row(&b, 0, h, n), row(&b, 0, h, 0), bytes) != 0, "head %d: query %d is the same",
                      h, n);
        }
        GDN_CHECK(h == 0 || memcmp(row(&b, 1, h, 0), row(&b, 1, 0, 0), bytes) != 0,
                  "heads 0 and %d share keys", h);
    }
    drop(&b);
}
END_TEST

/* The key at t = 1 is the first axis; no later key has any part of it, to the bit; every query reads it. */
START_TEST(needle_definition)
{
    init();
    gdn_input_spec spec = spec_of(GDN_KEYS_NEEDLE);
    block b = fill(&spec, small, 0, 1, 50);
    for (int h = 0; h < small.heads; h++)
        for (int n = 0; n < 50; n++) {
            const float *q = row(&b, 0, h, n), *k = row(&b, 1, h, n);
            double others = 0;
            GDN_CHECK(k[0] == (n == 0 ? 1.0f : 0.0f) && q[0] == 1.0f, "token %d: k %a, q %a", n, (double)k[0],
                      (double)q[0]);
            for (int j = 1; j < small.dk; j++) {
                GDN_CHECK(q[j] == 0 && (n > 0 || k[j] == 0), "token %d, %d: k %a, q %a", n, j, (double)k[j],
                          (double)q[j]);
                others += fabs((double)k[j]);
            }
            GDN_CHECK(n == 0 || others > 0, "token %d: the key is zero", n);
        }
    drop(&b);
}
END_TEST

/* The axis of a one-hot row. */
static int hot(const float *x, int n)
{
    int axis = -1;
    for (int i = 0; i < n; i++) {
        GDN_CHECK(x[i] == 0 || (x[i] == 1 && axis < 0), "component %d is %a", i, (double)x[i]);
        axis = x[i] == 1 ? i : axis;
    }
    ck_assert_int_ge(axis, 0);
    return axis;
}

/* Each axis as often as its probability says, within 5 standard deviations of the binomial. */
static void check_counts(const int *count, const double *p, int n, int draws, const char *name)
{
    for (int i = 0; i < n; i++) {
        double mean = draws * p[i], sigma = sqrt(draws * p[i] * (1 - p[i]));
        GDN_CHECK(fabs(count[i] - mean) <= gdn_tolerance.sigmas * sigma,
                  "%s: axis %d drawn %d times, %a expected", name, i, count[i], mean);
    }
}

START_TEST(zipf_definition)
{
    init();
    enum { DK = 24, DRAWS = 40000 };
    gdn_input_spec spec = spec_of(GDN_KEYS_ZIPF);
    for (spec.zipf_half_steps = 0; spec.zipf_half_steps <= 4; spec.zipf_half_steps++) {
        block b = fill(&spec, (gdn_shape){1, DK, 1}, 0, 1, DRAWS);
        int keys[DK] = {0}, queries[DK] = {0};
        double p[DK], flat[DK], total = 0;
        for (int n = 0; n < DRAWS; n++) {
            keys[hot(row(&b, 1, 0, n), DK)]++;
            queries[hot(row(&b, 0, 0, n), DK)]++;
        }
        for (int i = 0; i < DK; i++)
            total += p[i] = pow(i + 1, -spec.zipf_half_steps / 2.0);
        for (int i = 0; i < DK; i++) {
            p[i] /= total;
            flat[i] = 1.0 / DK;
        }
        check_counts(keys, p, DK, DRAWS, "keys");
        check_counts(queries, flat, DK, DRAWS, "queries");
        drop(&b);
    }
}
END_TEST

START_TEST(coherent_values)
{
    init();
    gdn_input_spec spec = spec_of(GDN_KEYS_ISOTROPIC), random = spec;
    spec.values = GDN_VALUES_COHERENT;
    block b = fill(&spec, small, 0, 1, 9), r = fill(&random, small, 0, 1, 9);
    size_t bytes = (size_t)small.dv * sizeof(float);
    for (int h = 0; h < small.heads; h++)
        for (int n = 1; n < 9; n++) {
            GDN_CHECK(memcmp(row(&b, 2, h, n), row(&b, 2, h, 0), bytes) == 0, "head %d: value %d is another",
                      h, n);
            GDN_CHECK(memcmp(row(&r, 2, h, n), row(&r, 2, h, 0), bytes) != 0, "head %d: value %d is the same",
                      h, n);
        }
    for (int i = 0; i < 6; i++) {
        size_t n = 27 * row_width(&small, i) * sizeof(float);
        GDN_CHECK(i == 2 || memcmp(b.x[i], r.x[i], n) == 0, "coherent values change array %d", i);
    }
    drop(&b);
    drop(&r);
}
END_TEST

START_TEST(names)
{
    const char *const keys[] = {"isotropic", "low-rank", "repeated", "needle", "zipf", "low-rank-spread"};
    const char *const values[] = {"random", "coherent"};
    for (int i = 0; i < GDN_KEYS_KINDS; i++)
        ck_assert_str_eq(gdn_keys_names[i], keys[i]);
    for (int i = 0; i < GDN_VALUES_KINDS; i++)
        ck_assert_str_eq(gdn_values_names[i], values[i]);
}
END_TEST

/* XXH3-64 over q, k, v, z, a, b of 3 heads from head 7 on, 5 tokens from the first, dk = 12, dv = 7. */
static const struct {
    gdn_keys keys;
    gdn_values values;
    uint64_t sum;
} pinned[] = {
    {GDN_KEYS_ISOTROPIC, GDN_VALUES_RANDOM, 0x47b34012fa9c3937},
    {GDN_KEYS_LOW_RANK, GDN_VALUES_RANDOM, 0xca595b62a260c6ab},
    {GDN_KEYS_REPEATED, GDN_VALUES_RANDOM, 0xb24c72fac33bd8b2},
    {GDN_KEYS_NEEDLE, GDN_VALUES_RANDOM, 0x15ce310c03d75b0e},
    {GDN_KEYS_ZIPF, GDN_VALUES_RANDOM, 0xccd4845237a431b9},
    {GDN_KEYS_ISOTROPIC, GDN_VALUES_COHERENT, 0xed6bf08e9985b43d},
};

START_TEST(pinned_blocks)
{
    init();
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        gdn_input_spec spec = spec_of(pinned[i].keys);
        spec.values = pinned[i].values;
        block b = fill(&spec, small, 7, 1, 5);
        XXH3_state_t *state = XXH3_createState();
        XXH3_64bits_reset(state);
        for (int j = 0; j < 6; j++)
            XXH3_64bits_update(state, b.x[j], 15 * row_width(&small, j) * sizeof(float));
        uint64_t sum = XXH3_64bits_digest(state);
        XXH3_freeState(state);
        drop(&b);
        GDN_CHECK(sum == pinned[i].sum, "%s, %s: checksum 0x%016llx", gdn_keys_names[pinned[i].keys],
                  gdn_values_names[pinned[i].values], (unsigned long long)sum);
    }
}
END_TEST

GDN_TEST_MAIN("inputs", philox_known_answers, quantiles_shape, quantiles_are_normal, quantile_moments,
              normals_any_order, normals_definition, streams_differ, uniform_definition, uniform_moments,
              fill_split, groups, initial_state, fill_skips_null, isotropic_definition, low_rank_definition,
              spread_definition, repeated_definition, needle_definition, zipf_definition, coherent_values,
              names, pinned_blocks)
