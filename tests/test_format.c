/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_format -- rounding into every format against MPFR, and stochastic rounding against its definition.
 *
 * The small formats are walked value by value with the ties between neighbours; the large ones are sampled,
 * ties and the traps of double rounding (a tie missed by one part in 2^52) made on purpose.
 */
#include "tests/gdn_test.h"

static const gdn_format *const bf16 = &gdn_formats[GDN_BF16];

/* The k-th smallest positive value of a format, k = 0 for zero; exact. */
static double nth_value(const gdn_format *f, uint64_t k)
{
    uint64_t half = 1ULL << (f->p - 1), binade = k / half;
    return binade == 0 ? ldexp((double)k, f->emin - f->p + 1)
                       : ldexp((double)(half + k % half), f->emin + (int)binade - f->p);
}

/* Number of positive finite values. */
static uint64_t finite_values(const gdn_format *f)
{
    uint64_t n = (uint64_t)(f->emax - f->emin + 2) << (f->p - 1);
    return nth_value(f, n - 1) > f->max ? n - 2 : n - 1;
}

static void check_round(gdn_oracle *o, double x)
{
    double got = gdn_round(o->f, x), want = gdn_oracle_round(o, x, MPFR_RNDN);
    GDN_CHECK(gdn_same(got, want), "%s: round(%a) = %a, MPFR %a", o->f->name, x, got, want);
}

/* x, its neighbours among the doubles, and their negatives. */
static void check_around(gdn_oracle *o, double x)
{
    const double near[] = {x, nextafter(x, 0), nextafter(x, INFINITY)};
    for (int i = 0; i < 3; i++) {
        check_round(o, near[i]);
        check_round(o, -near[i]);
    }
}

/* The k-th value stays; the tie above it and what lies near that tie round as in MPFR. */
static void check_value(gdn_oracle *o, uint64_t k)
{
    double x = nth_value(o->f, k), above = nth_value(o->f, k + 1), tie = x + (above - x) / 2;
    GDN_CHECK(gdn_same(gdn_round(o->f, x), x), "%s: %a does not stay: %a", o->f->name, x, gdn_round(o->f, x));
    GDN_CHECK(gdn_ulp(o->f, x) == above - x, "%s: ulp(%a) = %a, not %a", o->f->name, x, gdn_ulp(o->f, x),
              above - x);
    check_around(o, x);
    check_around(o, tie);
    check_around(o, x + (above - x) / 4);
}

START_TEST(table)
{
    const double smallest[GDN_FORMATS] = {0x1p-1074, 0x1p-149, 0x1p-136, 0x1p-24, 0x1p-133, 0x1p-9, 0x1p-16};
    for (int i = 0; i < GDN_FORMATS; i++) {
        const gdn_format *f = &gdn_formats[i];
        ck_assert_ptr_eq(gdn_format_by_name(f->name), f);
        GDN_CHECK(gdn_ulp(f, 0) == smallest[i], "%s: smallest %a", f->name, gdn_ulp(f, 0));
        GDN_CHECK(gdn_round(f, f->max) == f->max, "%s: max %a does not stay", f->name, f->max);
        GDN_CHECK(gdn_ulp(f, 1) == ldexp(1, 1 - f->p), "%s: ulp(1) = %a", f->name, gdn_ulp(f, 1));
        double full = ldexp(2 - ldexp(1, 1 - f->p), f->emax),
               lost = f->has_infinity ? 0 : ldexp(1, f->emax - f->p + 1);
        GDN_CHECK(f->max == full - lost, "%s: max %a, by p and emax %a", f->name, f->max, full - lost);
        int exponent_bits = 0;
        while (1 << exponent_bits < f->emax - f->emin + 2)
            exponent_bits++;
        ck_assert_int_eq(i == GDN_TF32 ? 19 : f->bits, 1 + exponent_bits + f->p - 1);
    }
    ck_assert_ptr_null(gdn_format_by_name("bf17"));
    ck_assert_ptr_null(gdn_format_by_name(""));
}
END_TEST

START_TEST(special_values)
{
    for (int i = 0; i < GDN_FORMATS; i++) {
        const gdn_format *f = &gdn_formats[i];
        double top = gdn_round(f, INFINITY);
        GDN_CHECK(gdn_same(top, f->has_infinity ? INFINITY : NAN), "%s: infinity becomes %a", f->name, top);
        GDN_CHECK(gdn_same(gdn_round(f, -INFINITY), -top), "%s: -infinity", f->name);
        GDN_CHECK(isnan(gdn_round(f, NAN)), "%s: NaN becomes %a", f->name, gdn_round(f, NAN));
        GDN_CHECK(isnan(gdn_round_stochastic(f, NAN, 77)), "%s: NaN, stochastic", f->name);
        GDN_CHECK(gdn_same(gdn_round_stochastic(f, INFINITY, 77), top), "%s: infinity, stochastic", f->name);
        GDN_CHECK(gdn_same(gdn_round(f, -0.0), -0.0) && gdn_same(gdn_round(f, 0.0), 0.0), "%s: zero",
                  f->name);
        GDN_CHECK(gdn_same(gdn_round_stochastic(f, -0.0, 0xffff), -0.0), "%s: -0, stochastic", f->name);
        if (i == GDN_FP64)
            continue;
        GDN_CHECK(gdn_same(gdn_round(f, 0x1.fffffffffffffp1023), top), "%s: largest double", f->name);
        GDN_CHECK(gdn_same(gdn_round(f, -0x1p-1074), -0.0), "%s: smallest double", f->name);
    }
}
END_TEST

/* e4m3 has no infinity: 464 is the tie between 448 and the 480 that would be next, and beyond it lies NaN. */
START_TEST(overflow)
{
    const gdn_format *e4m3 = &gdn_formats[GDN_E4M3];
    GDN_CHECK(gdn_round(e4m3, 464) == 448, "464 -> %a", gdn_round(e4m3, 464));
    GDN_CHECK(isnan(gdn_round(e4m3, nextafter(464, 500))), "above 464 -> %a",
              gdn_round(e4m3, nextafter(464, 500)));
    for (int i = GDN_FP32; i < GDN_FORMATS; i++) {
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[i]);
        double max = o.f->max, ulp = gdn_ulp(o.f, max);
        for (int n = 0; n <= 12; n++)
            check_around(&o, max + n * ulp / 4);
        const double far[] = {2 * max, 2 * max + 2 * ulp, 4 * max, 0x1p1000};
        for (size_t n = 0; n < sizeof far / sizeof far[0]; n++)
            check_around(&o, far[n]);
        gdn_oracle_close(&o);
    }
}
END_TEST

/* Every value of bf16, fp16, e4m3 and e5m2, every tie between two of them, and the doubles beside each. */
START_TEST(small_formats_exhaustive)
{
    const gdn_format_id small[] = {GDN_BF16, GDN_FP16, GDN_E4M3, GDN_E5M2};
    for (int i = 0; i < 4; i++) {
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[small[i]]);
        uint64_t n = finite_values(o.f);
        GDN_CHECK(nth_value(o.f, n) == o.f->max, "%s: the last value is %a", o.f->name, nth_value(o.f, n));
        for (uint64_t k = 0; k <= n; k++)
            check_value(&o, k);
        gdn_oracle_close(&o);
    }
}
END_TEST

/* Random doubles, and ties hit exactly or missed by 2^-k of an ulp, in every format. */
START_TEST(samples)
{
    uint64_t seed = 1;
    for (int i = GDN_FP32; i < GDN_FORMATS; i++) {
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[i]);
        const gdn_format *f = o.f;
        uint64_t n = finite_values(f);
        for (int s = 0; s < 200000; s++)
            check_round(&o, gdn_test_any(&seed, f->emin - f->p - 2, f->emax + 2));
        for (int s = 0; s < 50000; s++)
            check_value(&o, gdn_test_random(&seed) % n);
        for (int s = 0; s < 20000; s++) {
            double x = nth_value(f, gdn_test_random(&seed) % n), ulp = gdn_ulp(f, x);
            int k = 2 + s % (53 - f->p);
            check_round(&o, x + ulp / 2 + ldexp(ulp, -k));
            check_round(&o, -(x + ulp / 2 - ldexp(ulp, -k)));
        }
        gdn_oracle_close(&o);
    }
}
END_TEST

static void check_bf16(gdn_oracle *o, uint32_t bits)
{
    float x = gdn_bits_float(bits), got = gdn_bf16_to_float(gdn_float_to_bf16(x));
    double round = gdn_round(bf16, x), want = gdn_oracle_round(o, x, MPFR_RNDN);
    GDN_CHECK(gdn_same(got, want), "bf16(%a = 0x%08x) = %a, MPFR %a", x, bits, got, want);
    GDN_CHECK(gdn_same(round, want), "round(bf16, %a = 0x%08x) = %a, MPFR %a", x, bits, round, want);
}

/* Every bf16 value, every tie between neighbours, and the fp32 values beside both: 65,536 x 6 bit patterns.
 */
START_TEST(bf16_values_and_ties)
{
    const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    gdn_oracle o;
    gdn_oracle_open(&o, bf16);
    for (uint32_t h = 0; h < 65536; h++) {
        for (int i = 0; i < 6; i++)
            check_bf16(&o, h << 16 | low[i]);
        float x = gdn_bf16_to_float((uint16_t)h);
        GDN_CHECK(x != x || gdn_float_to_bf16(x) == h, "%a = bf16 0x%04x does not stay", x, h);
        GDN_CHECK(x == x || gdn_float_to_bf16(x) == (h | 0x40), "NaN 0x%04x becomes 0x%04x", h,
                  gdn_float_to_bf16(x));
    }
    gdn_oracle_close(&o);
}
END_TEST

/* 10^7 random fp32 bit patterns. */
START_TEST(bf16_random_patterns)
{
    gdn_oracle o;
    gdn_oracle_open(&o, bf16);
    uint64_t seed = 2;
    for (int i = 0; i < 5000000; i++) {
        uint64_t r = gdn_test_random(&seed);
        check_bf16(&o, (uint32_t)r);
        check_bf16(&o, (uint32_t)(r >> 32));
    }
    gdn_oracle_close(&o);
}
END_TEST

/* fp32 from double is the compiler's own conversion as well. */
START_TEST(fp32_is_the_cast)
{
    uint64_t seed = 3;
    for (int i = 0; i < 1000000; i++) {
        double x = gdn_test_any(&seed, -155, 130), got = gdn_round(&gdn_formats[GDN_FP32], x);
        GDN_CHECK(gdn_same(got, (float)x), "round(fp32, %a) = %a, cast %a", x, got, (double)(float)x);
    }
}
END_TEST

/* All 65,536 binary16 patterns by the definition of the encoding. */
START_TEST(fp16_decode)
{
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t size = h & 0x7fff;
        double want = size > 0x7c00    ? NAN
                      : size == 0x7c00 ? INFINITY
                                       : nth_value(&gdn_formats[GDN_FP16], size);
        want = h & 0x8000 ? -want : want;
        float got = gdn_fp16_to_float((uint16_t)h);
        GDN_CHECK(gdn_same(got, want), "fp16 0x%04x = %a, not %a", h, got, want);
        GDN_CHECK(gdn_same(gdn_round(&gdn_formats[GDN_FP16], got), got), "fp16 0x%04x = %a does not stay", h,
                  got);
    }
}
END_TEST

/* Values of the format stay for every random number. */
START_TEST(stochastic_representable_stays)
{
    const uint32_t rs[] = {0, 1, 0x7fff, 0x8000, 0xffff};
    uint64_t seed = 4;
    for (int i = 0; i < GDN_FORMATS; i++) {
        const gdn_format *f = &gdn_formats[i];
        uint64_t n = i == GDN_FP64 ? 1 : finite_values(f), draws = n < 40000 ? n + 1 : 40000;
        for (uint64_t s = 0; s < draws; s++) {
            double x = i == GDN_FP64    ? gdn_test_any(&seed, -1000, 1000)
                       : draws == n + 1 ? nth_value(f, s)
                                        : nth_value(f, gdn_test_random(&seed) % (n + 1));
            for (int j = 0; j < 5; j++) {
                double y = gdn_round_stochastic(f, x, rs[j]), minus = gdn_round_stochastic(f, -x, rs[j]);
                GDN_CHECK(gdn_same(x, y) && gdn_same(-x, minus), "%s: %a, r = 0x%x: %a", f->name, x, rs[j],
                          y);
            }
        }
    }
}
END_TEST

/*
 * x over all 65,536 random numbers: only the two neighbours that MPFR finds occur, the larger one exactly
 * `ups` times, and more random never means less rounding up.
 */
static void check_stochastic(gdn_oracle *o, double x, uint32_t ups)
{
    double down = gdn_oracle_round(o, x, MPFR_RNDZ), up = gdn_oracle_round(o, x, MPFR_RNDA);
    for (uint32_t r = 0; r < 65536; r++) {
        double y = gdn_round_stochastic(o->f, x, r), want = r >= 65536 - ups ? up : down;
        GDN_CHECK(gdn_same(y, want), "%s: stochastic(%a, r = 0x%04x) = %a, not %a; %u of 65536 go up",
                  o->f->name, x, r, y, want, ups);
    }
}

/* fp32 to bf16: the count of round-ups is the discarded sixteen bits, subnormals and the overflow end
 * included. */
START_TEST(stochastic_bf16_count)
{
    const uint32_t chosen[] = {0x00000001, 0x0000ffff, 0x00018000, 0x007fffff, 0x3f80ffff, 0xbf808001,
                               0x3f7f0001, 0x7f7f0001, 0x7f7f8000, 0x7f7fffff, 0xff7fc000};
    gdn_oracle o;
    gdn_oracle_open(&o, bf16);
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++)
        check_stochastic(&o, gdn_bits_float(chosen[i]), chosen[i] & 0xffff);
    uint64_t seed = 5;
    for (int i = 0; i < 200; i++) {
        uint32_t bits = (uint32_t)gdn_test_random(&seed);
        if ((bits & 0x7f800000) != 0x7f800000)
            check_stochastic(&o, gdn_bits_float(bits), bits & 0xffff);
    }
    gdn_oracle_close(&o);
}
END_TEST

/* Every format, from double: floor(2^16 fraction) round-ups, since r runs over the multiples of 2^-16. */
START_TEST(stochastic_count)
{
    uint64_t seed = 6;
    for (int i = GDN_FP32; i < GDN_FORMATS; i++) {
        gdn_oracle o;
        gdn_oracle_open(&o, &gdn_formats[i]);
        for (int s = 0; s < 60; s++) {
            double x = gdn_test_any(&seed, o.f->emin - o.f->p, o.f->emax - 1);
            if (s % 20 == 0) /* on the way to infinity */
                x = o.f->max + gdn_test_uniform(&seed, 0, 1) * gdn_ulp(o.f, o.f->max);
            double down = gdn_oracle_round(&o, x, MPFR_RNDZ);
            check_stochastic(&o, x, (uint32_t)floor(fabs(x - down) / gdn_ulp(o.f, x) * 65536));
        }
        gdn_oracle_close(&o);
    }
}
END_TEST

GDN_TEST_MAIN("format", table, special_values, overflow, small_formats_exhaustive, samples,
              bf16_values_and_ties, bf16_random_patterns, fp32_is_the_cast, fp16_decode,
              stochastic_representable_stays, stochastic_bf16_count, stochastic_count)
