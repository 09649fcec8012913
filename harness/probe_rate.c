/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_rate -- claims A1, A9 and B1: what storage does to the rate A = exp(A_log), and to softplus(a +
 * dt_bias).
 *
 *     stored A_log:    A' / A - 1 = exp(d) - 1, d = RN(A_log) - A_log: x1, x2, x4 of storing A itself for
 *                      |A_log| in [1, 2), [2, 4), [4, 8)
 *     stored dt_bias:  softplus(x + d) / softplus(x) - 1, which is d itself for x << 0
 *
 * The true parameter is an fp32 number. Errors of rates come from the exact difference of logarithms.
 */
#include "base/inputs.h"
#include "harness/probe.h"
#include "kernels/portable.h"
#include "reference/dd_math.h"

/* exp(x) - 1. */
static double expm1_of(double x)
{
    gdn_dd e = gdn_dd_add_real(gdn_dd_exp(gdn_dd_pair(x, 0)), -1);
    return e.hi + e.lo;
}

/* A' / A - 1 where A_log rests, where A rests, and where -A rests. */
static double a_log_error(const gdn_format *f, double a_log)
{
    return expm1_of(gdn_round(f, a_log) - a_log);
}

static double a_error(const gdn_format *f, double a_log)
{
    gdn_dd a = gdn_dd_exp(gdn_dd_pair(a_log, 0));
    return (gdn_round(f, gdn_exp(a_log)) - a.hi - a.lo) / a.hi;
}

static double minus_a_error(const gdn_format *f, double a_log)
{
    gdn_dd a = gdn_dd_exp(gdn_dd_pair(a_log, 0));
    return (-gdn_round(f, -gdn_exp(a_log)) - a.hi - a.lo) / a.hi;
}

static const struct {
    const char *name;
    double (*error)(const gdn_format *, double a_log);
} stored[] = {{"A_log", a_log_error}, {"A", a_error}, {"-A", minus_a_error}};

static const struct {
    const char *name;
    double lo, hi;
    bool log_uniform;
} draws[] = {{"A uniform in 1..16", 1, 16, false},
             {"A uniform in 0.01..16", 0.01, 16, false},
             {"A log-uniform in 0.02..72", 0.02, 72, true}};

static const gdn_format_id formats[] = {GDN_BF16, GDN_FP32};

/* Binades of |x|, and all of them. */
static const struct {
    const char *name;
    double lo, hi;
} binades[] = {{"0..0.25", 0, 0.25}, {"0.25..0.5", 0.25, 0.5}, {"0.5..1", 0.5, 1},  {"1..2", 1, 2},
               {"2..4", 2, 4},       {"4..8", 4, 8},           {"all", 0, INFINITY}};

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { DRAWS = 50000 };

/* A_log of draw i: an fp32 number. */
static double draw_a_log(int d, int i)
{
    double u = gdn_uniform(2, GDN_STREAM_A_LOG, (uint32_t)d, (uint64_t)i);
    double lo = draws[d].lo, hi = draws[d].hi;
    return (float)(draws[d].log_uniform ? gdn_log(lo) + u * (gdn_log(hi) - gdn_log(lo))
                                        : gdn_log(lo + u * (hi - lo)));
}

static void rates(const gdn_probe_sink *to, int d, int s, gdn_format_id format)
{
    gdn_spread spread[COUNT(binades)] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double a_log = draw_a_log(d, i), size = fabs(a_log),
               error = stored[s].error(&gdn_formats[format], a_log);
        for (int b = 0; b < COUNT(binades); b++)
            if (size >= binades[b].lo && size < binades[b].hi)
                gdn_spread_add(&spread[b], error);
    }
    for (int b = 0; b < COUNT(binades); b++) {
        if (!spread[b].n)
            continue;
        gdn_probe_put(to, "max_relative_error", spread[b].max, "1", "%s stored in %s; %s; |A_log| in %s",
                      stored[s].name, gdn_formats[format].name, draws[d].name, binades[b].name);
        gdn_probe_put(to, "rms_relative_error", gdn_spread_rms(&spread[b]), "1",
                      "%s stored in %s; %s; |A_log| in %s", stored[s].name, gdn_formats[format].name,
                      draws[d].name, binades[b].name);
    }
}

/*
 * B1: g' / g of the whole gate in double-double, with the stored A_log and with the true one, against exp(d):
 * the largest difference, relative to exp(d) - 1.
 */
static void proportional(const gdn_probe_sink *to)
{
    enum { CHECKED = 1000 };
    gdn_spread off = {0};
    for (int i = 0; i < CHECKED; i++) {
        double a_log = draw_a_log(1, i), rests = gdn_round(&gdn_formats[GDN_BF16], a_log);
        double x = 8 * gdn_uniform(2, GDN_STREAM_DT_BIAS, 0, (uint64_t)i) - 6;
        gdn_dd s = gdn_dd_softplus(gdn_dd_pair(x, 0));
        gdn_dd g = gdn_dd_mul(gdn_dd_exp(gdn_dd_pair(a_log, 0)), s);
        gdn_dd changed = gdn_dd_mul(gdn_dd_exp(gdn_dd_pair(rests, 0)), s);
        gdn_dd ratio = gdn_dd_add_real(gdn_dd_div(changed, g), -1);
        double exact = expm1_of(rests - a_log);
        gdn_spread_add(&off, exact == 0 ? ratio.hi : (ratio.hi + ratio.lo) / exact - 1);
    }
    gdn_probe_put(to, "draws", (double)off.n, "draws", "g'/g - 1 against expm1(RN(A_log) - A_log)");
    gdn_probe_put(to, "max_deviation", off.max, "1", "g'/g - 1 against expm1(RN(A_log) - A_log)");
}

/* softplus(y) / softplus(x) - 1. */
static double softplus_error(double y, double x)
{
    gdn_dd s = gdn_dd_softplus(gdn_dd_pair(x, 0));
    gdn_dd d = gdn_dd_add(gdn_dd_softplus(gdn_dd_pair(y, 0)), gdn_dd_neg(s));
    return (d.hi + d.lo) / s.hi;
}

static void put_softplus(const gdn_probe_sink *to, const gdn_spread *s, const char *what,
                         gdn_format_id format, const char *binade)
{
    gdn_probe_put(to, "max_relative_error", s->max, "1", "%s in %s; dt_bias in %s", what,
                  gdn_formats[format].name, binade);
    gdn_probe_put(to, "rms_relative_error", gdn_spread_rms(s), "1", "%s in %s; dt_bias in %s", what,
                  gdn_formats[format].name, binade);
}

/* A9: dt_bias stored, a = 0; and beside it the input a ~ U(-2, 2) rounded at every token, dt_bias exact. */
static void biases(const gdn_probe_sink *to)
{
    static const struct {
        const char *name;
        double lo, hi;
    } ranges[] = {{"-16..-8", -16, -8},   {"-8..-4", -8, -4}, {"-4..-2", -4, -2}, {"-2..-1", -2, -1},
                  {"-1..-0.5", -1, -0.5}, {"0.5..1", 0.5, 1}, {"1..2", 1, 2},     {"2..4", 2, 4}};
    enum { EACH = 10000 };
    for (int f = 0; f < COUNT(formats); f++)
        for (int r = 0; r < COUNT(ranges); r++) {
            const gdn_format *format = &gdn_formats[formats[f]];
            gdn_spread bias = {0}, input = {0};
            for (int i = 0; i < EACH; i++) {
                double u = gdn_uniform(3, GDN_STREAM_DT_BIAS, (uint32_t)r, (uint64_t)i);
                double a = (float)(4 * gdn_uniform(3, GDN_STREAM_A, (uint32_t)r, (uint64_t)i) - 2);
                double x = (float)(ranges[r].lo + u * (ranges[r].hi - ranges[r].lo));
                gdn_spread_add(&bias, softplus_error(gdn_round(format, x), x));
                gdn_spread_add(&input, softplus_error(gdn_round(format, a) + x, a + x));
            }
            put_softplus(to, &bias, "softplus(dt_bias); dt_bias stored", formats[f], ranges[r].name);
            put_softplus(to, &input, "softplus(a + dt_bias); a rounded", formats[f], ranges[r].name);
        }
}

gdn_status gdn_probe_rate_error(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    (void)err;
    for (int f = 0; f < COUNT(formats); f++)
        for (int s = 0; s < COUNT(stored); s++)
            for (int d = 0; d < COUNT(draws); d++)
                rates(to, d, s, formats[f]);
    proportional(to);
    biases(to);
    return GDN_OK;
}
