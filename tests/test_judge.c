/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_judge -- a dump of tensors to verdicts: the figures that another reference found for the golden files,
 * dumps made here by a recurrence in double and rounded once, whose errors are known, names and sentences,
 * limits and exit codes.
 */
#include "tests/task_test.h"

#include <fcntl.h>
#include <jansson.h>

#include "harness/commands.h"
#include "harness/judge.h"
#include "harness/lockstep.h"
#include "harness/safetensors_write.h"

/* ---- running it ---- */

static gdn_judge_options plain(const char *path)
{
    return (gdn_judge_options){
        .path = path, .beta_factor = 1, .head = GDN_ALL_HEADS, .jobs = 1, .no_likeness = true, .quiet = true};
}

static gdn_judge *judged(const gdn_judge_options *o)
{
    gdn_judge *j = gdn_test_alloc(1, sizeof *j);
    gdn_error err = {""};
    GDN_CHECK(gdn_judge_run(j, o, &err) == GDN_OK, "%s: %s", o->path, err.text);
    return j;
}

static void done_with(gdn_judge *j)
{
    gdn_judge_close(j);
    free(j);
}

static const gdn_judged *output_of(const gdn_judge *j, const char *name)
{
    for (int i = 0; i < j->count; i++)
        if (is(j->judged[i].output->tensor, name))
            return &j->judged[i];
    ck_abort_msg("%s: no output %s", j->file.path, name);
    return NULL;
}

static bool noted(const gdn_judge *j, const char *words)
{
    for (int i = 0; i < j->notes; i++)
        if (strstr(j->note[i], words))
            return true;
    return false;
}

static const char *golden_path(const char *file)
{
    static char path[4096];
    const char *folder = getenv("GDN_GOLDEN");
    snprintf(path, sizeof path, "%s/%s.safetensors", folder ? folder : "tests/golden", file);
    return path;
}

/* The command with argv; its exit code, output in `said`, complaint in err. */
static int run_command(gdn_error *err, char *said, size_t size, int argc, char **argv)
{
    char path[128];
    int kept = dup(1);
    snprintf(path, sizeof path, "%s/stdout", scratch);
    int out = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    GDN_CHECK(out >= 0 && kept >= 0 && dup2(out, 1) >= 0, "cannot redirect");
    err->text[0] = 0;
    gdn_status status = gdn_command_judge(argc, argv, err);
    fflush(stdout);
    dup2(kept, 1);
    close(kept);
    ssize_t n = said ? pread(out, said, size - 1, 0) : 0;
    if (said)
        said[n > 0 ? n : 0] = 0;
    close(out);
    return (int)status;
}

/* The same with these words (up to NULL). */
static int command(gdn_error *err, char *said, size_t size, ...)
{
    char *argv[32] = {(char *)(uintptr_t) "gdnprec judge", (char *)(uintptr_t) "--jobs=1",
                      (char *)(uintptr_t) "--no-likeness"};
    int argc = 3;
    va_list words;
    va_start(words, size);
    while ((argv[argc] = va_arg(words, char *)))
        argc++;
    va_end(words);
    return run_command(err, said, size, argc, argv);
}

/* ---- the golden files ---- */

static const struct {
    const char *file, *tensor;
    double rel_l2;
} golden[] = {
    {"fla_bf16", "chunk.out", 4.695837e-03},
    {"fla_bf16", "chunk.state", 3.856464e-03},
    {"fla_bf16", "recurrent.out", 1.659865e-03},
    {"fla_bf16", "recurrent.state", 1.582989e-06},
    {"fla_bf16", "g", 4.5215e-08},
    {"fla_fp32", "chunk.out", 1.459133e-03},
    {"fla_fp32", "chunk.state", 9.719247e-04},
    {"fla_fp32", "recurrent.out", 5.798948e-07},
    {"fla_fp32", "recurrent.state", 5.905916e-07},
    {"fla_fp32", "g", 6.1654e-08},
    {"hf_layer_bf16", "chunk.out", 1.617936e-03},
    {"hf_layer_bf16", "chunk.state", 1.333418e-07},
    {"hf_layer_bf16", "recurrent.out", 1.617936e-03},
    {"hf_layer_bf16", "recurrent.state", 1.305901e-07},
    {"hf_layer_fp32", "chunk.out", 2.507377e-07},
    {"hf_layer_fp32", "chunk.state", 1.842186e-07},
    {"hf_layer_fp32", "recurrent.out", 1.521206e-07},
    {"hf_layer_fp32", "recurrent.state", 1.858400e-07},
    {"hf_layer_fp32_d128", "chunk.out", 2.659979e-07},
    {"hf_layer_fp32_d128", "chunk.state", 2.054627e-07},
    {"hf_layer_fp32_d128", "recurrent.out", 1.535973e-07},
    {"hf_layer_fp32_d128", "recurrent.state", 2.104048e-07},
};
enum { GOLDEN = sizeof golden / sizeof golden[0], OF_FLA = 10 };

static const char *hf_pairs[] = {"q=chunk.query",
                                 "k=chunk.key",
                                 "v=chunk.value",
                                 "beta=chunk.beta",
                                 "g=chunk.g",
                                 "z=norm.gate",
                                 "norm_weight=linear_attn.norm.weight",
                                 "y=norm.out"};

/* The table of golden/README.md, with the names told and with the names found. */
START_TEST(figures_of_the_golden_files)
{
    gdn_judge *j = NULL;
    for (int told = 0; told < 2; told++)
        for (int i = told ? OF_FLA : 0; i < GOLDEN; i++) {
            if (i == told * OF_FLA || !is(golden[i].file, golden[i - 1].file)) {
                if (j)
                    done_with(j);
                gdn_judge_options o = plain(golden_path(golden[i].file));
                o.pair = hf_pairs;
                o.pairs = told ? 8 : 0;
                j = judged(&o);
            }
            const gdn_judged *x = output_of(j, golden[i].tensor);
            const gdn_row *r = &x->total->row;
            GDN_CHECK(fabs(r->rel_l2 / golden[i].rel_l2 - 1) < gdn_tolerance.golden, "%s, %s: %.7e, not %.7e",
                      golden[i].file, golden[i].tensor, r->rel_l2, golden[i].rel_l2);
            GDN_CHECK(fabs(r->nmse / (r->rel_l2 * r->rel_l2) - 1) < 1e-12 &&
                          fabs(r->bits + log2(r->rel_l2)) < 1e-9 && r->cosine < 1 + 1e-15 &&
                          is(r->flag, "ok") && x->pass == GDN_PASS_UNASKED,
                      "%s", name_of(r));
        }
    done_with(j);
}
END_TEST

/* norm.out of transformers: one bf16 rounding at the end of y on the recorded o. */
START_TEST(out_norm_of_the_golden_files)
{
    gdn_judge_options o = plain(golden_path("hf_layer_fp32"));
    gdn_judge *j = judged(&o);
    const gdn_judged *y = output_of(j, "norm.out");
    GDN_CHECK(y->output->quantity == GDN_Q_Y && y->total->row.rel_l2 < 1e-6, "%s", name_of(&y->total->row));
    ck_assert(is(j->file.role[GDN_ROLE_Z], "norm.gate"));
    ck_assert(is(j->file.role[GDN_ROLE_NORM_WEIGHT], "linear_attn.norm.weight"));
    done_with(j);
}
END_TEST

/* The causes that the golden files are known for are found by name. */
START_TEST(causes_of_the_golden_files)
{
    static const struct {
        const char *file, *tensor, *words;
    } causes[] = {{"fla_fp32", "chunk.out", "TF32"}, {"fla_bf16", "recurrent.out", "bf16"}};
    for (int i = 0; i < 2; i++) {
        gdn_judge_options o = plain(golden_path(causes[i].file));
        o.no_likeness = false;
        gdn_judge *j = judged(&o);
        const gdn_likeness *l = &output_of(j, causes[i].tensor)->likeness;
        GDN_CHECK(l->present && l->verdict == GDN_LIKENESS_SAME && strstr(l->text, causes[i].words),
                  "%s of %s: '%s'", causes[i].tensor, causes[i].file, l->text);
        done_with(j);
    }
}
END_TEST

/* ---- dumps made here ---- */

enum { TENSORS = 24, MOST = 1 << 20 };

typedef struct dump {
    int B, T, H, HK, dk, dv;
    bool l2norm;
    double scale;
    float *q, *k, *v, *beta, *a, *g, *z, *a_log, *dt_bias, *w, *state0;
    float *o, *state, *y; /* in double, rounded once */
    double *wide;         /* o, not rounded */
    uint16_t *half;       /* an o of ones in fp16 */
    gdn_format_id stored; /* format of the A_log that the outputs were computed with */
} dump;

static dump dump_new(int B, int T, int H, int HK, int dk, int dv)
{
    uint64_t s = 20;
    size_t t = (size_t)(B * T), h = (size_t)H, d = (size_t)dk, e = (size_t)dv;
    dump x = {.B = B, .T = T, .H = H, .HK = HK, .dk = dk, .dv = dv, .l2norm = true, .stored = GDN_FP32};
    x.q = gdn_test_floats(&s, t * (size_t)HK * d, -1, 1);
    x.k = gdn_test_floats(&s, t * (size_t)HK * d, -1, 1);
    x.v = gdn_test_floats(&s, t * h * e, -1, 1);
    x.z = gdn_test_floats(&s, t * h * e, -1, 1);
    x.beta = gdn_test_floats(&s, t * h, 0.1, 0.9);
    x.a = gdn_test_floats(&s, t * h, -1, 1);
    x.g = gdn_test_alloc(t * h, sizeof *x.g);
    x.w = gdn_test_floats(&s, e, 0.5, 1.5);
    x.a_log = gdn_test_alloc(h, sizeof *x.a_log);
    x.dt_bias = gdn_test_alloc(h, sizeof *x.dt_bias);
    for (size_t i = 0; i < h; i++) {
        x.a_log[i] = (float)gdn_test_uniform(&s, -3, 1);
        x.dt_bias[i] = (float)gdn_test_uniform(&s, -3, -1);
    }
    x.state0 = gdn_test_floats(&s, (size_t)B * h * d * e, -1, 1);
    x.o = gdn_test_alloc(t * h * e, sizeof *x.o);
    x.wide = gdn_test_alloc(t * h * e, sizeof *x.wide);
    x.half = gdn_test_alloc(t * h * e, sizeof *x.half);
    for (size_t i = 0; i < t * h * e; i++)
        x.half[i] = 0x3c00;
    x.y = gdn_test_alloc(t * h * e, sizeof *x.y);
    x.state = gdn_test_alloc((size_t)B * h * d * e, sizeof *x.state);
    return x;
}

static void dump_free(dump *x)
{
    float *all[] = {x->q,     x->k,       x->v, x->beta,   x->a, x->g,     x->z,
                    x->a_log, x->dt_bias, x->w, x->state0, x->o, x->state, x->y};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    free(x->wide);
    free(x->half);
}

/* 1 / |x| with eps inside the root, or 1. */
static double inverse_norm(const dump *x, const float *v)
{
    double sum = 0;
    for (int i = 0; i < x->dk; i++)
        sum += (double)v[i] * v[i];
    return x->l2norm ? 1 / sqrt(sum + 1e-6) : 1;
}

/* Spec section 1 for one head of one sequence; `given`: with the g of the dump. */
static void dump_head(dump *x, int b, int h, bool given)
{
    int dk = x->dk, dv = x->dv;
    size_t at = (size_t)(b * x->H + h) * (size_t)(dk * dv);
    double *S = gdn_test_alloc((size_t)(dk * dv), sizeof *S),
           A = exp(gdn_round(&gdn_formats[x->stored], x->a_log[h]));
    double scale = x->scale != 0 ? x->scale : 1 / sqrt(dk);
    for (int i = 0; i < dk * dv; i++)
        S[i] = x->state0[at + (size_t)i];
    for (int t = 0; t < x->T; t++) {
        size_t token = (size_t)(b * x->T + t), row = token * (size_t)x->H + (size_t)h,
               key = token * (size_t)x->HK + (size_t)(h / (x->H / x->HK));
        const float *q = x->q + key * (size_t)dk, *k = x->k + key * (size_t)dk, *v = x->v + row * (size_t)dv,
                    *z = x->z + row * (size_t)dv;
        double g = -A * log1p(exp((double)x->a[row] + x->dt_bias[h])), nq = inverse_norm(x, q) * scale,
               nk = inverse_norm(x, k), mean = 0, o[64];
        if (!given)
            x->g[row] = (float)g;
        double alpha = exp(given ? x->g[row] : g);
        for (int j = 0; j < dv; j++) {
            double delta = v[j];
            for (int i = 0; i < dk; i++)
                delta -= (S[i * dv + j] *= alpha) * k[i] * nk;
            o[j] = 0;
            for (int i = 0; i < dk; i++)
                o[j] += (S[i * dv + j] += k[i] * nk * x->beta[row] * delta) * q[i] * nq;
            mean += o[j] * o[j] / dv;
        }
        for (int j = 0; j < dv; j++) {
            x->o[row * (size_t)dv + (size_t)j] = (float)o[j];
            x->wide[row * (size_t)dv + (size_t)j] = o[j];
            x->y[row * (size_t)dv + (size_t)j] =
                (float)(x->w[j] * o[j] / sqrt(mean + 1e-6) * z[j] / (1 + exp(-(double)z[j])));
        }
    }
    for (int i = 0; i < dk * dv; i++)
        x->state[at + (size_t)i] = (float)S[i];
    free(S);
}

static void dump_compute(dump *x, bool given)
{
    for (int b = 0; b < x->B; b++)
        for (int h = 0; h < x->H; h++)
            dump_head(x, b, h, given);
}

/* Which tensors a file gets, by letter: g: g; p: a, A_log, dt_bias; y: z, w, y; 0: the initial state; o: o,
 * d: in fp64, h: in fp16. */
static bool picked(const char *which, char letter)
{
    return strchr(which, letter) != NULL;
}

/* x[n0][n1][n2] with the first two dimensions of each of `times` blocks exchanged. */
static float *exchanged(const float *x, int times, int n0, int n1, int n2)
{
    float *y = gdn_test_alloc((size_t)(times * n0 * n1 * n2), sizeof *y);
    for (int b = 0; b < times; b++)
        for (int i = 0; i < n0; i++)
            for (int j = 0; j < n1; j++)
                memcpy(y + ((size_t)(b * n1 + j) * (size_t)n0 + (size_t)i) * (size_t)n2,
                       x + ((size_t)(b * n0 + i) * (size_t)n1 + (size_t)j) * (size_t)n2,
                       (size_t)n2 * sizeof *y);
    return y;
}

/* scratch/name; heads before tokens, states with their columns first, where asked for. */
static const char *dump_write(const dump *x, const char *name, const char *which, gdn_layout layout,
                              gdn_state_layout states)
{
    static char path[256];
    const struct {
        const char *name;
        char letter;
        const void *data;
        int heads, width; /* 0 heads: no tokens; width 0: a state */
    } all[] = {{"q", 'i', x->q, x->HK, x->dk},
               {"k", 'i', x->k, x->HK, x->dk},
               {"v", 'i', x->v, x->H, x->dv},
               {"beta", 'i', x->beta, x->H, 1},
               {"g", 'g', x->g, x->H, 1},
               {"a", 'p', x->a, x->H, 1},
               {"A_log", 'p', x->a_log, 0, x->H},
               {"dt_bias", 'p', x->dt_bias, 0, x->H},
               {"z", 'y', x->z, x->H, x->dv},
               {"norm_weight", 'y', x->w, 0, x->dv},
               {"mine.o", 'o', x->o, x->H, x->dv},
               {"mine.state", 's', x->state, x->H, 0},
               {"mine.y", 'y', x->y, x->H, x->dv},
               {"initial_state", '0', x->state0, x->H, 0},
               {"wide.o", 'd', x->wide, x->H, x->dv},
               {"half.o", 'h', x->half, x->H, x->dv}};
    gdn_tensor t[TENSORS];
    float *copy[TENSORS] = {NULL};
    gdn_error err = {""};
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int heads = all[i].heads, width = all[i].width;
        bool swap = layout == GDN_LAYOUT_BHTD && heads && width, turn = states == GDN_STATE_VK && !width;
        if (!picked(which, all[i].letter))
            continue;
        copy[n] = swap   ? exchanged(all[i].data, x->B, x->T, heads, width)
                  : turn ? exchanged(all[i].data, x->B * heads, x->dk, x->dv, 1)
                         : NULL;
        t[n] = (gdn_tensor){.name = all[i].name,
                            .dtype = picked("d", all[i].letter)   ? GDN_DTYPE_F64
                                     : picked("h", all[i].letter) ? GDN_DTYPE_F16
                                                                  : GDN_DTYPE_F32,
                            .data = copy[n] ? copy[n] : all[i].data};
        const int64_t token[] = {x->B, swap ? heads : x->T, swap ? x->T : heads, width},
                      state[] = {x->B, heads, turn ? x->dv : x->dk, turn ? x->dk : x->dv}, vector[] = {width};
        t[n].rank = !heads ? 1 : width == 1 ? 3 : 4;
        memcpy(t[n].dim, !heads ? vector : width ? token : state, (size_t)t[n].rank * sizeof *t[n].dim);
        n++;
    }
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    GDN_CHECK(gdn_safetensors_write(path, t, n, NULL, &err) == GDN_OK, "%s", err.text);
    for (size_t i = 0; i < n; i++)
        free(copy[i]);
    return path;
}

/* Every output is one rounding to fp32 off: no error above half an ulp, and its own relative L2 below u. */
static void rounded_once(const gdn_judge *j, double slack)
{
    for (int i = 0; i < j->count; i++) {
        const gdn_row *r = &j->judged[i].total->row;
        GDN_CHECK(r->rel_l2 > 1e-9 && r->rel_l2 <= 0x1p-24 * slack && r->max_ulp <= 0.5 * slack,
                  "max_ulp %g of %s", r->max_ulp, name_of(r));
    }
}

/*
 * Batches, grouped heads, initial states, both gates, with and without the norm of q and k, scales: the
 * recurrence in double errs some 1e-14, 1e-6 of half an ulp of fp32.
 */
START_TEST(what_is_right_is_called_right)
{
    for (int way = 0; way < 8; way++) {
        dump x = dump_new(way & 1 ? 2 : 1, 40, 4, way & 2 ? 2 : 4, 16, way & 4 ? 8 : 16);
        x.l2norm = !(way & 4);
        x.scale = way & 2 ? 0.3 : 0;
        if (!x.l2norm)
            for (int i = 0; i < x.B * x.T * x.HK * x.dk; i++) {
                x.q[i] /= 4;
                x.k[i] /= 4;
            }
        dump_compute(&x, false);
        bool given = way & 1;
        if (given)
            dump_compute(&x, true);
        gdn_judge_options o =
            plain(dump_write(&x, "right", given ? "igosy0" : "iposy0", GDN_LAYOUT_BTHD, GDN_STATE_KV));
        o.no_l2norm = !x.l2norm;
        o.scale = x.scale;
        gdn_judge *j = judged(&o);
        ck_assert_int_eq(j->count, 3);
        ck_assert_int_eq(j->given, given);
        ck_assert_int_eq(j->key_heads, x.HK);
        ck_assert_int_eq(j->batch, x.B);
        ck_assert_int_eq(j->shape.heads, x.B * x.H);
        rounded_once(j, 1 + 1e-6);
        done_with(j);
        dump_free(&x);
    }
}
END_TEST

/* ---- layouts ---- */

static char *json_of(const gdn_judge *j)
{
    json_t *o = gdn_judge_to_json(j);
    json_object_del(o, "file");
    char *text = json_dumps(o, JSON_INDENT(1));
    GDN_CHECK(text, "no JSON");
    json_decref(o);
    return text;
}

/* The same numbers laid out otherwise give the same JSON, byte for byte. */
START_TEST(layouts)
{
    dump x = dump_new(2, 24, 4, 2, 16, 8);
    dump_compute(&x, false);
    char *text[2];
    for (int way = 0; way < 2; way++) {
        gdn_judge_options o =
            plain(dump_write(&x, "laid", "igposy0", (gdn_layout)way, (gdn_state_layout)way));
        o.layout = (gdn_layout)way;
        o.state_layout = (gdn_state_layout)way;
        gdn_judge *j = judged(&o);
        ck_assert_int_eq(j->count, 4);
        text[way] = json_of(j);
        done_with(j);
    }
    ck_assert_str_eq(text[0], text[1]);
    ck_assert(strstr(text[0], "per_head") && strstr(text[0], "mine.state"));
    free(text[0]);
    free(text[1]);
    dump_free(&x);
}
END_TEST

/* A state the other way round is far off, and said to look transposed; one that is merely wrong is not. */
START_TEST(transposed_states)
{
    dump x = dump_new(1, 24, 2, 2, 16, 16);
    memset(x.state0, 0, 2 * 16 * 16 * sizeof *x.state0);
    dump_compute(&x, false);
    for (int wrong = 0; wrong < 2; wrong++) {
        for (int i = 0; i < 2 * 16 * 16 && wrong; i++)
            x.state[i] *= -1;
        gdn_judge_options o = plain(dump_write(&x, "turned", "igos", GDN_LAYOUT_BTHD, GDN_STATE_VK));
        gdn_judge *j = judged(&o);
        ck_assert(output_of(j, "mine.state")->total->row.rel_l2 > 1);
        ck_assert_int_eq(noted(j, "--state-layout vk"), !wrong);
        done_with(j);
    }
    dump_free(&x);
}
END_TEST

/* ---- storage beside arithmetic ---- */

/* Biases add up, and norms obey the triangle: total = storage + arith in every row. */
static void adds_up(const gdn_row *t, const gdn_row *s, const gdn_row *a)
{
    GDN_CHECK(is(s->kind, "storage") && is(a->kind, "arith") && s->from == t->from && a->to == t->to &&
                  s->head == t->head && a->head == t->head,
              "rows out of order: %s", name_of(t));
    if (!is(t->flag, "ok") || !is(s->flag, "ok") || !is(a->flag, "ok"))
        return;
    double size = s->rel_l2 + a->rel_l2;
    GDN_CHECK(fabs(t->bias - s->bias - a->bias) <= 1e-12 * size, "biases of %s", name_of(t));
    GDN_CHECK(t->rel_l2 <= size * (1 + 1e-12) && t->rel_l2 >= fabs(s->rel_l2 - a->rel_l2) - 1e-12 * size,
              "%s", name_of(t));
}

START_TEST(storage_and_arithmetic)
{
    static const char *const files[] = {"fla_fp32", "fla_bf16"};
    for (int f = 0; f < 2; f++) {
        gdn_judge_options o = plain(golden_path(files[f]));
        o.profile = "a_log-bf16";
        gdn_judge *j = judged(&o);
        ck_assert(!j->given && noted(j, "--profile") && noted(j, "did not run on such"));
        int n = 0;
        for (int64_t i = 0; i < j->run[0].count; i++) {
            const gdn_row *t = &j->run[0].row[i];
            if (!is(t->kind, "total"))
                continue;
            const gdn_row *s = NULL, *a = NULL;
            for (int64_t k = i; k < j->run[0].count && !a; k++) {
                const gdn_row *r = &j->run[0].row[k];
                bool same = is(r->profile, t->profile) && is(r->quantity, t->quantity) &&
                            r->head == t->head && r->from == t->from && r->to == t->to;
                s = same && is(r->kind, "storage") ? r : s;
                a = same && is(r->kind, "arith") ? r : a;
            }
            GDN_CHECK(s && a, "no parts of %s", name_of(t));
            adds_up(t, s, a);
            n++;
        }
        ck_assert(n > 0);
        for (int i = 0; i < j->count; i++)
            adds_up(&j->judged[i].total->row, &j->judged[i].storage->row, &j->judged[i].arith->row);
        /* without --profile the same storage is named beside the output, to the bit */
        gdn_judge_options p = plain(golden_path(files[f]));
        gdn_judge *k = judged(&p);
        for (int i = 0; i < k->count; i++) {
            const gdn_judged *x = &k->judged[i], *y = output_of(j, x->output->tensor);
            GDN_CHECK(y->storage->row.rel_l2 > 1e-5, "%s", name_of(&y->storage->row));
            GDN_CHECK(x->stored[1] && gdn_same(x->stored[1]->row.rel_l2, y->storage->row.rel_l2), "%s",
                      name_of(&x->stored[1]->row));
        }
        done_with(k);
        done_with(j);
    }
}
END_TEST

/* A kernel that ran on A_log in bf16 and is right otherwise: all of its error is storage, and said to be. */
START_TEST(a_kernel_on_stored_parameters)
{
    dump x = dump_new(1, 100, 2, 2, 16, 16);
    x.stored = GDN_BF16;
    memset(x.state0, 0, 2 * 16 * 16 * sizeof *x.state0);
    dump_compute(&x, false);
    gdn_judge_options o = plain(dump_write(&x, "stored", "ipos", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    o.profile = "a_log-bf16";
    gdn_judge *j = judged(&o);
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *y = &j->judged[i];
        GDN_CHECK(y->arith->row.rel_l2 <= 0x1p-24 && y->storage->row.rel_l2 > 1e-4 &&
                      fabs(y->total->row.rel_l2 / y->storage->row.rel_l2 - 1) < 1e-3,
                  "arith %g, storage %g of %s", y->arith->row.rel_l2, y->storage->row.rel_l2,
                  name_of(&y->total->row));
    }
    ck_assert(!noted(j, "did not run on such"));
    done_with(j);
    /* what bf16 holds exactly costs exactly nothing */
    for (int h = 0; h < 2; h++)
        x.a_log[h] = (float)gdn_round(&gdn_formats[GDN_BF16], x.a_log[h]);
    o = plain(dump_write(&x, "exact", "ipos", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    j = judged(&o);
    for (int i = 0; i < j->count; i++) {
        const gdn_row *all = &j->judged[i].stored[0]->row, *one = &j->judged[i].stored[1]->row;
        GDN_CHECK(one->rel_l2 == 0 && is(one->flag, "ok") && all->rel_l2 > 1e-5, "%s", name_of(one));
    }
    done_with(j);
    dump_free(&x);
}
END_TEST

/* ---- the gate ---- */

START_TEST(gates)
{
    gdn_judge_options o = plain(golden_path("fla_fp32"));
    gdn_judge *given = judged(&o);
    o.params = true;
    gdn_judge *params = judged(&o);
    ck_assert(given->given && !params->given);
    ck_assert_int_eq(given->count, 5);
    ck_assert_int_eq(params->count, 5);
    for (int i = 0; i < 5; i++) {
        const gdn_judged *x = &given->judged[i], *y = output_of(params, x->output->tensor);
        double a = x->total->row.rel_l2, b = y->total->row.rel_l2;
        bool g = x->output->quantity == GDN_Q_G;
        /* g is off by 6e-8, and that now counts in the outputs too */
        GDN_CHECK(g ? a == b : a != b && fabs(a - b) < 2e-7, "%s: %g and %g", x->output->tensor, a, b);
    }
    done_with(given);
    done_with(params);
}
END_TEST

/* ---- limits ---- */

static int asked_for(const char *file, const char *option, const char *value, gdn_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", golden_path(file));
    return command(err, NULL, 0, path, "--quiet", option, value, NULL);
}

START_TEST(limits_and_exit_codes)
{
    gdn_error err;
    ck_assert_int_eq(asked_for("hf_layer_bf16", "--max-rel-l2", "0.005", &err), GDN_OK);
    ck_assert_int_eq(asked_for("hf_layer_bf16", "--max-rel-l2", "0.00161", &err), GDN_DIFFERS);
    ck_assert_msg(strstr(err.text, "3 of 5") && strstr(err.text, "chunk.out"), "%s", err.text);
    ck_assert_int_eq(asked_for("hf_layer_bf16", "--criterion", "fla", &err), GDN_OK);
    ck_assert_int_eq(asked_for("hf_layer_bf16", "--criterion", "flashqla", &err), GDN_OK);
    ck_assert_int_eq(asked_for("hf_layer_bf16", "--criterion", "llamacpp", &err), GDN_DIFFERS);
    ck_assert_msg(strstr(err.text, "2 of 4"), "%s", err.text); /* the states pass; y has no criterion */
    ck_assert_int_eq(asked_for("hf_layer_fp32", "--criterion", "llamacpp", &err), GDN_OK);
    ck_assert_int_eq(asked_for("hf_layer_fp32", "--criterion", "flashinfer", &err), GDN_BAD_INPUT);
}
END_TEST

/* FLA's recurrent kernels are held to 0.002, others to 0.005; what is below 1e-6 passes outright. */
START_TEST(criterion_of_fla)
{
    dump x = dump_new(1, 40, 4, 4, 16, 16);
    memset(x.state0, 0, 4 * 16 * 16 * sizeof *x.state0);
    dump_compute(&x, false);
    for (int i = 0; i < 40 * 4 * 16; i++)
        x.o[i] *= 1.003F;
    static const char *pairs[] = {"o:recurrent=mine.o", "o:chunk=mine.o"};
    for (int recurrent = 0; recurrent < 2; recurrent++) {
        gdn_judge_options o = plain(dump_write(&x, "off", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
        o.criterion = "fla";
        o.pair = &pairs[!recurrent];
        o.pairs = 1;
        gdn_judge *j = judged(&o);
        ck_assert_int_eq(j->count, 1);
        ck_assert_int_eq(j->judged[0].pass, recurrent ? GDN_PASS_NO : GDN_PASS_YES);
        done_with(j);
    }
    /* v and so o of some 1e-6: errors of half of that pass, ten times as large do not; |d|_2 is above 1e-6 */
    for (int large = 0; large < 2; large++) {
        for (int i = 0; i < 40 * 4 * 16; i++)
            x.v[i] *= large ? 10 : 1e-6F;
        dump_compute(&x, true);
        for (int i = 0; i < 40 * 4 * 16; i++)
            x.o[i] *= large ? 3 : 1.5F;
        gdn_judge_options o = plain(dump_write(&x, "small", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
        o.criterion = "fla";
        gdn_judge *j = judged(&o);
        ck_assert_msg(j->judged[0].pass == (large ? GDN_PASS_NO : GDN_PASS_YES), "%s", j->judged[0].verdict);
        ck_assert_int_eq(strstr(j->judged[0].verdict, "no error above 1e-06: passes outright") != NULL,
                         !large);
        ck_assert(large || sqrt(j->judged[0].total->sums.dd) > 1e-6);
        done_with(j);
    }
    dump_free(&x);
}
END_TEST

/* ---- what is not finite ---- */

START_TEST(not_finite)
{
    dump x = dump_new(1, 40, 4, 4, 16, 16);
    dump_compute(&x, true);
    x.o[(7 * 4 + 2) * 16 + 5] = NAN;
    x.o[(9 * 4 + 1) * 16 + 3] = -INFINITY;
    gdn_judge_options o = plain(dump_write(&x, "nan", "igos0", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    o.max_rel_l2 = 1e-3;
    gdn_judge *j = judged(&o);
    const gdn_judged *y = output_of(j, "mine.o"), *s = output_of(j, "mine.state");
    gdn_error err = {""};
    ck_assert_str_eq(y->total->row.flag, "nonfinite");
    ck_assert(isnan(y->total->row.rel_l2) && isnan(y->total->row.max_ulp) && isnan(y->total->row.cosine));
    ck_assert_int_eq(y->nonfinite, 2);
    ck_assert_str_eq(y->first, "[0, 7, 2, 5]");
    ck_assert_int_eq(y->pass, GDN_PASS_NO);
    ck_assert(!y->likeness.present);
    ck_assert_int_eq(s->pass, GDN_PASS_YES);
    ck_assert_int_eq(gdn_judge_failed(j, &err), GDN_DIFFERS);
    json_t *json = gdn_judge_to_json(j), *first = json_array_get(json_object_get(json, "outputs"), 0);
    ck_assert(json_is_null(json_object_get(first, "rel_l2")) &&
              json_is_false(json_object_get(first, "pass")));
    ck_assert_int_eq(json_integer_value(json_object_get(first, "nonfinite")), 2);
    json_decref(json);
    done_with(j);
    x.k[5] = INFINITY;
    o = plain(dump_write(&x, "nan", "igos0", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    gdn_judge broken;
    ck_assert_int_eq(gdn_judge_run(&broken, &o, &err), GDN_BAD_INPUT);
    ck_assert_msg(strstr(err.text, "'k'") && strstr(err.text, "[0, 0, 0, 5]"), "%s", err.text);
    gdn_judge_close(&broken);
    dump_free(&x);
}
END_TEST

/* A g of -inf is alpha = 0: what the kernel makes of it is judged. A truth that overflows is not. */
START_TEST(truth_without_end)
{
    dump x = dump_new(1, 40, 2, 2, 8, 8);
    gdn_error err = {""};
    dump_compute(&x, true);
    x.g[2 * 20] = -INFINITY;
    x.o[2 * 30 * 8] = NAN;
    gdn_judge_options o = plain(dump_write(&x, "end", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    o.max_rel_l2 = 10;
    gdn_judge *j = judged(&o);
    ck_assert_int_eq(output_of(j, "mine.o")->nonfinite, 1);
    ck_assert_int_eq(output_of(j, "mine.o")->pass, GDN_PASS_NO);
    done_with(j);
    x.g[2 * 20] = 0;
    x.o[2 * 30 * 8] = 0;
    for (int i = 0; i < 40 * 2 * 8; i++)
        x.k[i] = 0x1p30f;
    o = plain(dump_write(&x, "end", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    o.no_l2norm = true;
    gdn_judge broken;
    ck_assert_int_eq(gdn_judge_run(&broken, &o, &err), GDN_BAD_INPUT);
    ck_assert_msg(strstr(err.text, "no truth to compare 'mine.o' with"), "%s", err.text);
    gdn_judge_close(&broken);
    dump_free(&x);
}
END_TEST

/* Inputs of the wrong kind are pointed out, good ones are not. */
START_TEST(inputs_of_the_wrong_kind)
{
    dump x = dump_new(1, 10, 2, 2, 8, 8);
    dump_compute(&x, true);
    for (int wrong = 0; wrong < 2; wrong++) {
        if (wrong) {
            x.g[3] = 0.5f;
            x.beta[4] = -0.5f;
        }
        const gdn_judge_options o = plain(dump_write(&x, "kind", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
        gdn_judge *j = judged(&o);
        ck_assert_int_eq(noted(j, "1 of 20 elements of g"), wrong);
        ck_assert_int_eq(noted(j, "1 of 20 elements of beta"), wrong);
        done_with(j);
    }
    dump_free(&x);
}
END_TEST

/* ---- words ---- */

/* Pairs after --map and bare, and outputs of a name of one's own; the JSON has the keys. */
START_TEST(words_of_the_command)
{
    static char said[1 << 20];
    char path[4096];
    gdn_error err;
    snprintf(path, sizeof path, "%s", golden_path("hf_layer_fp32"));
    int status = command(&err, said, sizeof said, "--json", "-q", "--map", "q=chunk.query", "k=chunk.key",
                         path, "v=chunk.value", "--map", "beta=chunk.beta", "-m", "g=chunk.g",
                         "o:mine=chunk.out", "--max-rel-l2", "1", NULL);
    ck_assert_msg(status == GDN_OK, "%s", err.text);
    json_t *o = json_loads(said, 0, NULL), *outputs = json_object_get(o, "outputs"), *x;
    ck_assert_msg(outputs != NULL, "%s", said);
    ck_assert_str_eq(json_string_value(json_object_get(o, "file")), path);
    static const char *const of_reference[] = {"kind", "precision", "uncertainty"};
    static const char *const of_output[] = {"name",    "quantity",   "rel_l2",  "nmse", "bias",
                                            "max_ulp", "bits",       "cosine",  "pass", "per_head",
                                            "windows", "looks_like", "storage", "flag", "uncertainty"};
    for (size_t i = 0; i < 3; i++)
        ck_assert(json_object_get(json_object_get(o, "reference"), of_reference[i]));
    size_t n;
    bool mine = false;
    json_array_foreach(outputs, n, x)
    {
        for (size_t i = 0; i < sizeof of_output / sizeof of_output[0]; i++)
            ck_assert_msg(json_object_get(x, of_output[i]), "no %s", of_output[i]);
        ck_assert(json_is_true(json_object_get(x, "pass")));
        ck_assert(json_array_size(json_object_get(x, "per_head")) == 4);
        mine |= is(json_string_value(json_object_get(x, "kernel")), "mine");
    }
    ck_assert(mine);
    json_decref(o);
}
END_TEST

/* No line ends in a blank. */
static void no_blanks(const char *said)
{
    const char *at = strstr(said, " \n");
    GDN_CHECK(!at, "a blank at the end of a line: '%.*s'", at ? (int)(at - said) : 0, said);
}

/* Heads whose biases cancel: the pooled bias is near 0, each head's is told. One head, and none that is asked
 * about: no blanks at the ends. */
START_TEST(text_of_the_command)
{
    static char said[1 << 16];
    gdn_error err;
    char path[4096];
    dump x = dump_new(1, 70, 2, 2, 16, 16), one = dump_new(1, 70, 1, 1, 16, 16);
    dump_compute(&one, true);
    memset(x.state0, 0, 2 * 16 * 16 * sizeof *x.state0);
    dump_compute(&x, true);
    for (int i = 0; i < 70 * 2 * 16; i++)
        x.o[i] *= i / 16 % 2 ? 1.001F : 0.999F;
    snprintf(path, sizeof path, "%s", dump_write(&x, "text", "igposy", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    ck_assert_int_eq(command(&err, said, sizeof said, path, "-q", "--criterion", "flashqla", NULL), GDN_OK);
    const char *worst = strstr(said, "worst heads");
    GDN_CHECK(worst && strstr(worst, "1.000e-03  +1.00e-03") && strstr(worst, "1.000e-03  -1.00e-03"), "%s",
              said);
    no_blanks(said);
    snprintf(path, sizeof path, "%s", dump_write(&one, "text", "igposy", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    ck_assert_int_eq(command(&err, said, sizeof said, path, "-q", "--criterion", "flashqla", NULL),
                     GDN_DIFFERS);
    no_blanks(said);
    snprintf(path, sizeof path, "%s", golden_path("hf_layer_bf16"));
    ck_assert_int_eq(command(&err, said, sizeof said, path, "-q", NULL), GDN_OK);
    no_blanks(said);
    dump_free(&x);
    dump_free(&one);
}
END_TEST

/* An o in fp64 is judged by double-double, which the JSON names; one in fp16 has no ulps. */
START_TEST(rungs_and_types)
{
    static const struct {
        const char *which, *kind;
        bool ulps;
    } ways[] = {{"igd", "dd", true}, {"igo", "fp64", true}, {"igh", "fp64", false}};
    for (int way = 0; way < 3; way++) {
        dump x = dump_new(1, 20, 2, 2, 8, 8);
        memset(x.state0, 0, 2 * 8 * 8 * sizeof *x.state0);
        dump_compute(&x, true);
        for (int i = 0; i < 20 * 2 * 8; i++)
            x.wide[i] *= 1 + 2e-14;
        gdn_judge_options o = plain(dump_write(&x, "rung", ways[way].which, GDN_LAYOUT_BTHD, GDN_STATE_KV));
        gdn_judge *j = judged(&o);
        json_t *json = gdn_judge_to_json(j), *reference = json_object_get(json, "reference"),
               *first = json_array_get(json_object_get(json, "outputs"), 0);
        ck_assert_str_eq(json_string_value(json_object_get(reference, "kind")), ways[way].kind);
        ck_assert_str_eq(json_string_value(json_object_get(first, "reference")), ways[way].kind);
        ck_assert_int_eq(json_is_null(json_object_get(first, "max_ulp")), !ways[way].ulps);
        ck_assert(json_is_real(json_object_get(first, "rel_l2")));
        json_decref(json);
        done_with(j);
        dump_free(&x);
    }
}
END_TEST

/* A scale of either sign, as in an experiment's file. */
START_TEST(negative_scale)
{
    dump x = dump_new(1, 20, 2, 2, 8, 8);
    gdn_error err;
    x.scale = -0.25;
    for (int i = 0; i < 2 * 8 * 8; i++)
        x.state0[i] = 0;
    dump_compute(&x, true);
    char path[4096];
    snprintf(path, sizeof path, "%s", dump_write(&x, "scaled", "igo", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    ck_assert_int_eq(command(&err, NULL, 0, path, "-q", "--scale", "-0.25", "--max-rel-l2", "1e-6", NULL),
                     GDN_OK);
    ck_assert_int_eq(command(&err, NULL, 0, path, "-q", "--scale", "0.25", "--max-rel-l2", "1e-6", NULL),
                     GDN_DIFFERS);
    dump_free(&x);
}
END_TEST

/* Every row of every head, in the format of cells.csv. */
START_TEST(rows_as_csv)
{
    char path[4096], csv[128], line[1 << 14], header[2048];
    gdn_error err;
    snprintf(path, sizeof path, "%s", golden_path("fla_fp32"));
    snprintf(csv, sizeof csv, "%s/rows.csv", scratch);
    ck_assert_int_eq(command(&err, NULL, 0, path, "-q", "--csv", csv, NULL), GDN_OK);
    FILE *f = fopen(csv, "r");
    GDN_CHECK(f && fgets(line, sizeof line, f), "no %s", csv);
    gdn_row_csv_header(header, sizeof header);
    line[strcspn(line, "\n")] = 0;
    ck_assert_str_eq(line, header);
    int n = 0;
    while (fgets(line, sizeof line, f))
        n++;
    fclose(f);
    /* two heads; o: 8 windows and the whole, twice; states once each; g as o; stored twice: g and o as o, a
     * state */
    ck_assert_int_eq(n, 2 * (2 * 9 + 2 + 9 + 2 * (9 + 9 + 1)));
}
END_TEST

/* What docs/judge.md quotes below its commands is printed by them, line by line in this order. */
START_TEST(the_document)
{
    static char said[1 << 20], line[4096];
    const char *at = said;
    int commands = 0, lines = 0;
    bool inside = false;
    FILE *f = fopen("docs/judge.md", "r");
    GDN_CHECK(f, "no docs/judge.md");
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "```", 3) == 0) {
            inside = strncmp(line, "```console", 10) == 0;
        } else if (inside && strncmp(line, "$ gdnprec judge ", 16) == 0) {
            char *argv[16] = {(char *)(uintptr_t) "gdnprec judge", (char *)(uintptr_t) "--quiet"}, *left;
            int argc = 2;
            gdn_error err;
            for (char *w = strtok_r(line + 16, " \n", &left); w && argc < 15;
                 w = strtok_r(NULL, " \n", &left))
                argv[argc++] = w;
            ck_assert_msg(run_command(&err, said, sizeof said, argc, argv) == GDN_OK, "%s", err.text);
            at = said;
            commands++;
        } else if (inside) {
            at = strstr(at, line);
            GDN_CHECK(at, "not printed, or not there: %s in\n%s", line, said);
            lines++;
        }
    }
    fclose(f);
    ck_assert(commands > 0 && lines > 4);
}
END_TEST

START_TEST(sentences)
{
    static const struct {
        const char *which; /* tensors of the dump; NULL: the golden fla_fp32 */
        const char *words[4];
        const char *says;
    } all[] = {
        {NULL, {"--map", "qq=q"}, "did you mean 'q'?"},
        {NULL, {"--map", "betta=beta"}, "did you mean 'beta'?"},
        {NULL, {"--map", "q=chunk.outt"}, "did you mean 'chunk.out'?"},
        {NULL, {"--map", "q"}, "role=tensor is wanted"},
        {NULL, {"--map", "q=q", "q=k"}, "told already"},
        {NULL, {"--map", "q=k"}, "no tensor is known to be k ('k' is q by --map)"},
        {NULL, {"--map", "o=beta"}, "neither beta nor b is there ('beta' is an output by --map)"},
        {NULL, {"--scale", "0"}, "a finite number other than 0"},
        {NULL, {"--map", "k=A_log"}, "A_log"},
        {NULL, {"--map", "v=a"}, "layout is bthd"},
        {NULL, {"--map", "state=chunk.out"}, "shape"},
        {NULL, {"--gate", "guess"}, "given and params"},
        {NULL, {"--gate", "given", "--profile", "all-bf16"}, "--gate given"},
        {NULL, {"--profile", "all-bf61"}, "did you mean 'all-bf16'?"},
        {NULL, {"--criterion", "flashql"}, "did you mean 'flashqla'?"},
        {NULL, {"--layout", "thd"}, "bthd and bhtd"},
        {NULL, {"--head", "2"}, "0 to 1"},
        {NULL, {"another"}, "another"},
        {"ios", {NULL}, "neither g nor all of a, A_log and dt_bias"},
        {"igos", {"--gate", "params"}, "--gate params"},
        {"igos", {"--profile", "all-bf16"}, "--profile"},
        {"ipos", {"--gate", "given"}, "there is no g"},
        {"ig", {NULL}, "no output"},
        {"gos", {NULL}, "no tensor is known to be q"},
    };
    dump x = dump_new(1, 8, 2, 2, 16, 16);
    dump_compute(&x, false);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        char path[4096];
        gdn_error err;
        snprintf(path, sizeof path, "%s",
                 all[i].which ? dump_write(&x, "said", all[i].which, GDN_LAYOUT_BTHD, GDN_STATE_KV)
                              : golden_path("fla_fp32"));
        int status = command(&err, NULL, 0, path, "-q", all[i].words[0], all[i].words[1], all[i].words[2],
                             all[i].words[3], NULL);
        GDN_CHECK(status == GDN_BAD_INPUT && strstr(err.text, all[i].says), "%zu: %d, '%s' instead of '%s'",
                  i, status, err.text, all[i].says);
    }
    dump_free(&x);
}
END_TEST

/* What is there twice, or is of no use, is said and not guessed at. */
START_TEST(notes)
{
    dump x = dump_new(1, 24, 2, 2, 16, 16);
    dump_compute(&x, false);
    static const char *pairs[] = {"b=a"};
    gdn_judge_options o = plain(dump_write(&x, "noted", "igpos", GDN_LAYOUT_BTHD, GDN_STATE_KV));
    o.pair = pairs;
    o.pairs = 1;
    gdn_judge *j = judged(&o);
    ck_assert(noted(j, "beta is used, b is not"));
    done_with(j);
    o = plain(golden_path("hf_layer_fp32"));
    j = judged(&o);
    ck_assert(noted(j, "the parameters play no role"));
    bool hidden = false, g = false;
    for (int i = 0; i < j->file.unuseds; i++) {
        hidden |= is(j->file.unused[i], "hidden_states");
        g |= is(j->file.unused[i], "chunk.g");
    }
    ck_assert(hidden && !g);
    done_with(j);
    dump_free(&x);
}
END_TEST

GDN_TASK_TEST_MAIN("judge", figures_of_the_golden_files, out_norm_of_the_golden_files,
                   causes_of_the_golden_files, what_is_right_is_called_right, layouts, transposed_states,
                   storage_and_arithmetic, a_kernel_on_stored_parameters, gates, limits_and_exit_codes,
                   criterion_of_fla, not_finite, truth_without_end, inputs_of_the_wrong_kind,
                   words_of_the_command, text_of_the_command, rungs_and_types, negative_scale, rows_as_csv,
                   the_document, sentences, notes)
