/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_audit -- what `gdnprec audit` says of checkpoints: those of tests/golden (or $GDN_GOLDEN), and made
 * ones whose values, names and errors are known in closed form. The program is $GDNPREC, by default
 * build/gdnprec.
 */
#include "tests/gdn_test.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/inputs.h"
#include "harness/audit.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

extern char **environ;

static char program[PATH_MAX], scratch[64];
static gdn_error err;

/* Libm's and the portable functions' errors in quotients of numbers near each other: 2^-52 / 2^-9, with room.
 */
static const double close_by = 1e-12;

/* ---- files ---- */

static const char *path_of(const char *name)
{
    static char paths[8][256];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

static void leave_scratch(void)
{
    gdn_test_remove(scratch);
}

static void enter_scratch(void)
{
    leave_scratch();
    ck_assert_int_eq(mkdir(scratch, 0777), 0);
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0, "cannot write %s", name);
}

static const char *golden(const char *name)
{
    static char path[PATH_MAX];
    const char *place = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", place ? place : "tests/golden", name);
    return path;
}

/* A safetensors file in the making. */
typedef struct made {
    json_t *header;
    unsigned char *data;
    size_t bytes;
} made;

static size_t encode(gdn_dtype dtype, double x, unsigned char *out)
{
    float f = (float)x;
    uint16_t h = 0;
    switch (dtype) {
    case GDN_DTYPE_F64:
        memcpy(out, &x, 8);
        return 8;
    case GDN_DTYPE_F32:
        memcpy(out, &f, 4);
        return 4;
    case GDN_DTYPE_BF16:
        h = gdn_float_to_bf16(f);
        break;
    case GDN_DTYPE_F16: /* whichever of the 65,536 it is */
        while (!(gdn_fp16_to_float(h) == f))
            h++;
        break;
    default:
        ck_abort_msg("dtype");
    }
    memcpy(out, &h, 2);
    return 2;
}

/* Add a tensor [n]. */
static void tensor(made *m, const char *name, gdn_dtype dtype, const double *x, int n)
{
    size_t from = m->bytes;
    m->header = m->header ? m->header : json_object();
    m->data = realloc(m->data, m->bytes + 8 * (size_t)n);
    for (int i = 0; i < n; i++)
        m->bytes += encode(dtype, x[i], m->data + m->bytes);
    json_object_set_new(m->header, name,
                        json_pack("{s:s, s:[i], s:[I, I]}", "dtype", gdn_dtype_name(dtype), "shape", n,
                                  "data_offsets", (json_int_t)from, (json_int_t)m->bytes));
}

#define TENSOR(m, name, dtype, ...)                                                                          \
    tensor(m, name, GDN_DTYPE_##dtype, (const double[]){__VA_ARGS__},                                        \
           (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

/* Write it as NAME in the scratch directory. */
static const char *finish(made *m, const char *name)
{
    char *header = json_dumps(m->header, JSON_COMPACT);
    uint64_t n = strlen(header);
    FILE *f = fopen(path_of(name), "wb");
    GDN_CHECK(f && fwrite(&n, 8, 1, f) == 1 && fwrite(header, 1, n, f) == n &&
                  fwrite(m->data, 1, m->bytes, f) == m->bytes && fclose(f) == 0,
              "cannot write %s", name);
    free(header);
    free(m->data);
    json_decref(m->header);
    *m = (made){0};
    return path_of(name);
}

/* ---- auditing ---- */

static const gdn_audit_settings usual = {0, 1, 262144};

static gdn_audit *audit_with(const char *path, const gdn_audit_settings *s)
{
    gdn_audit *x = NULL;
    GDN_CHECK(gdn_inputs_init(&err) == GDN_OK, "%s", err.text);
    gdn_status status = gdn_audit_open(path, s, &x, &err);
    GDN_CHECK(status == GDN_OK && x, "%s: %s", path, err.text);
    return x;
}

static gdn_audit *audit(const char *path)
{
    return audit_with(path, &usual);
}

static const gdn_audit_tensor *tensor_of(const gdn_audit *x, const char *name)
{
    for (size_t i = 0; i < x->tensors; i++)
        if (strcmp(x->tensor[i].tensor->name, name) == 0)
            return &x->tensor[i];
    ck_abort_msg("no tensor %s", name);
}

static const gdn_audit_head *head_of(const gdn_audit *x, int layer, int head)
{
    for (size_t i = 0; i < x->heads; i++)
        if (x->head[i].layer == layer && x->head[i].head == head)
            return &x->head[i];
    ck_abort_msg("no head %d of layer %d", head, layer);
}

/* Findings of a kind, all or those of a parameter; the last one goes to *last. */
static int findings(const gdn_audit *x, const char *kind, const char *parameter, json_t **last)
{
    size_t i;
    json_t *o;
    int n = 0;
    json_array_foreach(x->findings, i, o)
    {
        const char *p = json_string_value(json_object_get(o, "parameter"));
        if (strcmp(json_string_value(json_object_get(o, "kind")), kind) != 0 ||
            (parameter && (!p || strcmp(p, parameter) != 0)))
            continue;
        n++;
        if (last)
            *last = o;
    }
    return n;
}

static void says(const char *path, const char *name, const char *verdict)
{
    gdn_audit *x = audit(path);
    ck_assert_str_eq(gdn_audit_verdict_text(tensor_of(x, name)), verdict);
    gdn_audit_close(x);
}

static void close_to(double x, double want, double tolerance, const char *what)
{
    GDN_CHECK(fabs(x - want) <= tolerance * fabs(want), "%s: %.17g, not %.17g", what, x, want);
}

/* ---- golden checkpoints ---- */

/* Verdict of A_log, dt_bias and norm.weight in all three layers, and findings. */
static const struct {
    const char *name, *architecture, *verdict[3];
    int bf16_exact[3];
    int contract, release, upcast, load, near;
} goldens[] = {
    {"hf_checkpoint_bf16",
     "Qwen3_5ForCausalLM",
     {"stored in bf16", "stored in bf16", "stored in bf16"},
     {4, 4, 16},
     2,
     1,
     0,
     0,
     0},
    {"hf_checkpoint_mixed",
     "Qwen3_5ForCausalLM",
     {"genuine fp32", "stored in bf16", "genuine fp32"},
     {0, 4, 0},
     1,
     0,
     0,
     2,
     2},
    {"hf_checkpoint_upcast",
     "Qwen3_5ForCausalLM",
     {"upcast of bf16", "upcast of bf16", "upcast of bf16"},
     {4, 4, 16},
     0,
     0,
     3,
     0,
     0},
    {"hf_checkpoint_qwen3_next",
     "Qwen3NextForCausalLM",
     {"stored in bf16", "stored in bf16", "stored in bf16"},
     {4, 4, 16},
     2,
     0,
     0,
     0,
     0},
};

START_TEST(golden_four)
{
    static const char *const rest[] = {"A_log", "dt_bias", "norm.weight"};
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        gdn_audit *x = audit(golden(goldens[i].name));
        ck_assert_str_eq(x->checkpoint->architecture, goldens[i].architecture);
        ck_assert_int_eq(x->layers, 3);
        ck_assert_uint_eq(x->tensors, 12);
        ck_assert_uint_eq(x->heads, 12);
        ck_assert_int_eq(x->dk, 16);
        for (int layer = 0; layer < 3; layer++)
            for (int p = 0; p < 3; p++) {
                char name[80];
                snprintf(name, sizeof name, "model.layers.%d.linear_attn.%s", layer, rest[p]);
                const gdn_audit_tensor *t = tensor_of(x, name);
                ck_assert_str_eq(gdn_audit_verdict_text(t), goldens[i].verdict[p]);
                ck_assert_int_eq((int)t->bf16_exact, goldens[i].bf16_exact[p]);
                ck_assert_int_eq((int)t->count, p < 2 ? 4 : 16);
                ck_assert_int_eq(t->key.layer, layer);
            }
        const int found[] = {findings(x, "contract", NULL, NULL), findings(x, "release", NULL, NULL),
                             findings(x, "upcast", NULL, NULL), findings(x, "load", NULL, NULL),
                             findings(x, "near bf16", NULL, NULL)},
                  want[] = {goldens[i].contract, goldens[i].release, goldens[i].upcast, goldens[i].load,
                            goldens[i].near};
        int all = 0;
        for (int k = 0; k < 5; k++) {
            GDN_CHECK(found[k] == want[k], "%s: %d findings of kind %d", goldens[i].name, found[k], k);
            all += want[k];
        }
        ck_assert_int_eq((int)json_array_size(x->findings), all);
        gdn_audit_close(x);
    }
}
END_TEST

/* ---- names ---- */

START_TEST(megatron_names)
{
    made m = {0};
    TENSOR(&m, "decoder.layers.0.self_attention.A_log", F32, 0.7001, 1.3);
    TENSOR(&m, "decoder.layers.0.self_attention.dt_bias", F32, -3.1, -4.7);
    /* w = 1 + 2^-10, 1 + 2^-7, 0.3f, 0.25; as w the first, as w - 1 the third changes. w - 1 = -0.7 is off by
     * 2^-24 */
    TENSOR(&m, "decoder.layers.0.self_attention.out_norm.weight", F32, 0x1p-10, 0x1p-7, (double)0.3f - 1,
           -0.75);
    TENSOR(&m, "decoder.layers.0.self_attention.conv1d.weight", BF16, 0.5, 0.25);
    TENSOR(&m, "decoder.layers.1.self_attention.out_norm.weight", F32, 1); /* ordinary attention */
    gdn_audit *x = audit(finish(&m, "model.safetensors"));
    ck_assert_uint_eq(x->tensors, 4);
    ck_assert_int_eq(x->layers, 1);
    ck_assert_uint_eq(x->heads, 2);
    const gdn_audit_tensor *t = tensor_of(x, "decoder.layers.0.self_attention.out_norm.weight");
    ck_assert_int_eq(t->key.naming, GDN_NAMING_MEGATRON);
    double w[4] = {1 + 0x1p-10, 1 + 0x1p-7, 1 + (double)(float)((double)0.3f - 1), 0.25}, d[2][4], size2 = 0;
    for (int i = 0; i < 4; i++) {
        d[0][i] = (double)gdn_bf16_to_float(gdn_float_to_bf16((float)w[i])) - w[i];
        d[1][i] = (double)gdn_bf16_to_float(gdn_float_to_bf16((float)(w[i] - 1))) - (w[i] - 1);
        size2 += w[i] * w[i];
    }
    for (int way = 0; way < 2; way++) {
        double sum = 0;
        int changed = 0;
        for (int i = 0; i < 4; i++) {
            sum += d[way][i] * d[way][i];
            changed += d[way][i] != 0;
        }
        ck_assert_int_eq((int)t->weight.changed[way], changed);
        close_to(t->weight.rms[way], sqrt(sum / size2), close_by, "rms of a norm weight");
    }
    ck_assert_int_eq((int)t->weight.changed[GDN_AUDIT_W], 2);
    ck_assert_int_eq((int)t->weight.changed[GDN_AUDIT_W_LESS_1], 1);
    gdn_audit_close(x);
}
END_TEST

START_TEST(holder_names)
{
    made m = {0};
    TENSOR(&m, "model.language_model.layers.10.linear_attn._fp32_params.A_log", F32, 0.7001, 1.3);
    TENSOR(&m, "model.language_model.layers.10.linear_attn._fp32_params.dt_bias", F32, -3.1, -4.7);
    TENSOR(&m, "model.language_model.layers.10.linear_attn.norm.weight", BF16, 1, 2);
    TENSOR(&m, "model.language_model.layers.2.linear_attn.A_log", F32, 0.3001);
    TENSOR(&m, "model.language_model.layers.2.linear_attn._fp32_params.A_log", F32, 0.3001);
    TENSOR(&m, "model.language_model.layers.2.linear_attn.dt_bias", F32, -3.1);
    gdn_audit *x = audit(finish(&m, "model.safetensors"));
    ck_assert_int_eq(x->layers, 2);
    ck_assert_int_eq(x->layer[0].key->layer, 2);
    ck_assert_int_eq(x->layer[1].key->layer, 10);
    ck_assert_int_eq(x->layer[1].heads, 2);
    GDN_CHECK(x->numbered, "layers have numbers of their own");
    json_t *twice;
    ck_assert_int_eq(findings(x, "duplicate", "A_log", &twice), 1);
    ck_assert_int_eq((int)json_integer_value(json_array_get(json_object_get(twice, "layers"), 0)), 2);
    gdn_audit_close(x);
}
END_TEST

START_TEST(fla_names)
{
    made m = {0};
    TENSOR(&m, "model.layers.3.attn.A_log", F32, 0.7001, 1.3);
    TENSOR(&m, "model.layers.3.attn.dt_bias", F32, -3.1, -4.7);
    TENSOR(&m, "model.layers.3.attn.o_norm.weight", F32, 1.01, 0.99, 1);
    TENSOR(&m, "model.layers.3.attn.q_conv1d.weight", F32, 0.1);
    TENSOR(&m, "model.layers.3.attn.k_conv1d.weight", F32, 0.1);
    TENSOR(&m, "model.layers.3.attn.v_conv1d.weight", F32, 0.1);
    TENSOR(&m, "model.layers.4.attn.q_norm.weight", F32, 1); /* ordinary attention */
    TENSOR(&m, "model.layers.4.attn.o_norm.weight", F32, 1);
    gdn_audit *x = audit(finish(&m, "model.safetensors"));
    ck_assert_uint_eq(x->tensors, 6);
    ck_assert_int_eq(x->layers, 1);
    ck_assert_uint_eq(x->heads, 2);
    ck_assert_int_eq(x->dk, 3);
    ck_assert_int_eq(findings(x, "duplicate", NULL, NULL), 0);
    gdn_audit_close(x);
}
END_TEST

/* Mamba has an A_log too, and a name may end in one: no GDN layer, and the sentence says what was looked for.
 */
START_TEST(not_gdn)
{
    made m = {0};
    gdn_audit *x = (gdn_audit *)&m;
    TENSOR(&m, "backbone.layers.0.mixer.A_log", F32, 0.7001, 1.3);
    TENSOR(&m, "backbone.layers.0.mixer.dt_bias", F32, -3.1, -4.7);
    TENSOR(&m, "decoder.layers.1.self_attention.foo_A_log", F32, 1);
    TENSOR(&m, "model.layers.2.my_linear_attn.A_log", F32, 1);
    TENSOR(&m, "model.layers.3.attn.o_norm.weight", F32, 1);
    const char *path = finish(&m, "model.safetensors");
    ck_assert_int_eq(gdn_audit_open(path, &usual, &x, &err), GDN_BAD_INPUT);
    ck_assert_ptr_null(x);
    GDN_CHECK(strstr(err.text, "no Gated DeltaNet layer among 5 tensors") &&
                  strstr(err.text, "linear_attn.") && strstr(err.text, "self_attention.") &&
                  strstr(err.text, "attn. (FLA)"),
              "%s", err.text);
    TENSOR(&m, "backbone.layers.0.mixer.A_log", F32, 0.7001, 1.3);
    TENSOR(&m, "backbone.layers.0.mixer.dt_bias", F32, -3.1, -4.7);
    TENSOR(&m, "model.layers.2.linear_attn.A_log", F32, 1);
    x = audit(finish(&m, "model.safetensors"));
    ck_assert_uint_eq(x->tensors, 1);
    ck_assert_int_eq(findings(x, "incomplete", "dt_bias", NULL), 1);
    gdn_audit_close(x);
}
END_TEST

/* ---- verdicts ---- */

#define A_LOG "model.layers.0.linear_attn.A_log"
#define NORM "model.layers.0.linear_attn.norm.weight"

/* A file with one tensor. */
static const char *one(const char *name, gdn_dtype dtype, const double *x, int n)
{
    made m = {0};
    tensor(&m, name, dtype, x, n);
    return finish(&m, "model.safetensors");
}

#define SAYS(verdict, name, dtype, ...)                                                                      \
    says(one(name, GDN_DTYPE_##dtype, (const double[]){__VA_ARGS__},                                         \
             (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double))),                                 \
         name, verdict)

START_TEST(verdicts)
{
    double w[64];
    SAYS("genuine fp32", A_LOG, F32, 1, 1, 1, 1.0001);
    SAYS("upcast of bf16", A_LOG, F32, 1.0078125, 2.953125);
    SAYS("cannot tell", A_LOG, F32, 1.0078125, 1.0078125); /* one value, however often */
    SAYS("cannot tell", A_LOG, F32, 1, 1, 1, 1);           /* initial values */
    SAYS("cannot tell", A_LOG, F32, 0, -0.75, 4, 1024, 0.125, 1.5);
    SAYS("cannot tell", A_LOG, F32, NAN, INFINITY);
    SAYS("cannot tell", A_LOG, F32, -4.5, -5.5); /* on a coarse grid */
    SAYS("upcast of bf16", A_LOG, F32, -4.5, -5.5, -4.53125 - 0x1p-5 * 3, -5.53125);
    SAYS("upcast of bf16", A_LOG, F32, 1.0078125, 2.953125, -INFINITY, NAN);
    SAYS("upcast of fp16", A_LOG, F32, 1 + 0x1p-10, 2 + 0x1p-9, 3 + 0x1p-9);
    SAYS("genuine fp32", A_LOG, F32, 1 + 0x1p-10); /* one is on fp16's grid by chance with 2^-13 */
    SAYS("genuine fp32", A_LOG, F32, 1 + 0x1p-23);
    SAYS("genuine fp32", A_LOG, F64, 1 + 0x1p-23);
    SAYS("genuine fp64", A_LOG, F64, 1 + 0x1p-24);
    SAYS("upcast of bf16", A_LOG, F64, 1.0078125, 2.953125);
    SAYS("stored in bf16", A_LOG, BF16, 1, 1);
    SAYS("stored in fp16", A_LOG, F16, 1 + 0x1p-10, 2);
    /* w = 1 + a bf16 number: on no grid as w */
    uint64_t seed = 7;
    for (int i = 0; i < 64; i++)
        w[i] = 1 + (double)gdn_bf16_to_float(gdn_float_to_bf16((float)gdn_test_uniform(&seed, -0.1, 0.1)));
    for (int i = 0; i < 64; i++)
        GDN_CHECK((double)(float)w[i] == w[i], "w is an fp32 number");
    says(one(NORM, GDN_DTYPE_F32, w, 64), NORM, "upcast of w - 1 in bf16");
    w[5] += 0x1p-22;
    says(one(NORM, GDN_DTYPE_F32, w, 64), NORM, "genuine fp32");
}
END_TEST

/* -4 + k / 8: many values, and not one that needs more than 6 bits; then one that needs 7. */
START_TEST(coarse_grids)
{
    double x[33], w[33];
    for (int k = 0; k < 33; k++) {
        x[k] = -4 + k / 8.0;
        w[k] = 1 + 0x1p-12 * (k + 1); /* genuine as w; w - 1 on a coarse grid */
    }
    for (int fine = 0; fine < 2; fine++) {
        x[32] = fine ? 1 + 0x1p-6 : 0;
        gdn_audit *a = audit(one(A_LOG, GDN_DTYPE_F32, x, 33));
        const gdn_audit_tensor *t = tensor_of(a, A_LOG);
        ck_assert_str_eq(gdn_audit_verdict_text(t), fine ? "upcast of bf16" : "cannot tell");
        ck_assert_int_eq(isnan(t->chance), !fine); /* random values are another matter */
        gdn_audit_close(a);
        w[32] = 1 + 0x1p-12 * (fine ? 67 : 33);
        says(one(NORM, GDN_DTYPE_F32, w, 33), NORM, fine ? "upcast of w - 1 in bf16" : "genuine fp32");
    }
}
END_TEST

/* Counts of survivors, range, and the odds. */
START_TEST(counts)
{
    const double x[] = {1.0078125, 2.953125, -3.1, INFINITY, NAN, 65536, 0};
    gdn_audit *a = audit(one(A_LOG, GDN_DTYPE_F32, x, 7));
    const gdn_audit_tensor *t = tensor_of(a, A_LOG);
    ck_assert_int_eq((int)t->count, 7);
    ck_assert_int_eq((int)t->bf16_exact, 6);
    ck_assert_int_eq((int)t->fp16_exact, 5);
    ck_assert_int_eq((int)t->nonfinite, 2);
    GDN_CHECK(t->min == (double)-3.1f && t->max == 65536, "%g .. %g", t->min, t->max);
    gdn_audit_close(a);
    a = audit(one(A_LOG, GDN_DTYPE_F32, x, 2));
    GDN_CHECK(tensor_of(a, A_LOG)->chance == -32, "2^%g", tensor_of(a, A_LOG)->chance);
    gdn_audit_close(a);
}
END_TEST

/* Genuine fp32 values a hair off the grid of bf16, and some anywhere. */
START_TEST(near_the_grid)
{
    double hair[32], any[32];
    uint64_t seed = 3;
    for (int i = 0; i < 32; i++) {
        any[i] = (double)(float)gdn_test_uniform(&seed, 1, 4);
        hair[i] = (double)(float)((double)gdn_bf16_to_float(gdn_float_to_bf16((float)any[i])) + 0x1p-18);
    }
    gdn_audit *x = audit(one(A_LOG, GDN_DTYPE_F32, hair, 32));
    ck_assert_str_eq(gdn_audit_verdict_text(tensor_of(x, A_LOG)), "genuine fp32");
    ck_assert_int_eq(findings(x, "near bf16", "A_log", NULL), 1);
    gdn_audit_close(x);
    x = audit(one(A_LOG, GDN_DTYPE_F32, any, 32));
    ck_assert_int_eq(findings(x, "near bf16", NULL, NULL), 0);
    gdn_audit_close(x);
}
END_TEST

/* ---- heads ---- */

#define DT_BIAS "model.layers.0.linear_attn.dt_bias"

/* a = 0 at every token: gamma, tau and every error in closed form, by libm. */
START_TEST(errors_in_closed_form)
{
    static const double a_log[] = {-3.31, 0.123, 2.7001, -5.02, 0.5},
                        dt_bias[] = {-4.03, -6.2, -2.77, 0.91, 1};
    const gdn_audit_settings still = {0, 0, 1 << 26};
    made m = {0};
    tensor(&m, A_LOG, GDN_DTYPE_F32, a_log, 5);
    tensor(&m, DT_BIAS, GDN_DTYPE_F32, dt_bias, 5);
    gdn_audit *x = audit_with(finish(&m, "model.safetensors"), &still);
    for (int i = 0; i < 5; i++) {
        const gdn_audit_head *h = head_of(x, 0, i);
        double a = (double)(float)a_log[i], b = (double)(float)dt_bias[i];
        double a2 = (double)gdn_bf16_to_float(gdn_float_to_bf16((float)a_log[i])),
               b2 = (double)gdn_bf16_to_float(gdn_float_to_bf16((float)dt_bias[i]));
        double softplus = log1p(exp(b)), eps = expm1(a2 - a), off = log1p(exp(b2)) / softplus - 1,
               gamma = exp(a) * softplus, both = (1 + eps) * (1 + off) - 1;
        GDN_CHECK(!h->a_log_lost && !h->dt_bias_lost && !h->dead, "head %d", i);
        close_to(h->gamma, gamma, close_by, "gamma");
        close_to(h->tau, 1 / gamma, close_by, "tau");
        close_to(h->rate_error, eps, close_by, "error of A");
        close_to(h->softplus_error, off, 1e3 * close_by, "error of softplus");
        close_to(h->softplus_rms, fabs(off), 1e3 * close_by, "the same over a");
        /* d = 128 without a config or a norm; E beta = 1/2 by symmetry of the bf16 quantiles */
        double share = gamma / h->gamma_eff, bound = gamma / expm1(gamma);
        close_to(h->o_a_log.at_most, fabs(eps) * bound, 1e-9, "bound");
        if (gamma <= 0.3) {
            close_to(h->o_a_log.predicted, fabs(eps) * share / sqrt(2), 1e-9, "o through A_log");
            close_to(h->o_dt_bias.predicted, fabs(off) * share / sqrt(2), 1e-9, "o through dt_bias");
            close_to(h->o.predicted, fabs(both) * share / sqrt(2), 1e-9, "o");
            close_to(h->y.predicted, fabs(both) * share / 2, 1e-9, "y");
            GDN_CHECK(h->o_a_log.predicted <= h->o_a_log.at_most, "head %d: above its bound", i);
        } else
            GDN_CHECK(isnan(h->o.predicted) == (both != 0), "head %d: theory is silent", i);
    }
    /* 0.5 and 1 are bf16 numbers, in a tensor that is not */
    GDN_CHECK(head_of(x, 0, 4)->rate_error == 0 && head_of(x, 0, 4)->softplus_error == 0, "exact");
    close_to(head_of(x, 0, 0)->gamma_eff - head_of(x, 0, 0)->gamma, (1 - 0.293) / 256, 1e-2, "E beta^2");
    ck_assert_int_eq(x->dk, 128);
    for (size_t i = 1; i < x->heads; i++) {
        const gdn_audit_cost *p = &x->head[i - 1].o, *q = &x->head[i].o;
        GDN_CHECK((isnan(p->predicted) ? p->at_most : p->predicted) >=
                      (isnan(q->predicted) ? q->at_most : q->predicted),
                  "worst first");
    }
    gdn_audit_close(x);
}
END_TEST

/* Where bf16 is what rests, and where an upcast does: half an ulp, both errors in one direction. */
START_TEST(bounds)
{
    static const double a_log[] = {-3.296875, 2.703125}, dt_bias[] = {-4.03125, -2.765625};
    for (int upcast = 0; upcast < 2; upcast++) {
        gdn_dtype dtype = upcast ? GDN_DTYPE_F32 : GDN_DTYPE_BF16;
        made m = {0};
        tensor(&m, A_LOG, dtype, a_log, 2);
        tensor(&m, DT_BIAS, dtype, dt_bias, 2);
        TENSOR(&m, NORM, BF16, 1.0078125, 0.51171875);
        gdn_audit *x = audit(finish(&m, "model.safetensors"));
        for (int i = 0; i < 2; i++) {
            const gdn_audit_head *h = head_of(x, 0, i);
            GDN_CHECK(h->a_log_lost && h->dt_bias_lost, "head %d: not called a bound", i);
            close_to(h->rate_error, expm1(0x1p-7), close_by, "A"); /* half an ulp in [2, 4) */
            close_to(h->softplus_error,
                     log1p(exp(dt_bias[i] + (i ? 0x1p-7 : 0x1p-6))) / log1p(exp(dt_bias[i])) - 1, 1e-9,
                     "softplus");
        }
        /* half ulps 2^-8 and 2^-9 */
        double norm = sqrt((0x1p-16 + 0x1p-18) / (1.0078125 * 1.0078125 + 0.51171875 * 0.51171875));
        const gdn_audit_tensor *w = tensor_of(x, NORM);
        close_to(gdn_audit_weight_error(w), norm, close_by, "norm.weight");
        ck_assert_int_eq((int)w->weight.changed[GDN_AUDIT_W], 0);
        const gdn_audit_head *slow = head_of(x, 0, 0);
        double gate2 = slow->y.predicted * slow->y.predicted - norm * norm;
        close_to(sqrt(gate2), slow->o.predicted / sqrt(2), 1e-6, "y without the norm's share");
        gdn_audit_close(x);
    }
}
END_TEST

START_TEST(dead_heads)
{
    static const struct {
        double a_log, dt_bias;
        const char *what; /* NULL: alive */
    } heads[] = {{-INFINITY, 1, "A = 0"},    {1, -4.3, NULL},       {NAN, 1, "NaN"},       {-104, 1, "A = 0"},
                 {-90, 1, "A = 0"},          {-80, 1, NULL},        {INFINITY, 1, "-inf"}, {90, 1, "-inf"},
                 {1, -INFINITY, "softplus"}, {1, INFINITY, "-inf"}, {1, NAN, "NaN"},       {1.3, 1, NULL}};
    enum { HEADS = sizeof heads / sizeof heads[0] };
    double a_log[HEADS], dt_bias[HEADS];
    int dead = 0;
    for (int i = 0; i < HEADS; i++) {
        a_log[i] = heads[i].a_log;
        dt_bias[i] = heads[i].dt_bias;
        dead += heads[i].what != NULL;
    }
    made m = {0};
    tensor(&m, "model.layers.7.linear_attn.A_log", GDN_DTYPE_F32, a_log, HEADS);
    tensor(&m, "model.layers.7.linear_attn.dt_bias", GDN_DTYPE_F32, dt_bias, HEADS);
    TENSOR(&m, "model.layers.7.linear_attn.norm.weight", F32, 1, INFINITY, 0, 1.2);
    gdn_audit *x = audit(finish(&m, "model.safetensors"));
    ck_assert_int_eq(findings(x, "dead head", NULL, NULL), dead);
    ck_assert_int_eq(findings(x, "nonfinite", "norm.weight", NULL), 1);
    ck_assert_int_eq(findings(x, "nonfinite", NULL, NULL), 1);
    ck_assert_int_eq(findings(x, "zero", "norm.weight", NULL), 1);
    for (int i = 0, k = 0; i < HEADS; i++) {
        const gdn_audit_head *h = head_of(x, 0, i);
        GDN_CHECK(h->dead == (heads[i].what != NULL), "head %d", i);
        if (!h->dead) {
            GDN_CHECK(h->gamma > 0 && h->tau > 0 && h->o.at_most >= 0, "head %d", i);
            continue;
        }
        const json_t *o = json_array_get(x->findings, (size_t)k++);
        ck_assert_int_eq((int)json_integer_value(json_object_get(o, "layer")), 7);
        ck_assert_int_eq((int)json_integer_value(json_object_get(o, "head")), i);
        GDN_CHECK(strstr(json_string_value(json_object_get(o, "text")), heads[i].what), "head %d: %s", i,
                  json_string_value(json_object_get(o, "text")));
    }
    for (size_t i = 1; i < x->heads; i++)
        GDN_CHECK(x->head[i].dead >= x->head[i - 1].dead, "dead heads come last");
    gdn_audit_close(x);
}
END_TEST

START_TEST(layers_in_words)
{
    static const int numbers[] = {0, 1, 2, 4, 5, 8, 10, 12, 13, 14, 20, 22};
    char out[128];
    ck_assert_str_eq(gdn_audit_ranges(numbers, 1, out, sizeof out), "0");
    ck_assert_str_eq(gdn_audit_ranges(numbers, 6, out, sizeof out), "0-2, 4-5, 8");
    ck_assert_str_eq(gdn_audit_ranges(numbers, 12, out, sizeof out), "0-2, 4-5, 8, 10, 12-14 and 2 more");
}
END_TEST

/* ---- the program ---- */

static char said[1 << 22], complained[4096];

static char *slurp(const char *name, char *text, size_t size)
{
    FILE *f = fopen(path_of(name), "rb");
    GDN_CHECK(f, "%s is not there", name);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
    return text;
}

/* gdnprec audit with these words; its exit status. What it used goes to *usage unless that is NULL. */
static int run(const char *const *words, struct rusage *usage)
{
    const char *argv[16] = {"gdnprec", "audit"};
    struct rusage used;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int how;
    for (int n = 0; words[n]; n++)
        argv[n + 2] = words[n];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, path_of("out"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, path_of("err"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int code = posix_spawn(&pid, program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    GDN_CHECK(code == 0 && wait4(pid, &how, 0, usage ? usage : &used) == pid && WIFEXITED(how),
              "cannot run %s", program);
    slurp("out", said, sizeof said);
    slurp("err", complained, sizeof complained);
    return WEXITSTATUS(how);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL}, NULL)

static json_t *json_said(void)
{
    json_error_t e;
    json_t *j = json_loads(said, 0, &e);
    GDN_CHECK(j, "no JSON: line %d: %s in\n%.200s", e.line, e.text, said);
    return j;
}

START_TEST(json_keys)
{
    made m = {0};
    TENSOR(&m, A_LOG, F32, -INFINITY, 1.3);
    TENSOR(&m, DT_BIAS, BF16, -3, 1);
    TENSOR(&m, "linear_attn.norm.weight", F32, NAN); /* of a layer without a number */
    ck_assert_int_eq(RUN("--json", finish(&m, "model.safetensors")), 0);
    json_t *j = json_said();
    const char *checkpoint, *name, *kind, *dtype, *text;
    json_t *architecture, *tensors, *found, *heads, *layer, *min, *max;
    int count, exact, nonfinite;
    ck_assert_int_eq(json_unpack(j, "{s:s, s:o, s:o, s:o, s:o}", "checkpoint", &checkpoint, "architecture",
                                 &architecture, "tensors", &tensors, "findings", &found, "heads", &heads),
                     0);
    ck_assert_str_eq(checkpoint, path_of("model.safetensors"));
    GDN_CHECK(json_is_null(architecture), "there is no config.json");
    ck_assert_uint_eq(json_array_size(tensors), 3);
    ck_assert_uint_eq(json_array_size(heads), 2);
    static const struct {
        const char *name, *kind, *dtype;
        int layer, count, exact, nonfinite;
    } want[] = {{"linear_attn.norm.weight", "norm.weight", "F32", -1, 1, 1, 1},
                {A_LOG, "A_log", "F32", 0, 2, 1, 1},
                {DT_BIAS, "dt_bias", "BF16", 0, 2, 2, 0}};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(json_unpack(json_array_get(tensors, i),
                                     "{s:s, s:s, s:o, s:s, s:i, s:i, s:i, s:o, s:o}", "name", &name, "kind",
                                     &kind, "layer", &layer, "dtype", &dtype, "count", &count, "bf16_exact",
                                     &exact, "nonfinite", &nonfinite, "min", &min, "max", &max),
                         0);
        ck_assert_str_eq(name, want[i].name);
        ck_assert_str_eq(kind, want[i].kind);
        ck_assert_str_eq(dtype, want[i].dtype);
        ck_assert_int_eq(count, want[i].count);
        ck_assert_int_eq(exact, want[i].exact);
        ck_assert_int_eq(nonfinite, want[i].nonfinite);
        GDN_CHECK(want[i].layer < 0 ? json_is_null(layer) : json_integer_value(layer) == want[i].layer, "%s",
                  name);
        GDN_CHECK(i ? json_is_real(min) && json_is_real(max) : json_is_null(min) && json_is_null(max), "%s",
                  name);
    }
    size_t i;
    json_t *o;
    json_array_foreach(found, i, o)
        ck_assert_int_eq(json_unpack(o, "{s:s, s:s}", "kind", &kind, "text", &text), 0);
    GDN_CHECK(i == json_array_size(found) && i >= 3, "dead head, nonfinite, incomplete: %zu", i);
    json_decref(j);
}
END_TEST

START_TEST(exit_status)
{
    char mixed[PATH_MAX];
    GDN_CHECK(realpath(golden("hf_checkpoint_mixed"), mixed), "no golden checkpoint");
    ck_assert_int_eq(RUN(mixed), 0);
    GDN_CHECK(strstr(said, "A_log is genuine fp32.") && strstr(said, "dt_bias is stored in bf16.") &&
                  strstr(said, "5 findings:") && !*complained,
              "%s%s", said, complained);
    ck_assert_int_eq(RUN("--strict", "--quiet", mixed), 1);
    GDN_CHECK(!*said && strstr(complained, "audit: 5 findings"), "%s%s", said, complained);
    ck_assert_int_eq(RUN("--quiet", mixed), 0);
    GDN_CHECK(!*said && !*complained, "%s%s", said, complained);
    made m = {0};
    TENSOR(&m, A_LOG, F32, 0.7001, 1.3);
    TENSOR(&m, DT_BIAS, F32, -3.1, -4.7);
    ck_assert_int_eq(RUN("--strict", finish(&m, "model.safetensors")), 0);
    GDN_CHECK(strstr(said, "No findings.") && strstr(said, "Without config.json"), "%s", said);
    ck_assert_int_eq(RUN("--heads", "1", path_of("model.safetensors")), 0);
    GDN_CHECK(strstr(said, "(1 more: --heads all)"), "%s", said);
    ck_assert_int_eq(RUN("--heads", "all", path_of("model.safetensors")), 0);
    GDN_CHECK(!strstr(said, "more: --heads"), "%s", said);
    TENSOR(&m, A_LOG, F32, 0.7001, 1.3);
    TENSOR(&m, DT_BIAS, F32, 1, 1);
    ck_assert_int_eq(RUN(finish(&m, "other.safetensors")), 0);
    GDN_CHECK(strstr(said, "dt_bias is fp32 that may be an upcast or not") &&
                  strstr(said, "holds it exactly."),
              "%s", said);
    TENSOR(&m, "model.embed_tokens.weight", F32, 1);
    ck_assert_int_eq(RUN(finish(&m, "other.safetensors")), 2);
    GDN_CHECK(strstr(complained, "no Gated DeltaNet layer among 1 tensors"), "%s", complained);
    ck_assert_int_eq(RUN("--quiet"), 2);
    GDN_CHECK(strstr(complained, "a checkpoint is wanted"), "%s", complained);
    ck_assert_int_eq(RUN("nowhere"), 2);
    ck_assert_int_eq(RUN("--a-scale", "-1", mixed), 2);
    ck_assert_int_eq(RUN("--length", "0", mixed), 2);
    ck_assert_int_eq(RUN("--heads", "few", mixed), 2);
    ck_assert_int_eq(RUN(mixed, "more"), 2);
}
END_TEST

/* FLA's three convs are of one layer; a norm weight that was rounded bounds y, though all else is known. */
START_TEST(one_layer_and_a_bound)
{
    made m = {0};
    json_t *o;
    TENSOR(&m, "model.layers.3.attn.A_log", F32, -0.7001);
    TENSOR(&m, "model.layers.3.attn.dt_bias", F32, -4.7);
    TENSOR(&m, "model.layers.3.attn.o_norm.weight", BF16, 1.0625, 0.90625, 1.15625);
    TENSOR(&m, "model.layers.3.attn.q_conv1d.weight", F32, INFINITY);
    TENSOR(&m, "model.layers.3.attn.k_conv1d.weight", F32, INFINITY);
    TENSOR(&m, "model.layers.3.attn.v_conv1d.weight", F32, INFINITY);
    const char *path = finish(&m, "model.safetensors");
    gdn_audit *x = audit(path);
    ck_assert_int_eq(findings(x, "nonfinite", "conv1d.weight", &o), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(o, "layers")), 1);
    gdn_audit_close(x);
    ck_assert_int_eq(RUN(path), 0);
    const char *head = strstr(said, "layer 3       0 ");
    GDN_CHECK(head && strcspn(head, "<") < strcspn(head, "\n"), "%s", said);
}
END_TEST

/* The contract is the architecture's; a name from the file cannot command a terminal. */
START_TEST(contract_and_names)
{
    made m = {0};
    TENSOR(&m, "mo\033[31mdel.layers.0.linear_attn.A_log", BF16, 0.7001, 1.3);
    TENSOR(&m, "mo\033[31mdel.layers.0.linear_attn.dt_bias", BF16, 0.7001, 1.3);
    TENSOR(&m, "model.layers.0.linear_attn.A_log", BF16, 0.7001, 1.3);
    TENSOR(&m, "model.layers.0.linear_attn.dt_bias", F32, -INFINITY, 1.3);
    finish(&m, "model.safetensors");
    ck_assert_int_eq(RUN(scratch), 0);
    GDN_CHECK(!strchr(said, '\033') && strstr(said, "mo\\x1b[31mdel.layers.0.linear_attn "), "%s", said);
    GDN_CHECK(strstr(said, "model.layers.0.linear_attn, head 0: "), "%s", said);
    write_text("config.json", "{\"architectures\": [\"Ol\\u001bmoForCausalLM\"]}");
    ck_assert_int_eq(RUN(scratch), 0);
    GDN_CHECK(!strchr(said, '\033') && strstr(said, "is not under NeMo Automodel's fp32 contract"), "%s",
              said);
    gdn_audit *x = audit(scratch);
    ck_assert_int_eq(findings(x, "contract", NULL, NULL), 0);
    ck_assert_int_eq(findings(x, "load", NULL, NULL), 0);
    gdn_audit_close(x);
    write_text("config.json", "{\"architectures\": [\"Qwen3_5ForCausalLM\"], \"dtype\": \"bfloat16\"}");
    x = audit(scratch);
    json_t *o;
    ck_assert_int_eq(findings(x, "contract", "A_log", &o), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(o, "layers")), 2);
    ck_assert_int_eq(findings(x, "contract", "dt_bias", NULL), 1);
    ck_assert_int_eq(findings(x, "load", "dt_bias", NULL), 1);
    gdn_audit_close(x);
}
END_TEST

/* ---- a checkpoint of 5 GB, most of it holes ---- */

enum { LAYERS = 48, SHARDS = 10, EXPERTS = 64, VALUE_HEADS = 32, WIDE = 2048 };

/* Add a tensor of zeros to a header; the bytes that it takes are counted, not written. */
static void hole(json_t *header, json_t *map, const char *shard, uint64_t *at, const char *dtype, int d0,
                 int d1, const char *format, ...)
{
    char name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    uint64_t end = *at + (uint64_t)d0 * (uint64_t)d1 * (strcmp(dtype, "F32") == 0 ? 4 : 2);
    json_object_set_new(header, name,
                        json_pack("{s:s, s:[i, i], s:[I, I]}", "dtype", dtype, "shape", d0, d1,
                                  "data_offsets", (json_int_t)*at, (json_int_t)end));
    json_object_set_new(map, name, json_string(shard));
    *at = end;
}

static uint64_t sparse_shard(int s, json_t *map)
{
    json_t *header = json_object();
    char shard[64];
    uint64_t at = 0;
    snprintf(shard, sizeof shard, "model-%05d-of-%05d.safetensors", s + 1, SHARDS);
    for (int l = s; l < LAYERS; l += SHARDS) {
        if (l % 4 < 3) {
            const char *f = "model.layers.%d.linear_attn.%s";
            hole(header, map, shard, &at, "F32", VALUE_HEADS, 1, f, l, "A_log");
            hole(header, map, shard, &at, "F32", VALUE_HEADS, 1, f, l, "dt_bias");
            hole(header, map, shard, &at, "F32", 128, 1, f, l, "norm.weight");
            hole(header, map, shard, &at, "BF16", 8192, 4, f, l, "conv1d.weight");
            hole(header, map, shard, &at, "BF16", 12288, WIDE, f, l, "in_proj_qkvz.weight");
            hole(header, map, shard, &at, "BF16", 64, WIDE, f, l, "in_proj_ba.weight");
            hole(header, map, shard, &at, "BF16", WIDE, 4096, f, l, "out_proj.weight");
        }
        static const char *const parts[] = {"gate", "up", "down"};
        for (int e = 0; e < EXPERTS; e++)
            for (int p = 0; p < 3; p++)
                hole(header, map, shard, &at, "BF16", 72, WIDE,
                     "model.layers.%d.mlp.experts.%d.%s_proj.weight", l, e, parts[p]);
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t n = strlen(text), blanks = (8 - n % 8) % 8, length = n + blanks;
    int fd = open(path_of(shard), O_WRONLY | O_CREAT, 0666);
    GDN_CHECK(fd >= 0 && write(fd, &length, 8) == 8 && write(fd, text, n) == (ssize_t)n &&
                  write(fd, "        ", blanks) == (ssize_t)blanks &&
                  ftruncate(fd, (off_t)(8 + length + at)) == 0,
              "cannot write %s", shard);
    const char *name;
    json_t *t;
    uint64_t seed = (uint64_t)s;
    json_object_foreach(header, name, t)
    {
        const char *dot = strrchr(name, '.');
        double lo = strcmp(dot, ".A_log") == 0 ? -3.9 : -6;
        if (strcmp(dot, ".A_log") != 0 && strcmp(dot, ".dt_bias") != 0)
            continue;
        float x[VALUE_HEADS];
        for (int i = 0; i < VALUE_HEADS; i++)
            x[i] = (float)gdn_test_uniform(&seed, lo, 2);
        off_t from = (off_t)(8 + length) +
                     (off_t)json_integer_value(json_array_get(json_object_get(t, "data_offsets"), 0));
        GDN_CHECK(pwrite(fd, x, sizeof x, from) == (ssize_t)sizeof x, "cannot write %s", shard);
    }
    close(fd);
    free(text);
    json_decref(header);
    return at;
}

START_TEST(five_gigabytes)
{
    json_t *map = json_object(), *index;
    uint64_t total = 0;
    for (int s = 0; s < SHARDS; s++)
        total += sparse_shard(s, map);
    GDN_CHECK(total > 5000000000u, "%llu bytes", (unsigned long long)total);
    index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    ck_assert_int_eq(json_dump_file(index, path_of("model.safetensors.index.json"), JSON_INDENT(2)), 0);
    json_decref(index);
    struct timespec a, b;
    struct rusage used;
    clock_gettime(CLOCK_MONOTONIC, &a);
    ck_assert_int_eq(run((const char *const[]){"--json", scratch, NULL}, &used), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double wall = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec),
           seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                     1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("5 GB in %d shards: %.2f s of work, %.2f s by the clock, %.1f MB\n", SHARDS, seconds, wall,
           (double)used.ru_maxrss / 1024);
#ifndef __SANITIZE_ADDRESS__                           /* whose shadow and checks are not the program's */
    GDN_CHECK(seconds < 5, "%.2f s of work", seconds); /* by the clock it depends on who else is busy */
    GDN_CHECK(used.ru_maxrss < 100 * 1000, "%ld KiB", used.ru_maxrss);
#endif
    GDN_CHECK(strstr(said, "\"A_log\": {\n      \"genuine fp32\": 36\n    }") != NULL,
              "36 layers are there: %.300s", said);
    ck_assert_int_eq(RUN(scratch), 0);
    GDN_CHECK(strstr(said, "36 GDN layers (0-2, 4-6, 8-10, 12-14, 16-18 and 21 more), 1152 heads") &&
                  strstr(said, "36 tensors"),
              "%.300s", said);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        golden_four, megatron_names,  holder_names, fla_names,     one_layer_and_a_bound, not_gdn,
        verdicts,    coarse_grids,    counts,       near_the_grid, errors_in_closed_form, bounds,
        dead_heads,  layers_in_words, json_keys,    exit_status,   contract_and_names,    five_gigabytes};
    const char *given = getenv("GDNPREC");
    if (!realpath(given ? given : "build/gdnprec", program) ||
        !gdn_test_scratch(scratch, sizeof scratch, "audit")) {
        perror(given ? given : "build/gdnprec");
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("audit");
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        TCase *one_case = tcase_create(tests[i]->name);
        tcase_set_timeout(one_case, GDN_TEST_SECONDS);
        tcase_add_checked_fixture(one_case, enter_scratch, NULL);
        tcase_add_test(one_case, tests[i]);
        suite_add_tcase(suite, one_case);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    leave_scratch();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
