/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_init -- claims A12, X8 and D5: what drawing A and taking its logarithm in bf16 makes of A_log.
 *
 * Three models of uniform_(lo, hi):
 *
 *     cpu bf16   k 2^-8, k of 8 random bits; scaled in fp32, rounded to bf16. 256 values at most, each of
 *                probability 2^-8: U(0, 16) is 0 in 0.39 % of draws
 *     gpu bf16   u in (0, 1] of 32 bits; scaled in fp32, rounded to bf16, and hi becomes lo: U(0, 16) rounds
 *                to 16 from 16 - 1/32 on, so that 2^-9 = 0.20 % of draws are 0
 *     fp32       k 2^-24, k of 24 random bits
 *
 * torch 2.11 gave 0 in 0.41 % of draws on a CPU and 0.20 % on an H100. A_log = log A lies in the format of
 * the draw; log 0 = -inf is a head that never decays.
 */
#include "base/inputs.h"
#include "harness/probe.h"
#include "kernels/portable.h"

#include <stdlib.h>

enum { DRAWS = 1000000 };

static float cpu_bf16(const uint32_t *r, double lo, double hi)
{
    float u = (float)(r[0] & 0xff) * 0x1p-8f, from = gdn_bf16_to_float(gdn_float_to_bf16((float)lo));
    return gdn_bf16_to_float(gdn_float_to_bf16(u * ((float)hi - from) + from));
}

static float gpu_bf16(const uint32_t *r, double lo, double hi)
{
    float u = (float)(r[0] * 0x1p-32 + 0x1p-33), from = gdn_bf16_to_float(gdn_float_to_bf16((float)lo));
    float x = gdn_bf16_to_float(gdn_float_to_bf16(u * ((float)hi - from) + from));
    return x == (float)hi ? from : x;
}

static float fp32(const uint32_t *r, double lo, double hi)
{
    return (float)(r[0] >> 8) * 0x1p-24f * ((float)hi - (float)lo) + (float)lo;
}

static const struct {
    const char *name;
    float (*draw)(const uint32_t *r, double lo, double hi);
    gdn_format_id format;
} models[] = {{"cpu bf16", cpu_bf16, GDN_BF16}, {"gpu bf16", gpu_bf16, GDN_BF16}, {"fp32", fp32, GDN_FP32}};

static const struct {
    const char *name;
    double lo, hi;
} schemes[] = {{"0..16", 0, 16}, {"0.01..16", 0.01, 16}, {"1..16", 1, 16}};

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Different numbers in x[0..n), which is sorted. */
static int distinct_sorted(float *x, int n)
{
    int count = n > 0;
    qsort(x, (size_t)n, sizeof *x, by_value);
    for (int i = 1; i < n; i++)
        count += x[i] != x[i - 1];
    return count;
}

/* The same where the numbers are bf16 numbers: one flag a bit pattern. */
static int distinct_bf16(const float *x, int n)
{
    bool seen[65536] = {false};
    int count = 0;
    for (int i = 0; i < n; i++) {
        uint16_t h = gdn_float_to_bf16(x[i]);
        count += !seen[h];
        seen[h] = true;
    }
    return count;
}

static void population(const gdn_probe_sink *to, uint32_t s, int m, float *a_log)
{
    int dead = 0;
    double rate = 0, error = 0, mistaken = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint32_t r[4];
        gdn_random(5, GDN_STREAM_A_LOG, s, i, r);
        float a = models[m].draw(r, schemes[s].lo, schemes[s].hi);
        double log_a = a > 0 ? gdn_log(a) : -INFINITY;
        a_log[i] = (float)gdn_round(&gdn_formats[models[m].format], (float)log_a);
        double A = gdn_exp(a_log[i]);
        dead += A == 0;
        rate += A;
        mistaken += gdn_exp(a); /* A where A_log should be */
        error += a > 0 ? (A / a - 1) * (A / a - 1) : 0;
    }
    const char *name = models[m].name, *range = schemes[s].name;
    gdn_probe_put(to, "dead_share", dead / (double)DRAWS, "1", "A in %s; drawn in %s", range, name);
    gdn_probe_put(to, "mean_A", rate / DRAWS, "1", "A in %s; drawn in %s", range, name);
    gdn_probe_put(to, "rms_relative_error_of_A", sqrt(error / DRAWS), "1", "A in %s; drawn in %s", range,
                  name);
    gdn_probe_put(to, "mean_A", mistaken / DRAWS, "1", "A in %s; drawn in %s; A itself taken for A_log",
                  range, name);
    int count = models[m].format == GDN_BF16 ? distinct_bf16(a_log, DRAWS) : distinct_sorted(a_log, DRAWS);
    gdn_probe_put(to, "distinct_A_log", count, "values", "A in %s; drawn in %s", range, name);
}

gdn_status gdn_probe_init(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    float *a_log = gdn_calloc(DRAWS, sizeof *a_log);
    if (!a_log)
        return gdn_no_memory(err, "the draws of an init scheme");
    for (uint32_t s = 0; s < sizeof schemes / sizeof schemes[0]; s++)
        for (int m = 0; m < (int)(sizeof models / sizeof models[0]); m++)
            population(to, s, m, a_log);
    free(a_log);
    return GDN_OK;
}
