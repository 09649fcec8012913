/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_gate -- claims X2, X3 and A3: what variants of the gate cost g = -exp(A_log) softplus(a + dt_bias).
 *
 * Softplus and g are compared with double-double values. Errors of log(1 + e^x) jump with x, so beside the
 * error at x stands the largest one within 1/2 of it; beside that at g the largest within g / 4.
 */
#include "base/inputs.h"
#include "harness/probe.h"
#include "kernels/gate.h"
#include "reference/dd_math.h"

static const gdn_format *const fp32 = &gdn_formats[GDN_FP32];

/* (x - exact) / exact. */
static double relative(double x, gdn_dd exact)
{
    return (x - exact.hi - exact.lo) / exact.hi;
}

static double softplus_error(gdn_softplus_variant variant, double x)
{
    return relative(gdn_gate_softplus(variant, fp32, x), gdn_dd_softplus(gdn_dd_pair(x, 0)));
}

static void softplus(const gdn_probe_sink *to)
{
    static const double at[] = {-4, -6, -8, -10, -12, -14, -16, -17, -20, 20.5};
    enum { POINTS = 1001 };
    for (gdn_softplus_variant v = 0; v < GDN_SOFTPLUS_VARIANTS; v++)
        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            gdn_spread near = {0};
            for (int j = 0; j < POINTS; j++)
                gdn_spread_add(&near,
                               softplus_error(v, (float)(at[i] - 0.5 + (double)j / (double)(POINTS - 1))));
            gdn_probe_put(to, "relative_error", softplus_error(v, at[i]), "1", "softplus %s; x = %g",
                          gdn_softplus_names[v], at[i]);
            gdn_probe_put(to, "max_relative_error_near", near.max, "1", "softplus %s; x = %g",
                          gdn_softplus_names[v], at[i]);
        }
}

/* g as it comes back from an alpha = exp(g) in fp32. */
static double log_of_alpha(double g)
{
    const gdn_recipe recipe = {.op = GDN_FP32};
    return gdn_gate_carried(&recipe, fp32, g);
}

static void carrier(const gdn_probe_sink *to)
{
    static const double at[] = {-1e-4, -1e-3, -1e-2, -0.1, -1, -10, -30};
    enum { POINTS = 1001 };
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        double g = (float)at[i], back = log_of_alpha(g);
        gdn_spread near = {0};
        for (int j = 0; j < POINTS; j++) {
            double x = (float)(g * (0.75 + 0.5 * (double)j / (double)(POINTS - 1)));
            gdn_spread_add(&near, (log_of_alpha(x) - x) / x);
        }
        gdn_probe_put(to, "relative_error", (back - g) / g, "1", "carrier alpha-log2; g = %g", at[i]);
        gdn_probe_put(to, "max_relative_error_near", near.max, "1", "carrier alpha-log2; g = %g", at[i]);
        gdn_probe_put(to, "g_back", back, "1", "carrier alpha-log2; g = %g", at[i]);
    }
}

/* Stored A_log, and the format in which exp(A_log) lies: that of the tensor unless it is upcast first. */
static const struct {
    const char *name;
    gdn_format_id stored, exp_a;
} evaluations[] = {
    {"bf16 A_log; eager exp in bf16", GDN_BF16, GDN_BF16},
    {"bf16 A_log; upcast first", GDN_BF16, GDN_FP32},
    {"fp32 A_log", GDN_FP32, GDN_FP32},
};

/*
 * Over draws A ~ U(0.02, 16), a ~ N(0, 1) and dt_bias = 1: error of g against the exact gate of the A_log
 * that is stored, sqrt(sum d^2 / sum g^2) and the largest |d / g|.
 */
static void rate(const gdn_probe_sink *to)
{
    enum { DRAWS = 100000 };
    for (size_t e = 0; e < sizeof evaluations / sizeof evaluations[0]; e++) {
        gdn_recipe recipe = {
            .op = GDN_FP32, .exp_a = evaluations[e].exp_a, .softplus = GDN_SOFTPLUS_TORCH, .beta = GDN_FP32};
        gdn_spread own = {0}, whole = {0}, size = {0};
        for (int i = 0; i < DRAWS; i++) {
            float a;
            double A = 0.02 + 15.98 * gdn_uniform(1, GDN_STREAM_A_LOG, 0, (uint64_t)i);
            double stored = gdn_round(&gdn_formats[evaluations[e].stored], (float)gdn_log(A));
            gdn_normals(1, GDN_STREAM_A, 0, (uint64_t)i, 1, &a);
            double got = gdn_gate_token(&recipe, GDN_FP64, gdn_gate_rate(&recipe, false, stored), 1, a).g;
            gdn_dd g = gdn_dd_neg(
                gdn_dd_mul(gdn_dd_exp(gdn_dd_pair(stored, 0)), gdn_dd_softplus(gdn_dd_two_sum(a, 1))));
            double error = relative(got, g);
            gdn_spread_add(&own, error);
            gdn_spread_add(&whole, error * g.hi);
            gdn_spread_add(&size, g.hi);
        }
        gdn_probe_put(to, "relative_l2", gdn_spread_rms(&whole) / gdn_spread_rms(&size), "1",
                      "g; A in 0.02..16; %s", evaluations[e].name);
        gdn_probe_put(to, "max_relative_error", own.max, "1", "g; A in 0.02..16; %s", evaluations[e].name);
    }
}

gdn_status gdn_probe_gate_functions(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    (void)err;
    softplus(to);
    carrier(to);
    rate(to);
    return GDN_OK;
}
