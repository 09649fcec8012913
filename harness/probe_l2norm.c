/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_l2norm -- claims C1, C2, C3 and C7: the L2 norm of q and k before the kernel (explicit) and in it
 * (folded), its conventions, and its order of sums.
 *
 *     explicit  q^ = bf16(q rstd), kept; then the kernel with no norm takes d^(-1/2) q^
 *     folded    the kernel takes q and does both
 *
 * Rows are normal numbers times 2^-(row mod 16), so that their norms go from 11 down to 3e-4, where eps is
 * seen.
 */
#include "base/engine.h"
#include "base/inputs.h"
#include "harness/probe.h"
#include "kernels/engines.h"
#include "kernels/norm.h"

#include <stdlib.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { D = 128, ROWS = 1000000, BLOCK = 1000, REPEATED = 100, HEADS = 16 };

static const gdn_recipe rounded = {.op = GDN_FP32, .qk = GDN_BF16, .input = GDN_BF16};
static const gdn_recipe kept_fp32 = {.op = GDN_FP32, .qk = GDN_FP32, .input = GDN_BF16};
static const gdn_recipe no_norm = {.op = GDN_FP32, .qk = GDN_BF16, .input = GDN_BF16, .l2norm = GDN_L2_NONE};

static void row_of(uint64_t i, float *x)
{
    gdn_normals(9, GDN_STREAM_Q, 0, i * D, D, x);
    for (int j = 0; j < D; j++)
        x[j] *= (float)gdn_power_of_two(-(int)(i % 16));
}

/* Orders of sum x_i^2 that a kernel may have instead of ours. */
static float in_sequence(const float *x)
{
    float s = 0;
    for (int i = 0; i < D; i++)
        s = gdn_fmaf(x[i], x[i], s);
    return s;
}

static float in_halves(const float *x)
{
    float s[D];
    for (int i = 0; i < D; i++)
        s[i] = x[i] * x[i];
    for (int n = D / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

static const struct {
    const char *name;
    float (*sum)(const float *x); /* NULL: ours */
    gdn_format_id qk;
} others[] = {{"another order: one term after the other", in_sequence, GDN_BF16},
              {"another order: halves folded", in_halves, GDN_BF16},
              {"folded and never rounded: decode kernels", NULL, GDN_FP32}};

/* Differences to the explicit design over a block of rows. */
typedef struct tally {
    int64_t fixed;  /* numbers of the folded design in the same order that differ, in bits */
    int64_t passed; /* of rows that pass a kernel without norm */
    int64_t numbers[COUNT(others)], rows[COUNT(others)];
    double squares[COUNT(others)], size, max_ulp[COUNT(others)];
} tally;

static int64_t differing(const float *x, const float *y)
{
    int64_t n = 0;
    for (int i = 0; i < D; i++)
        n += gdn_float_bits(x[i]) != gdn_float_bits(y[i]);
    return n;
}

static void compare(tally *t, int v, const float *x, const float *explicit)
{
    float y[D];
    if (others[v].sum) {
        float rstd = gdn_l2_rstd(GDN_FP32, GDN_MATH_PORTABLE, GDN_L2_SUM_EPS, D, others[v].sum(x));
        for (int j = 0; j < D; j++)
            y[j] = gdn_bf16_round(x[j] * rstd);
    } else {
        gdn_l2_norm(&kept_fp32, x, D, 1, y);
    }
    int64_t n = differing(y, explicit);
    t->numbers[v] += n;
    t->rows[v] += n > 0;
    for (int j = 0; j < D && n; j++) {
        double d = (double)y[j] - explicit[j];
        t->squares[v] += d * d;
        t->max_ulp[v] = fmax(t->max_ulp[v], fabs(d) / gdn_ulp(&gdn_formats[GDN_BF16], explicit[j]));
    }
}

static void block_of(int b, tally *t)
{
    const double scale = 1 / sqrt((double)D);
    for (uint64_t i = (uint64_t)b * BLOCK; i < ((uint64_t)b + 1) * BLOCK; i++) {
        float x[D], explicit[D], twice[D], folded[D], passed[D];
        row_of(i, x);
        gdn_l2_norm(&rounded, x, D, 1, explicit);
        gdn_l2_norm(&no_norm, explicit, D, scale, twice);
        gdn_l2_norm(&rounded, x, D, scale, folded);
        gdn_l2_norm(&no_norm, x, D, 1, passed);
        t->fixed += differing(twice, folded);
        t->passed += differing(passed, x);
        for (int j = 0; j < D; j++)
            t->size += (double)explicit[j] * explicit[j];
        for (int v = 0; v < COUNT(others); v++)
            compare(t, v, x, explicit);
    }
}

/* C1 and C7. Blocks are added up in order, so that threads change nothing. */
static gdn_status rows(const gdn_probe_sink *to, gdn_error *err)
{
    tally *t = gdn_calloc(ROWS / BLOCK, sizeof *t), sum = {0};
    if (!t)
        return gdn_no_memory(err, "rows to normalise");
#pragma omp parallel for schedule(dynamic, 1)
    for (int b = 0; b < ROWS / BLOCK; b++)
        block_of(b, &t[b]);
    for (int b = 0; b < ROWS / BLOCK; b++) {
        sum.fixed += t[b].fixed;
        sum.passed += t[b].passed;
        sum.size += t[b].size;
        for (int v = 0; v < COUNT(others); v++) {
            sum.numbers[v] += t[b].numbers[v];
            sum.rows[v] += t[b].rows[v];
            sum.squares[v] += t[b].squares[v];
            sum.max_ulp[v] = fmax(sum.max_ulp[v], t[b].max_ulp[v]);
        }
    }
    free(t);
    gdn_probe_put(to, "rows", ROWS, "rows", "explicit and folded; same order of sums");
    gdn_probe_put(to, "different_numbers", (double)sum.fixed, "numbers",
                  "explicit and folded; same order of sums");
    gdn_probe_put(to, "different_numbers", (double)sum.passed, "numbers",
                  "kernel without norm against its input");
    for (int v = 0; v < COUNT(others); v++) {
        gdn_probe_put(to, "different_number_share", (double)sum.numbers[v] / ((double)ROWS * D), "1", "%s",
                      others[v].name);
        gdn_probe_put(to, "different_row_share", (double)sum.rows[v] / ROWS, "1", "%s", others[v].name);
        gdn_probe_put(to, "relative_l2", sqrt(sum.squares[v] / sum.size), "1", "%s", others[v].name);
        gdn_probe_put(to, "max_ulp", sum.max_ulp[v], "ulp", "%s", others[v].name);
    }
    return GDN_OK;
}

/* C2: [T, H_k, d] normalised then repeated r times, and repeated then normalised. */
static void repeats(const gdn_probe_sink *to)
{
    for (int r = 1; r <= 4; r++) {
        int64_t different = 0;
        for (uint64_t t = 0; t < REPEATED; t++) {
            float x[HEADS][D], normed[HEADS][D], repeated[4 * HEADS][D], after[4 * HEADS][D];
            for (int h = 0; h < HEADS; h++) {
                row_of(t * HEADS + (uint64_t)h, x[h]);
                gdn_l2_norm(&rounded, x[h], D, 1, normed[h]);
            }
            for (int h = 0; h < r * HEADS; h++)
                memcpy(repeated[h], x[h / r], sizeof repeated[h]);
            for (int h = 0; h < r * HEADS; h++) {
                gdn_l2_norm(&rounded, repeated[h], D, 1, after[h]);
                different += differing(after[h], normed[h / r]);
            }
        }
        gdn_probe_put(to, "different_numbers", (double)different, "numbers",
                      "normalise and repeat; either order; r = %d", r);
    }
}

static double norm_of(const float *x)
{
    double s = 0;
    for (int i = 0; i < D; i++)
        s += (double)x[i] * x[i];
    return sqrt(s);
}

/* C3: the norm of what the conventions make of a row whose norm is given, in fp32. */
static void conventions(const gdn_probe_sink *to)
{
    static const double norms[] = {1, 1e-1, 1e-2, 1e-3, 1e-4};
    float direction[D];
    gdn_normals(9, GDN_STREAM_K, 0, 0, D, direction);
    double length = norm_of(direction);
    for (int i = 0; i < COUNT(norms); i++) {
        float x[D], y[D];
        double base = 0;
        for (int j = 0; j < D; j++)
            x[j] = (float)(direction[j] * (norms[i] / length));
        for (gdn_l2norm c = GDN_L2_SUM_EPS; c <= GDN_L2_MEAN_EPS; c++) {
            const gdn_recipe recipe = {.op = GDN_FP32, .qk = GDN_FP32, .input = GDN_FP32, .l2norm = c};
            gdn_l2_norm(&recipe, x, D, 1, y);
            double norm = norm_of(y);
            base = c == GDN_L2_SUM_EPS ? norm : base;
            gdn_probe_put(to, "norm", norm, "1", "%s; |x| = %g", gdn_l2norm_names[c], norms[i]);
            gdn_probe_put(to, "relative_difference", norm / base - 1, "1", "%s; |x| = %g",
                          gdn_l2norm_names[c], norms[i]);
        }
    }
}

/* q, k, v, a, b of one head: x + 0, TOKENS D, .. */
enum { TOKENS = 200, INPUTS = TOKENS * (3 * D + 2) };

static gdn_status run_rule(const gdn_recipe *recipe, const float *x, double *o, double *state, gdn_error *err)
{
    const double a_log = -2, dt_bias = -2;
    const gdn_engine *engine = gdn_recipe_engine(recipe);
    gdn_setup setup = {.shape = {1, D, D},
                       .params = {.decay = &a_log, .dt_bias = &dt_bias, .norm_weight = (double[D]){0}},
                       .ncolumns = D,
                       .recurrence = true,
                       .recipe = recipe};
    gdn_block in = {.first = 1,
                    .tokens = TOKENS,
                    .q = x,
                    .k = x + TOKENS * D,
                    .v = x + 2 * TOKENS * D,
                    .a = x + 3 * TOKENS * D,
                    .b = x + 3 * TOKENS * D + TOKENS};
    void *self = NULL;
    gdn_status status = engine->open(&self, &setup, err);
    if (!status)
        status = engine->advance(self, &in, &(gdn_outputs){.o = o}, err);
    if (!status)
        status = engine->read_state(self, state, NULL, err);
    if (self)
        engine->close(self);
    return status;
}

enum { OUTPUTS = TOKENS * D + D * D };

/* raw, normed: [INPUTS], q and k as they come and normalised; out: [2][OUTPUTS] */
static gdn_status compare_rules(const gdn_probe_sink *to, const float *raw, const float *normed, double *out,
                                gdn_error *err)
{
    static const struct {
        const char *name;
        gdn_algorithm algorithm;
    } forms[] = {{"recurrent", GDN_RECURRENT}, {"chunked", GDN_CHUNKED}};
    gdn_status status = GDN_OK;
    for (int f = 0; f < COUNT(forms) && !status; f++) {
        gdn_recipe folded = *gdn_recipe_by_name("chunk-bf16"), explicit;
        int64_t different = 0;
        folded.algorithm = forms[f].algorithm;
        explicit = folded;
        explicit.l2norm = GDN_L2_NONE;
        status = run_rule(&folded, raw, out, out + TOKENS * D, err);
        if (!status)
            status = run_rule(&explicit, normed, out + OUTPUTS, out + OUTPUTS + TOKENS * D, err);
        for (int i = 0; i < OUTPUTS; i++)
            different += gdn_bits64(out[i]) != gdn_bits64(out[OUTPUTS + i]);
        if (!status)
            gdn_probe_put(to, "different_numbers", (double)different, "numbers",
                          "explicit and folded; o and state; %s", forms[f].name);
    }
    return status;
}

/* C1 through the rule: o and the state of both designs, in bits. */
static gdn_status rules(const gdn_probe_sink *to, gdn_error *err)
{
    gdn_status status;
    float *raw = gdn_calloc(INPUTS, sizeof *raw), *normed = gdn_calloc(INPUTS, sizeof *normed);
    double *out = gdn_calloc(2 * OUTPUTS, sizeof *out);
    if (raw && normed && out) {
        gdn_normals(9, GDN_STREAM_V, 0, 0, INPUTS, raw);
        memcpy(normed, raw, INPUTS * sizeof *raw);
        for (int t = 0; t < 2 * TOKENS; t++)
            gdn_l2_norm(&rounded, raw + t * D, D, 1, normed + t * D);
        status = compare_rules(to, raw, normed, out, err);
    } else {
        status = gdn_no_memory(err, "a sequence");
    }
    free(raw);
    free(normed);
    free(out);
    return status;
}

gdn_status gdn_probe_l2norm_fold(const gdn_probe_sink *to, const char *file, gdn_error *err)
{
    (void)file;
    gdn_status status = gdn_inputs_init(err);
    if (!status)
        status = rows(to, err);
    if (status)
        return status;
    repeats(to);
    conventions(to);
    return rules(to, err);
}
