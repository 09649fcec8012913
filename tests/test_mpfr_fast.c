/* SPDX-License-Identifier: Apache-2.0 */
/* test_mpfr_fast -- the MPFR form with deferred decay equals the literal one to its certificate. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "base/inputs.h"
#include "reference/gdn_mpfr.h"
#include "reference/gdn_mpfr_fast.h"

enum { H = 2, DK = 16, DV = 5, T = 96 };

/* Both forms round each operation to 113 bits; over T tokens of dot products of length DK they may part by
 * this. */
static const double CERTIFICATE = 0x1p-90;

typedef struct result {
    double o[H * T * DV], o_lo[H * T * DV], y[H * T * DV], y_lo[H * T * DV], ms[H * T], ms_lo[H * T];
    double state[H * DK * DV], state_lo[H * DK * DV];
} result;

static void run(const gdn_engine *engine, gdn_keys keys, const double *a_log, const float *g, int split,
                result *r)
{
    static float q[H * T * DK], k[H * T * DK], v[H * T * DV], z[H * T * DV], a[H * T], b[H * T];
    static const double dt_bias[H] = {-3, 1}, w[DV] = {1, 0.5, 2, -1, 0.75};
    const gdn_input_spec spec = {.keys = keys, .rank = 3, .zipf_half_steps = 2, .a_scale = 1, .b_scale = 1};
    const gdn_shape shape = {H, DK, DV};
    gdn_error err;
    void *e;
    gdn_setup setup = {.shape = shape,
                       .params = {.decay = a_log, .dt_bias = dt_bias, .norm_weight = w, .alpha = GDN_FP64},
                       .recurrence = true,
                       .precision = GDN_MPFR_PRECISION};
    ck_assert_msg(engine->open(&e, &setup, &err) == GDN_OK, "%s", err.text);
    for (int from = 0; from < T; from += split) {
        int n = T - from < split ? T - from : split;
        gdn_inputs_fill(&spec, &shape, 7, 0, from + 1, n, q, k, v, z, a, b);
        static result part;
        gdn_block in = {.first = from + 1,
                        .tokens = n,
                        .q = q,
                        .k = k,
                        .v = v,
                        .z = z,
                        .a = g ? NULL : a,
                        .g = g,
                        .b = b};
        gdn_outputs out = {.o = part.o,
                           .o_lo = part.o_lo,
                           .y = part.y,
                           .y_lo = part.y_lo,
                           .ms = part.ms,
                           .ms_lo = part.ms_lo};
        ck_assert_msg(engine->advance(e, &in, &out, &err) == GDN_OK, "%s", err.text);
        for (int h = 0; h < H; h++)
            for (int x = 0; x < n * DV; x++) {
                int to = (h * T + from) * DV + x, at = h * n * DV + x;
                r->o[to] = part.o[at];
                r->o_lo[to] = part.o_lo[at];
                r->y[to] = part.y[at];
                r->y_lo[to] = part.y_lo[at];
            }
    }
    ck_assert(engine->read_state(e, r->state, r->state_lo, &err) == GDN_OK);
    engine->close(e);
}

static double relative(const double *x, const double *x_lo, const double *y, const double *y_lo, int n)
{
    double dd = 0, rr = 0;
    for (int i = 0; i < n; i++) {
        double d = (x[i] - y[i]) + (x_lo[i] - y_lo[i]);
        dd += d * d;
        rr += y[i] * y[i];
    }
    return rr > 0 ? sqrt(dd / rr) : sqrt(dd);
}

static void agree(gdn_keys keys, const double *a_log, const float *g, int split)
{
    static result literal, fast;
    run(&gdn_mpfr_engine, keys, a_log, g, T, &literal);
    run(&gdn_mpfr_fast_engine, keys, a_log, g, split, &fast);
    double o = relative(fast.o, fast.o_lo, literal.o, literal.o_lo, H * T * DV),
           y = relative(fast.y, fast.y_lo, literal.y, literal.y_lo, H * T * DV),
           s = relative(fast.state, fast.state_lo, literal.state, literal.state_lo, H * DK * DV);
    ck_assert_msg(o <= CERTIFICATE && y <= CERTIFICATE && s <= CERTIFICATE, "%s: o %a, y %a, state %a",
                  gdn_keys_names[keys], o, y, s);
}

START_TEST(all_keys)
{
    static const double slow[H] = {-6, -8}, fast[H] = {4, 6};
    agree((gdn_keys)_i, slow, NULL, T);
    agree((gdn_keys)_i, fast, NULL, 7);
}
END_TEST

/* A gate of -inf clears the state: the scale starts over. One of 0 keeps it. */
START_TEST(clearing)
{
    static const double a_log[H] = {0, 0};
    static float g[H * T];
    for (int i = 0; i < H * T; i++)
        g[i] = i % 10 == 3 ? -INFINITY : i % 10 == 4 ? 0 : -0.125f;
    agree(GDN_KEYS_ISOTROPIC, a_log, g, T);
}
END_TEST

int main(void)
{
    gdn_error err;
    if (gdn_inputs_init(&err))
        return EXIT_FAILURE;
    Suite *s = suite_create("mpfr_fast");
    TCase *t = tcase_create("agreement");
    tcase_add_loop_test(t, all_keys, 0, GDN_KEYS_KINDS);
    tcase_add_test(t, clearing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
