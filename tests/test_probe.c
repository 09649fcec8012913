/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_probe -- every probe against numbers that were had another way: other people's measurements
 * (H100, torch), a pure Python emulation, closed forms, and the headers of the checkpoints in tests/golden
 * (or $GDN_GOLDEN). And probes.csv itself: its shape, what it quotes, what it refuses.
 */
#include "tests/gdn_test.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inputs.h"
#include "harness/contract.h"
#include "harness/probe.h"
#include "harness/table.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* Sampling noise: rms of 10,000 draws and more is good to 1 %, and Python's figures are rounded to 2 digits.
 */
static const double sampled = 0.02;

static gdn_error err;
static char scratch[64];

/* ---- scratch files ---- */

static const char *path_of(const char *name)
{
    static char paths[4][300];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", name);
}

static void make_scratch(void)
{
    ck_assert(gdn_test_scratch(scratch, sizeof scratch, "probe"));
}

static void remove_scratch(void)
{
    gdn_test_remove(scratch);
}

static const char *golden(const char *name)
{
    static char path[4096];
    const char *place = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", place ? place : "tests/golden", name);
    return path;
}

/* ---- running a probe ---- */

static gdn_table *lines;

/* Run a probe into `lines`. */
static gdn_status measure(const char *name, const char *file)
{
    char csv[] = "/tmp/gdn_test_probe_XXXXXX";
    const gdn_probe *probe = gdn_probe_by_name(name);
    GDN_CHECK(probe, "there is no probe %s", name);
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    FILE *f = fdopen(mkstemp(csv), "wb");
    GDN_CHECK(f, "cannot write %s", csv);
    fprintf(f, "probe,case_name,measure,value,unit\n");
    err.text[0] = 0;
    gdn_status status = probe->measure(&(gdn_probe_sink){f, name}, file, &err);
    fclose(f);
    gdn_table_free(lines);
    lines = NULL;
    if (!status)
        GDN_CHECK(gdn_table_read(csv, &lines, &err) == GDN_OK, "%s", err.text);
    unlink(csv);
    return status;
}

/* The one number of a case and measure. */
static double number(const char *case_name, const char *what)
{
    gdn_where where[] = {{1, case_name}, {2, what}};
    double x;
    size_t row = gdn_table_next(lines, 0, where, 2);
    GDN_CHECK(row < gdn_table_rows(lines), "no line '%s', %s", case_name, what);
    GDN_CHECK(gdn_table_next(lines, row + 1, where, 2) == gdn_table_rows(lines), "'%s', %s stands twice",
              case_name, what);
    GDN_CHECK(gdn_table_number(lines, row, 3, &x, &err) == GDN_OK, "%s", err.text);
    return x;
}

/* The same with the case put together. */
__attribute__((format(printf, 2, 3))) static double number_of(const char *what, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return number(text, what);
}

static void near(double x, double want, double tolerance, const char *what)
{
    GDN_CHECK(fabs(x - want) <= tolerance * fabs(want), "%s: %.9g, not %.9g to %g", what, x, want, tolerance);
}

/* ---- the probes ---- */

START_TEST(gate_functions)
{
    GDN_CHECK(measure("gate-functions", "") == GDN_OK, "%s", err.text);
    /* one digit by a Python emulation of fp32, and what FLA on an H100 had somewhere near */
    static const struct {
        double x;
        const char *digit;
        double fla;
    } want[] = {{-4, "2e-06", 0},     {-6, "1e-05", 1e-5},  {-8, "2e-05", 2e-4},
                {-10, "4e-04", 2e-3}, {-12, "9e-03", 2e-2}, {-14, "4e-03", 9e-2},
                {-16, "6e-02", 0.7},  {-17, "1e+00", 1},    {-20, "1e+00", 1}};
    for (int i = 0; i < COUNT(want); i++) {
        char digit[16];
        snprintf(digit, sizeof digit, "%.0e",
                 fabs(number_of("relative_error", "softplus log-exp; x = %g", want[i].x)));
        GDN_CHECK(strcmp(digit, want[i].digit) == 0, "softplus(%g): error %s, not %s", want[i].x, digit,
                  want[i].digit);
        double worst = number_of("max_relative_error_near", "softplus log-exp; x = %g", want[i].x);
        if (want[i].fla > 0)
            GDN_CHECK(worst < want[i].fla * gdn_tolerance.softplus_x2 &&
                          worst > want[i].fla / gdn_tolerance.softplus_x2,
                      "softplus near %g: %g, FLA had %g", want[i].x, worst, want[i].fla);
        /* two roundings of fp32 at most */
        double torch = number_of("max_relative_error_near", "softplus torch; x = %g", want[i].x);
        GDN_CHECK(torch < 2.1 * 0x1p-24, "torch's softplus near %g: %g", want[i].x, torch);
    }
    char digits[16];
    snprintf(digits, sizeof digits, "%.1e", number("carrier alpha-log2; g = -0.0001", "relative_error"));
    ck_assert_str_eq(digits, "2.2e-04");
    near(number("carrier alpha-log2; g = -30", "g_back"), log(1e-10 + exp(-30)), 1e-6, "the floor of g");
    const char *eager = "g; A in 0.02..16; bf16 A_log; eager exp in bf16";
    snprintf(digits, sizeof digits, "%.1e", number(eager, "relative_l2"));
    ck_assert_str_eq(digits, "1.4e-03");
    double most = number(eager, "max_relative_error");
    GDN_CHECK(most >= 3.5e-3 && most <= 0x1p-8, "eager exp: at most %g", most);
    double first = number("g; A in 0.02..16; bf16 A_log; upcast first", "relative_l2");
    GDN_CHECK(first <= 5.6e-8 && first > 1e-8, "upcast first: %g", first);
}
END_TEST

START_TEST(rate_error)
{
    GDN_CHECK(measure("rate-error", "") == GDN_OK, "%s", err.text);
    /* max error e^d - 1, d half an ulp: 0.391, 0.784, 1.575 %; x1, x2, x4 of A itself in bf16 */
    static const struct {
        const char *binade;
        double half_ulp, percent, factor;
    } want[] = {{"1..2", 0x1p-8, 0.391, 1}, {"2..4", 0x1p-7, 0.784, 2}, {"4..8", 0x1p-6, 1.575, 4}};
    for (int i = 0; i < COUNT(want); i++) {
        double worst =
            number_of("max_relative_error", "A_log stored in bf16; A log-uniform in 0.02..72; |A_log| in %s",
                      want[i].binade);
        double of_a = number_of("max_relative_error",
                                "A stored in bf16; A log-uniform in 0.02..72; |A_log| in %s", want[i].binade);
        GDN_CHECK(worst <= expm1(want[i].half_ulp), "%s: %g", want[i].binade, worst);
        near(100 * worst, want[i].percent, 0.01, want[i].binade);
        near(worst / of_a, want[i].factor, sampled, want[i].binade);
        double minus =
            number_of("max_relative_error", "-A stored in bf16; A log-uniform in 0.02..72; |A_log| in %s",
                      want[i].binade);
        GDN_CHECK(minus == of_a, "%s: -A %g, A %g", want[i].binade, minus, of_a);
    }
    near(number("A_log stored in bf16; A uniform in 1..16; |A_log| in all", "rms_relative_error"), 3.64e-3,
         sampled, "U(1, 16)");
    near(number("A_log stored in bf16; A uniform in 0.01..16; |A_log| in all", "rms_relative_error"), 3.58e-3,
         sampled, "U(0.01, 16)");
    double exact = number("A_log stored in fp32; A uniform in 1..16; |A_log| in all", "max_relative_error");
    GDN_CHECK(exact == 0, "the master itself: %g", exact);
    GDN_CHECK(number("g'/g - 1 against expm1(RN(A_log) - A_log)", "draws") == 1000, "draws");
    double off = number("g'/g - 1 against expm1(RN(A_log) - A_log)", "max_deviation");
    GDN_CHECK(off < 1e-12, "B1: %g", off);
    near(number("softplus(dt_bias); dt_bias stored in bf16; dt_bias in -16..-8", "max_relative_error"),
         0.0317, sampled, "dt_bias in [-16, -8)"); /* e^(2^-5) - 1 */
    near(number("softplus(dt_bias); dt_bias stored in bf16; dt_bias in -8..-4", "max_relative_error"), 0.0157,
         sampled, "dt_bias in [-8, -4)");
    double ones =
        number("softplus(dt_bias); dt_bias stored in bf16; dt_bias in 0.5..1", "max_relative_error");
    GDN_CHECK(ones < 0.002, "dt_bias in [0.5, 1): %g", ones);
}
END_TEST

START_TEST(norm_weight)
{
    static const struct {
        const char *range;
        double w, centred; /* rms relative error, Python */
    } want[] = {{"0.02..0.05", 1.65e-3, 3.63e-2}, {"0.05..0.25", 1.58e-3, 9.95e-3},
                {"0.25..0.5", 1.60e-3, 3.19e-3},  {"0.5..0.75", 1.84e-3, 9.2e-4},
                {"0.75..1.5", 1.69e-3, 3.0e-4},   {"1.5..2", 1.30e-3, 6.5e-4},
                {"2..3", 1.85e-3, 9.2e-4}};
    GDN_CHECK(measure("norm-weight", "") == GDN_OK, "%s", err.text);
    for (int i = 0; i < COUNT(want); i++) {
        near(number_of("rms_relative_error", "w stored in bf16; w in %s", want[i].range), want[i].w, sampled,
             want[i].range);
        near(number_of("rms_relative_error", "w - 1 stored in bf16; w in %s", want[i].range), want[i].centred,
             sampled, want[i].range);
    }
    const char *grid = "bf16 w in 2^-7..8 through bf16 w - 1";
    GDN_CHECK(number(grid, "values") == 1280 && number(grid, "inexact") == 642, "642 of 1280 are inexact");
    GDN_CHECK(number(grid, "largest_inexact") < 0.5, "all of them below 0.5");
}
END_TEST

START_TEST(init)
{
    GDN_CHECK(measure("init", "") == GDN_OK, "%s", err.text);
    static const struct {
        const char *model;
        double p; /* of A = 0 in U(0, 16); torch 2.11 had 0.41 % and 0.20 % */
    } want[] = {{"cpu bf16", 0x1p-8}, {"gpu bf16", 0x1p-9}, {"fp32", 0}};
    for (int i = 0; i < COUNT(want); i++) {
        double p = number_of("dead_share", "A in 0..16; drawn in %s", want[i].model);
        GDN_CHECK(fabs(p - want[i].p) <= gdn_tolerance.sigmas * sqrt(want[i].p / 1e6) + 1e-6,
                  "%s: share of dead heads %g", want[i].model, p);
        GDN_CHECK(number_of("dead_share", "A in 1..16; drawn in %s", want[i].model) == 0,
                  "A = 0 in U(1, 16)");
    }
    GDN_CHECK(number("A in 1..16; drawn in gpu bf16", "distinct_A_log") == 352, "352 values");
    GDN_CHECK(number("A in 1..16; drawn in cpu bf16", "distinct_A_log") <= 256, "8 random bits");
    GDN_CHECK(number("A in 1..16; drawn in fp32", "distinct_A_log") > 9e5, "fp32");
    double sigma = 15 / sqrt(12 * 1e6);
    near(number("A in 1..16; drawn in fp32", "mean_A"), 8.5, gdn_tolerance.sigmas * sigma / 8.5, "mean of A");
    near(number("A in 1..16; drawn in fp32; A itself taken for A_log", "mean_A"), (exp(16) - exp(1)) / 15,
         sampled, "mean of e^A");
}
END_TEST

START_TEST(chains)
{
    static const char *const coarse[] = {"fp32; Float16Module; upcast later",
                                         "MambaMixer: fp32 at construction; Float16Module",
                                         "fp32 at construction; bf16 checkpoint loaded into it"};
    GDN_CHECK(measure("chains", "") == GDN_OK, "%s", err.text);
    for (int i = 0; i < COUNT(coarse); i++) {
        GDN_CHECK(number(coarse[i], "bf16_value_share") == 1, "%s", coarse[i]);
        GDN_CHECK(number(coarse[i], "master_value_share") < 0.001, "%s", coarse[i]);
    }
    GDN_CHECK(number("fp32 throughout", "master_value_share") == 1, "fp32 throughout");
    GDN_CHECK(number("bf16 -> fp32 -> bf16", "numbers") == 65282 &&
                  number("bf16 -> fp32 -> bf16", "identical") == 65282,
              "every bf16 number comes back");
    GDN_CHECK(number("bf16 -> fp32 -> bf16", "still_nan") == 254, "every NaN stays one");
    GDN_CHECK(number("g; A_log.float().exp()", "changed_by_upcast_share") == 0, "upcast first");
    GDN_CHECK(number("g; A_log.exp() in the dtype of A_log", "changed_by_upcast_share") > 0.99, "eager");
    GDN_CHECK(number("g; A_log.exp() in the dtype of A_log", "max_relative_change") <= 0x1p-8, "eager");
    GDN_CHECK(number("y; norm output in the dtype of the weight", "changed_by_upcast_share") > 0.1, "y");
}
END_TEST

START_TEST(l2norm_fold)
{
    GDN_CHECK(measure("l2norm-fold", "") == GDN_OK, "%s", err.text);
    static const char *const same[] = {
        "explicit and folded; same order of sums", "kernel without norm against its input",
        "normalise and repeat; either order; r = 4", "explicit and folded; o and state; recurrent",
        "explicit and folded; o and state; chunked"};
    for (int i = 0; i < COUNT(same); i++)
        GDN_CHECK(number(same[i], "different_numbers") == 0, "%s: %g numbers differ", same[i],
                  number(same[i], "different_numbers"));
    GDN_CHECK(number(same[0], "rows") == 1e6, "rows");
    const char *order = "another order: one term after the other";
    double share = number(order, "different_number_share");
    GDN_CHECK(share > 0 && share < 1e-3 && number(order, "max_ulp") == 1, "%s: %g", order, share);
    /* rms of rounding to bf16: 1.65e-3 (predict.c) */
    near(number("folded and never rounded: decode kernels", "relative_l2"), 0.4247 * 0x1p-8, sampled, "bf16");
    for (double n = 1; n > 1e-5; n /= 10) {
        near(number_of("norm", "sum-eps; |x| = %g", n), n / sqrt(n * n + 1e-6), 1e-6, "sum-eps");
        near(number_of("norm", "max-eps; |x| = %g", n), 1, 1e-6, "max-eps");
        near(number_of("norm", "mean-eps; |x| = %g", n), n / sqrt(n * n + 128e-6), 1e-6, "mean-eps");
    }
}
END_TEST

START_TEST(memory)
{
    GDN_CHECK(measure("memory", "") == GDN_OK, "%s", err.text);
    const char *bytes = "bytes_per_token_and_layer";
    /* q^ and k^ of 16 heads of 128 in bf16 and their rstd; after the repeat 16 KiB; v 8 KiB; inverse 4 KiB */
    GDN_CHECK(number("explicit L2 norm; H_v = 32", bytes) == 8192 + 128 + 16384 + 8192 + 4096 + 128 + 64,
              "explicit");
    GDN_CHECK(number("explicit L2 norm; H_v = 32; q^ and k^ before the repeat", bytes) * 131072 == 1 << 30,
              "1 GiB at 131,072 tokens");
    for (int r = 1; r <= 4; r++) {
        double folded = number_of(bytes, "folded L2 norm; H_v = %d", 16 * r);
        double explicit = number_of(bytes, "explicit L2 norm; H_v = %d", 16 * r);
        double native = number_of(bytes, "folded; q and k unrepeated; H_v = %d", 16 * r);
        GDN_CHECK(explicit - folded == 8192 + 128 - 128 * r, "folding saves %g", explicit - folded);
        GDN_CHECK(folded - native == (8192 + 128) * (r - 1), "not repeating saves %g", folded - native);
    }
    GDN_CHECK(number("out_norm; bf16 weight; H_v = 32", bytes) == 8192 + 8192 + 128, "bf16 weight");
    GDN_CHECK(number("out_norm; fp32 weight; H_v = 32", bytes) == 16384 + 16384 + 128, "fp32 weight");
    GDN_CHECK(number("parameters in fp32; H_v = 32", "bytes_per_layer") == 4 * (32 + 32 + 128), "parameters");
}
END_TEST

START_TEST(operations)
{
    const double d = 128, chunk = 64;
    GDN_CHECK(measure("operations", "") == GDN_OK, "%s", err.text);
    /* 2 d^2 recall, write, read and d^2 decay, of 8 d^2 */
    GDN_CHECK(number("recurrent; Qwen3-Next-80B", "rule_ratio") == 0.875, "recurrent");
    near(number("chunked; Qwen3-Next-80B", "rule_ratio"),
         (3 * d * d + 5 * chunk * d + chunk * chunk / 3) / (4 * d * d), 0.01, "chunked");
    /* D = 2048, 12,352 rows of in_proj, 4 x 8,192 of the conv, D x 4,096 of out_proj, 4 x 32 x 128^2 */
    GDN_CHECK(number("chunked; Qwen3-Next-80B", "formula_layer_forward") ==
                  2.0 * (2048.0 * 12352 + 4.0 * 8192 + 4.0 * 32 * 128 * 128 + 2048.0 * 4096),
              "the formula");
    near(number("chunked; Qwen3-Next-80B", "layer_ratio"), 1.023, 0.002, "the layer");
}
END_TEST

START_TEST(routing)
{
    GDN_CHECK(measure("routing", "") == GDN_OK, "%s", err.text);
    GDN_CHECK(number("exact", "keys") >= 10000, "keys");
    GDN_CHECK(number("exact", "routed") == 6 * 64 * 2, "A_log and dt_bias under six prefixes of 64 layers");
    static const char *const none[] = {"routed_wrongly", "missed", "changed_by_round_trip", "not_idempotent"};
    for (int i = 0; i < COUNT(none); i++)
        GDN_CHECK(number("exact", none[i]) == 0, "%s", none[i]);
    GDN_CHECK(number("suffix under linear_attn", "changed_by_round_trip") == 0, "suffix");
    GDN_CHECK(number("suffix under linear_attn", "routed_wrongly") > 0, "foo_A_log");
    GDN_CHECK(number("suffix anywhere", "changed_by_round_trip") > 0, "self_attn.A_log");
}
END_TEST

START_TEST(keys)
{
    static const struct {
        const char *key;
        gdn_param param;
        const char *routed;
    } want[] = {
        {"model.layers.0.linear_attn.A_log", GDN_PARAM_A_LOG,
         "model.layers.0.linear_attn._fp32_params.A_log"},
        {"linear_attn.dt_bias", GDN_PARAM_DT_BIAS, "linear_attn._fp32_params.dt_bias"},
        {"model.layers.0.linear_attn.norm.weight", GDN_PARAM_NORM_WEIGHT, NULL},
        {"model.layers.0.linear_attn.foo_A_log", GDN_PARAMS, NULL},
        {"model.layers.0.linear_attn.A_log.weight", GDN_PARAMS, NULL},
        {"model.layers.0.my_linear_attn.A_log", GDN_PARAMS, NULL},
        {"model.layers.0.linear_attn.inner.A_log", GDN_PARAMS, NULL},
        {"model.layers.0.self_attn.A_log", GDN_PARAMS, NULL},
        {"", GDN_PARAMS, NULL},
    };
    char routed[128], back[128];
    for (int i = 0; i < COUNT(want); i++) {
        const char *key = want[i].key;
        GDN_CHECK(gdn_key_param(key) == want[i].param, "'%s': parameter %d", key, gdn_key_param(key));
        GDN_CHECK(gdn_key_route(GDN_ROUTE_EXACT, key, routed, sizeof routed), "'%s'", key);
        ck_assert_str_eq(routed, want[i].routed ? want[i].routed : key);
        GDN_CHECK(gdn_key_param(routed) == want[i].param, "'%s': parameter %d", routed,
                  gdn_key_param(routed));
        GDN_CHECK(gdn_key_strip(routed, back, sizeof back), "'%s'", routed);
        ck_assert_str_eq(back, key);
    }
    GDN_CHECK(!gdn_key_route(GDN_ROUTE_EXACT, want[0].key, routed, strlen(want[0].routed)), "one too small");
    GDN_CHECK(!gdn_key_strip(want[0].key, routed, strlen(want[0].key)), "one too small");
}
END_TEST

START_TEST(contracts)
{
    /* dtypes as the headers of the files have them; fp32 values with real low bits only in `mixed` */
    enum { ARGUED = GDN_PARAM_CONV };
    static const struct {
        const char *folder, *architecture;
        int fp32[ARGUED];
        double coarse[ARGUED]; /* share of bf16 values */
    } want[] = {
        {"hf_checkpoint_bf16", "Qwen3_5ForCausalLM", {0, 0, 0}, {1, 1, 1}},
        {"hf_checkpoint_mixed", "Qwen3_5ForCausalLM", {3, 0, 3}, {0, 1, 0}},
        {"hf_checkpoint_upcast", "Qwen3_5ForCausalLM", {3, 3, 3}, {1, 1, 1}},
        {"hf_checkpoint_qwen3_next", "Qwen3NextForCausalLM", {0, 0, 0}, {1, 1, 1}},
    };
    static const int values[ARGUED] = {12, 12, 48};
    for (int i = 0; i < COUNT(want); i++) {
        const char *folder = want[i].folder;
        GDN_CHECK(measure("contracts", golden(folder)) == GDN_OK, "%s", err.text);
        GDN_CHECK(number_of("under_contract", "%s; %s", folder, want[i].architecture) == 1, "%s", folder);
        for (int p = 0; p < ARGUED; p++) {
            const char *name = gdn_param_names[p];
            GDN_CHECK(number_of("tensors_fp32", "%s; %s", folder, name) == want[i].fp32[p] &&
                          number_of("tensors_bf16", "%s; %s", folder, name) == 3 - want[i].fp32[p],
                      "%s: dtypes of %s", folder, name);
            GDN_CHECK(number_of("values", "%s; %s", folder, name) == values[p], "%s: %s", folder, name);
            GDN_CHECK(number_of("bf16_value_share", "%s; %s", folder, name) == want[i].coarse[p],
                      "%s: bf16 values of %s", folder, name);
            GDN_CHECK(number_of("identical_share", "%s; %s; kept in fp32", folder, name) == 1, "%s: %s",
                      folder, name);
            GDN_CHECK(number_of("identical_share", "%s; %s; without the flag", folder, name) ==
                          want[i].coarse[p],
                      "%s: %s through bf16", folder, name);
        }
    }
    GDN_CHECK(gdn_contract_covers("Qwen3_5MoeForConditionalGeneration"), "MoE kin");
    GDN_CHECK(!gdn_contract_covers("Qwen3ForCausalLM") && !gdn_contract_covers(""), "others");
}
END_TEST

/* ---- what is refused ---- */

static void refused(const char *folder, const char *sentence)
{
    GDN_CHECK(measure("contracts", folder) == GDN_BAD_INPUT, "%s was taken", folder);
    GDN_CHECK(strstr(err.text, sentence), "'%s' is not in: %s", sentence, err.text);
    GDN_CHECK(!strchr(err.text, '\n'), "more than a line: %s", err.text);
}

START_TEST(bad_folders)
{
    make_scratch();
    char folder[80];
    snprintf(folder, sizeof folder, "%s", scratch);
    refused("/nowhere/at/all", "/nowhere/at/all: cannot be opened: No such file");
    refused(folder, "found no model.safetensors.index.json");
    write_text("config.json", "{\n \"architectures\": [\n");
    refused(folder, "config.json:3: is not JSON");
    write_text("config.json", "{\"architectures\": []}");
    refused(folder, "no model.safetensors");
    write_text("model.safetensors.index.json", "{\"weight_map\": {}}");
    refused(folder, "config.json: architectures names none");
    write_text("config.json", "{\"architectures\": [\"Qwen3_5ForCausalLM\"]}");
    write_text("model.safetensors.index.json", "{\"metadata\": {}}");
    refused(folder, "weight_map is missing");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../other.safetensors\"}}");
    refused(folder,
            "\"a\": found \"../other.safetensors\", allowed is the name of a file of the same folder");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": 3}}");
    refused(folder, "\"a\": allowed is the name of a file");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"not-there.safetensors\"}}");
    refused(folder, "not-there.safetensors");
    remove_scratch();
}
END_TEST

static gdn_experiment *load(const char *probes, gdn_status want)
{
    gdn_experiment *e = NULL;
    char text[512];
    snprintf(text, sizeof text, "experiment: p\nquestion: q\nprobes:\n%s", probes);
    write_text("p.yaml", text);
    err.text[0] = 0;
    gdn_status status = gdn_experiment_load(path_of("p.yaml"), &e, &err);
    GDN_CHECK(status == want, "status %d: %s", status, err.text);
    return e;
}

START_TEST(bad_experiments)
{
    make_scratch();
    load("  - name: no-such-probe\n", GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "p.yaml:4: probes/0/name: 'no-such-probe' is not a probe"), "%s", err.text);
    load("  - name: contracts\n", GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "p.yaml:4: probes/0: 'contracts' reads a file or folder"), "%s", err.text);
    load("  - name: init\n    file: x\n", GDN_BAD_INPUT);
    GDN_CHECK(strstr(err.text, "p.yaml:4: probes/0: 'init' reads no file"), "%s", err.text);
    gdn_experiment *e = load("  - name: memory\n  - name: contracts\n    file: gone\n", GDN_OK);
    GDN_CHECK(gdn_probes_run(e, scratch, &err) == GDN_BAD_INPUT, "a missing folder was taken");
    GDN_CHECK(strstr(err.text, "/gone: cannot be opened"), "%s", err.text);
    GDN_CHECK(access(path_of("probes.csv"), F_OK) != 0 && access(path_of("probes.csv.new"), F_OK) != 0,
              "half a file was left");
    gdn_experiment_free(e);
    remove_scratch();
}
END_TEST

/* ---- probes.csv ---- */

START_TEST(file_shape)
{
    static const char *const columns[] = {"probe", "case_name", "measure", "value", "unit"};
    make_scratch();
    gdn_table *t;
    gdn_experiment *e = load("  - name: norm-weight\n  - name: memory\n", GDN_OK);
    GDN_CHECK(gdn_probes_run(e, scratch, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_table_read(path_of("probes.csv"), &t, &err) == GDN_OK, "%s", err.text);
    ck_assert_uint_eq(gdn_table_columns(t), COUNT(columns));
    for (size_t i = 0; i < COUNT(columns); i++)
        ck_assert_str_eq(gdn_table_name(t, i), columns[i]);
    size_t rows = gdn_table_rows(t);
    ck_assert_str_eq(gdn_table_text(t, 0, 0), "norm-weight");
    ck_assert_str_eq(gdn_table_text(t, rows - 1, 0), "memory");
    for (size_t r = 0; r < rows; r++) {
        double x;
        GDN_CHECK(gdn_table_number(t, r, 3, &x, &err) == GDN_OK && isfinite(x), "row %zu", r);
        GDN_CHECK(*gdn_table_text(t, r, 1) && *gdn_table_text(t, r, 2) && *gdn_table_text(t, r, 4),
                  "row %zu has an empty field", r);
    }
    gdn_table_free(t);
    gdn_experiment_free(e);

    /* an experiment that has lost its probes loses their file */
    gdn_experiment none = {.file = &(gdn_experiment_file){.probes_count = 0}};
    GDN_CHECK(gdn_probes_run(&none, scratch, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(access(path_of("probes.csv"), F_OK) != 0, "probes.csv is still there");
    remove_scratch();
}
END_TEST

START_TEST(quoting)
{
    make_scratch();
    FILE *f = fopen(path_of("lines.csv"), "wb");
    gdn_table *t;
    double x;
    gdn_probe_sink to = {f, "p"};
    fprintf(f, "probe,case_name,measure,value,unit\n");
    gdn_probe_put(&to, "m", -0.1, "1", "a, \"b\" and %d", 7);
    gdn_probe_put(&to, "m", NAN, "1", "none");
    gdn_probe_put(&to, "m", -0.0, "1", "zero");
    fclose(f);
    GDN_CHECK(gdn_table_read(path_of("lines.csv"), &t, &err) == GDN_OK, "%s", err.text);
    ck_assert_str_eq(gdn_table_text(t, 0, 1), "a, \"b\" and 7");
    GDN_CHECK(gdn_table_number(t, 0, 3, &x, &err) == GDN_OK && x == -0.1, "%s", err.text);
    ck_assert_str_eq(gdn_table_text(t, 1, 3), "");
    ck_assert_str_eq(gdn_table_text(t, 2, 3), "0");
    gdn_table_free(t);
    remove_scratch();
}
END_TEST

/* The table: names are unique, and every row is whole. */
START_TEST(table)
{
    for (int i = 0; i < gdn_probe_count; i++) {
        GDN_CHECK(gdn_probes[i].summary && gdn_probes[i].measure, "probe %d", i);
        GDN_CHECK(gdn_probe_by_name(gdn_probes[i].name) == &gdn_probes[i], "%s stands twice",
                  gdn_probes[i].name);
    }
    GDN_CHECK(!gdn_probe_by_name("no-such-probe"), "an unknown name");
}
END_TEST

GDN_TEST_MAIN("probe", gate_functions, rate_error, norm_weight, init, chains, l2norm_fold, memory, operations,
              routing, keys, contracts, bad_folders, bad_experiments, file_shape, quoting, table)
