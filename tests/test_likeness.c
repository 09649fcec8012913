/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_likeness -- is a kernel known by its errors? Other people's, of tests/golden; and our own recipes in
 * another order of sums: the rows of k and q permuted, which changes no exact value.
 */
#include "tests/task_test.h"

#include "harness/likeness.h"
#include "kernels/engines.h"
#include "reference/gdn_fp64.h"

/* ---- running it ---- */

static void show(const char *what, gdn_quantity q, const gdn_likeness *x)
{
    if (!getenv("GDN_SHOW"))
        return;
    printf("%s, %s: rel_l2 %.3e, grid %s, %s: %s\n", what, gdn_quantity_names[q], x->rel_l2,
           gdn_formats[x->grid].name, gdn_likeness_verdict_names[x->verdict], x->text);
    for (int i = 0; i < x->rows && is(getenv("GDN_SHOW"), "rows"); i++)
        printf("    %-32s correlation %7.4f  size %9.4g  explained %9.4g\n", x->row[i].name,
               x->row[i].correlation, x->row[i].size, x->row[i].explained);
}

/* The first recording of the experiment's only population. */
static void find(const gdn_experiment *e, int threads, gdn_likeness out[GDN_QUANTITIES])
{
    gdn_source *s = NULL;
    gdn_error err = {""};
    GDN_CHECK(gdn_source_open(e, 0, 1, 512, &s, &err) == GDN_OK, "%s", err.text);
    GDN_CHECK(gdn_likeness_find(s, &s->recorded[0], NULL, threads, out, &err) == GDN_OK, "%s", err.text);
    gdn_source_close(s);
}

/* Fails unless the verdict is this one and names this candidate. name: NULL: any */
static void verdict_is(const char *what, gdn_quantity q, const gdn_likeness *x, gdn_likeness_verdict verdict,
                       const char *name)
{
    show(what, q, x);
    GDN_CHECK(x->present, "%s: no %s", what, gdn_quantity_names[q]);
    GDN_CHECK(x->verdict == verdict, "%s, %s: '%s', not %s", what, gdn_quantity_names[q], x->text,
              gdn_likeness_verdict_names[verdict]);
    GDN_CHECK(!name || (x->best >= 0 && is(x->row[x->best].name, name)), "%s, %s: '%s', not %s", what,
              gdn_quantity_names[q], x->text, name);
}

/* ---- other people's kernels ---- */

/* Who ran, and what its output and state must be called; explained by it at least. */
static const struct {
    const char *file, *kernel;
    struct {
        gdn_likeness_verdict verdict;
        const char *name, *word; /* of the text */
    } of[2];                     /* output, state */
} goldens[] = {
    {"fla_fp32",
     "chunk",
     {{GDN_LIKENESS_SAME, "chunk-tf32", "TF32"}, {GDN_LIKENESS_SAME, "chunk-tf32", "TF32"}}},
    {"fla_fp32",
     "recurrent",
     {{GDN_LIKENESS_SAME, "fp32-drift", "fp32"}, {GDN_LIKENESS_SAME, "fp32-drift", "fp32"}}},
    {"fla_bf16",
     "chunk",
     {{GDN_LIKENESS_SAME, "chunk-bf16", "bf16 cast points"},
      {GDN_LIKENESS_SAME, "chunk-bf16", "bf16 cast points"}}},
    {"fla_bf16",
     "recurrent",
     {{GDN_LIKENESS_SAME, "round-bf16", "bf16 output rounding"}, {GDN_LIKENESS_SAME, "fp32-drift", "fp32"}}},
    {"hf_layer_bf16",
     "chunk",
     {{GDN_LIKENESS_SAME, "round-bf16", "bf16 output rounding"},
      {GDN_LIKENESS_SIZE, "chunk-fp32", "fp32 rounding noise"}}},
    {"hf_layer_bf16",
     "recurrent",
     {{GDN_LIKENESS_SAME, "round-bf16", "bf16 output rounding"},
      {GDN_LIKENESS_SAME, "fp32", "fp32 throughout"}}},
    {"hf_layer_fp32",
     "chunk",
     {{GDN_LIKENESS_SIZE, NULL, "fp32 rounding noise"}, {GDN_LIKENESS_SIZE, NULL, "fp32 rounding noise"}}},
    {"hf_layer_fp32",
     "recurrent",
     {{GDN_LIKENESS_SIZE, NULL, "fp32 rounding noise"}, {GDN_LIKENESS_SIZE, NULL, "fp32"}}},
    {"hf_layer_fp32_d128",
     "chunk",
     {{GDN_LIKENESS_SIZE, NULL, "fp32 rounding noise"}, {GDN_LIKENESS_SIZE, NULL, "fp32 rounding noise"}}},
    {"hf_layer_fp32_d128",
     "recurrent",
     {{GDN_LIKENESS_SIZE, NULL, "fp32"}, {GDN_LIKENESS_SAME, "fp32", "fp32 throughout"}}},
};

/* The experiment of a golden file; NULL where there is none. */
static gdn_experiment *golden_experiment(const char *file, const char *kernel)
{
    char folder[4096], path[4200];
    const char *given = getenv("GDN_GOLDEN");
    bool hf = strncmp(file, "hf", 2) == 0;
    if (!realpath(given ? given : "tests/golden", folder))
        return NULL;
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, file);
    if (access(path, F_OK) != 0)
        return NULL;
    return experiment(
        "experiment: t\nquestion: q\nprofiles: [fp32]\npopulations:\n  - name: p\n    file: {path: "
        "'%s', q: %s, k: %s, v: %s, g: %s, beta: %s%s}\n"
        "    recorded: [{name: r, o: %s.out, state: %s.state%s}]\n",
        path, hf ? "chunk.query" : "q", hf ? "chunk.key" : "k", hf ? "chunk.value" : "v",
        hf ? "chunk.g" : "g", hf ? "chunk.beta" : "beta",
        hf ? ", z: norm.gate, norm_weight: linear_attn.norm.weight" : "", kernel, kernel,
        hf && is(kernel, "chunk") ? ", y: norm.out" : "");
}

START_TEST(golden)
{
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        gdn_likeness x[GDN_QUANTITIES];
        gdn_experiment *e = golden_experiment(goldens[i].file, goldens[i].kernel);
        if (!e) {
            fprintf(stderr, "test_likeness: no %s; not tested\n", goldens[i].file);
            continue;
        }
        char what[64];
        snprintf(what, sizeof what, "%s %s", goldens[i].file, goldens[i].kernel);
        find(e, 2, x);
        if (x[GDN_Q_Y].present && is(goldens[i].file, "hf_layer_bf16"))
            verdict_is(what, GDN_Q_Y, &x[GDN_Q_Y], GDN_LIKENESS_SAME, "hf");
        static const gdn_quantity of[] = {GDN_Q_O, GDN_Q_STATE};
        for (int j = 0; j < 2; j++) {
            verdict_is(what, of[j], &x[of[j]], goldens[i].of[j].verdict, goldens[i].of[j].name);
            GDN_CHECK(strstr(x[of[j]].text, goldens[i].of[j].word), "%s: '%s' does not say '%s'", what,
                      x[of[j]].text, goldens[i].of[j].word);
        }
        gdn_experiment_free(e);
    }
}
END_TEST

/* ---- our own recipes, their sums in another order ---- */

/* A problem with g and beta given; `slow`: memory of hundreds of tokens, else of a few. bf16: q, k, v, beta
 * of bf16 values. */
static gdn_problem make(gdn_shape shape, int tokens, uint64_t seed, bool slow, bool bf16)
{
    gdn_problem p = gdn_problem_new(shape, tokens, seed);
    size_t rows = gdn_problem_rows(&p);
    p.g = gdn_test_alloc(rows, sizeof *p.g);
    p.beta = gdn_test_alloc(rows, sizeof *p.beta);
    for (size_t i = 0; i < rows; i++) {
        p.g[i] = (float)-exp(gdn_test_uniform(&seed, slow ? -9 : -4, slow ? -3 : 1));
        p.beta[i] = (float)gdn_test_uniform(&seed, 0.05, 0.95);
        if (bf16)
            p.beta[i] = gdn_bf16_to_float(gdn_float_to_bf16(p.beta[i]));
    }
    float *all[] = {p.q, p.k, p.v};
    const size_t width[] = {(size_t)shape.dk, (size_t)shape.dk, (size_t)shape.dv};
    for (int x = 0; x < 3 && !bf16; x++)
        for (size_t i = 0; i < rows * width[x]; i++)
            all[x][i] = (float)gdn_test_uniform(&seed, -2, 2);
    return p;
}

/* Row i of k and q, and of the state, goes to this row. */
static size_t place(int i, int dk)
{
    return (size_t)((i * 7 + 3) % dk); /* dk is no multiple of 7 */
}

/* x: [rows][dk] with its numbers permuted. */
static float *permuted(const float *x, size_t rows, int dk)
{
    float *y = gdn_test_alloc(rows * (size_t)dk, sizeof *y);
    for (size_t t = 0; t < rows; t++)
        for (int i = 0; i < dk; i++)
            y[t * (size_t)dk + place(i, dk)] = x[t * (size_t)dk + (size_t)i];
    return y;
}

/* What the recipe makes of the permuted problem, the state's rows put back. */
static gdn_result run_permuted(const gdn_problem *p, const gdn_engine *engine, const gdn_recipe *recipe)
{
    gdn_problem other = *p;
    int dk = p->shape.dk;
    size_t dv = (size_t)p->shape.dv;
    other.q = permuted(p->q, gdn_problem_rows(p), dk);
    other.k = permuted(p->k, gdn_problem_rows(p), dk);
    gdn_result r = gdn_problem_run(&other, engine, recipe, &p->tokens, 1);
    double *state = gdn_test_alloc(gdn_problem_state(p), sizeof *state);
    for (size_t h = 0; h < (size_t)p->shape.heads; h++)
        for (int i = 0; i < dk; i++)
            memcpy(state + (h * (size_t)dk + (size_t)i) * dv, r.state + (h * (size_t)dk + place(i, dk)) * dv,
                   dv * sizeof *state);
    free(r.state);
    r.state = state;
    free(other.q);
    free(other.k);
    return r;
}

/* [H][T][d] as [T][H][d] */
static float *by_token(const gdn_problem *p, const float *x, int d)
{
    size_t H = (size_t)p->shape.heads, T = (size_t)p->tokens, n = (size_t)d;
    float *y = gdn_test_alloc(H * T * n, sizeof *y);
    for (size_t i = 0; i < H * T; i++)
        memcpy(y + (i % T * H + i / T) * n, x + i * n, n * sizeof *y);
    return y;
}

static float *floats_of(const double *x, size_t n)
{
    float *y = gdn_test_alloc(n, sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i];
    return y;
}

/*
 * The problem and these outputs as a file, and an experiment that reads it; `file` and `population` are more
 * words of these, and one more tensor may be given.
 */
static gdn_experiment *recorded_from(const gdn_problem *p, const gdn_result *r, const char *file,
                                     const char *population, const tensor *more)
{
    int H = p->shape.heads, T = p->tokens, dk = p->shape.dk, dv = p->shape.dv;
    float *state = floats_of(r->state, gdn_problem_state(p)), *o = floats_of(r->o, gdn_problem_values(p)),
          *all[] = {by_token(p, p->q, dk),
                    by_token(p, p->k, dk),
                    by_token(p, p->v, dv),
                    by_token(p, p->g, 1),
                    by_token(p, p->beta, 1),
                    by_token(p, o, dv),
                    state};
    tensor t[] = {{"q", 3, {T, H, dk}, all[0]},  {"k", 3, {T, H, dk}, all[1]},
                  {"v", 3, {T, H, dv}, all[2]},  {"g", 2, {T, H}, all[3]},
                  {"beta", 2, {T, H}, all[4]},   {"o", 3, {T, H, dv}, all[5]},
                  {"S", 3, {H, dk, dv}, all[6]}, {NULL}};
    if (more)
        t[7] = *more;
    write_tensors("made.safetensors", t, more ? 8 : 7);
    for (int i = 0; i < 7; i++)
        free(all[i]);
    free(o);
    return experiment(
        "experiment: t\nquestion: q\nprofiles: [fp32]\npopulations:\n  - name: p\n    file: {path: "
        "made.safetensors, q: q, k: k, v: v, g: g, beta: beta%s}\n%s    recorded: [{name: r, o: o, "
        "state: S}]\n",
        file, population);
}

static gdn_experiment *recorded(const gdn_problem *p, const gdn_result *r)
{
    return recorded_from(p, r, "", "", NULL);
}

static const gdn_shape shapes[] = {{2, 16, 24}, {3, 64, 32}, {2, 128, 128}};
static const int lengths[] = {64, 333, 150};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/*
 * Which recipe runs on which tensors, and what its output and state must be called. NULL: noise of fp32, in
 * which another order of sums may leave nothing in common.
 */
static const struct {
    const char *recipe;
    bool bf16;
    const char *o, *state;
} known[] = {
    {"chunk-tf32", false, "chunk-tf32", "chunk-tf32"},
    {"chunk-tf32", true, "chunk-tf32", "chunk-tf32"},
    {"chunk-bf16", true, "chunk-bf16", "chunk-bf16"},
    {"chunk-bf16", false, "chunk-bf16", "chunk-bf16"},
    {"bf16-io", true, "round-bf16", NULL},
    {"bf16-io", false, "bf16-io", "bf16-io"},
    {"hf", true, "round-bf16", NULL},
    {"bf16-state", true, "bf16-state", "bf16-state"},
    {"fp32", false, NULL, NULL},
    {"chunk-fp32", false, NULL, NULL},
};

static void known_as(const char *what, gdn_quantity q, const gdn_likeness *x, const char *name)
{
    if (name) {
        verdict_is(what, q, x, GDN_LIKENESS_SAME, name);
        return;
    }
    show(what, q, x);
    GDN_CHECK(x->verdict == GDN_LIKENESS_SAME || x->verdict == GDN_LIKENESS_SIZE, "%s: '%s'", what, x->text);
    GDN_CHECK(strncmp(x->text, "fp32 ", 5) == 0, "%s: '%s' is not fp32", what, x->text);
}

START_TEST(our_own)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        for (int s = 0; s < SHAPES; s++) {
            gdn_likeness x[GDN_QUANTITIES];
            char what[96];
            bool slow = (i + (size_t)s) % 2;
            const gdn_recipe *recipe = gdn_recipe_by_name(known[i].recipe);
            gdn_problem p = make(shapes[s], lengths[s], 11 + i * 10 + (unsigned)s, slow, known[i].bf16);
            gdn_result r = run_permuted(&p, gdn_recipe_engine(recipe), recipe);
            gdn_experiment *e = recorded(&p, &r);
            snprintf(what, sizeof what, "%s on %s, d = %d, T = %d, %s", recipe->name,
                     known[i].bf16 ? "bf16" : "fp32", p.shape.dk, p.tokens, slow ? "slow" : "fast");
            find(e, 2, x);
            known_as(what, GDN_Q_O, &x[GDN_Q_O], known[i].o);
            known_as(what, GDN_Q_STATE, &x[GDN_Q_STATE], known[i].state);
            gdn_experiment_free(e);
            gdn_result_free(&r);
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---- TF32 by somebody else's hand ---- */

enum { C = 64, MOST = 128 };

typedef double (*operand)(double x);

static double cut11(double x)
{
    double y = gdn_round(&gdn_formats[GDN_TF32], x);
    return fabs(y) > fabs(x) ? y - copysign(gdn_ulp(&gdn_formats[GDN_TF32], x), x) : y;
}

static double nearest11(double x)
{
    return gdn_round(&gdn_formats[GDN_TF32], x);
}

/* out = a b or a b^T, sums in double: out [m][n], a [m][l], b [l][n] or [n][l] */
static void times(operand op, int m, int n, int l, const double *a, const double *b, bool transposed,
                  double *out)
{
    static double left[MOST * MOST], right[MOST * MOST];
    for (int i = 0; i < m * l; i++)
        left[i] = op(a[i]);
    for (int i = 0; i < l * n; i++)
        right[i] = op(b[i]);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int x = 0; x < l; x++)
                sum += left[i * l + x] * right[transposed ? j * l + x : x * n + j];
            out[i * n + j] = (float)sum;
        }
}

/*
 * The chunked form as torch code writes it: q and k scaled by scale, beta or a decay before they are
 * multiplied, every product in TF32, the inverse in fp32, numbers in fp32. One chunk of one head; s: [dk][dv]
 */
static void torch_chunk(operand op, int n, int dk, int dv, const double *q, const double *k, const double *v,
                        const float *g, const float *beta, double *s, double *o)
{
    static double kb[C * MOST], kbg[C * MOST], vb[C * MOST], l[C * C], m[C * C], u[C * MOST], w[C * MOST],
        ws[C * MOST], qg[C * MOST], p[C * C], pv[C * MOST], kg[MOST * C], add[MOST * MOST];
    double sum[C], G = 0;
    for (int i = 0; i < n; i++) {
        sum[i] = G += g[i];
        for (int d = 0; d < dk; d++) {
            kb[i * dk + d] = (float)(k[i * dk + d] * beta[i]);
            kbg[i * dk + d] = (float)(kb[i * dk + d] * exp(sum[i]));
            qg[i * dk + d] = (float)(q[i * dk + d] * exp(sum[i]));
        }
        for (int j = 0; j < dv; j++)
            vb[i * dv + j] = (float)(v[i * dv + j] * beta[i]);
    }
    times(op, n, n, dk, kb, k, true, l);
    times(op, n, n, dk, q, k, true, p);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            p[i * n + j] = j <= i ? (float)(p[i * n + j] * exp(sum[i] - sum[j])) : 0;
            m[i * n + j] = i == j;
            for (int x = 0; x < i && j < i; x++)
                m[i * n + j] -= (float)(l[i * n + x] * exp(sum[i] - sum[x])) * m[x * n + j];
        }
    times(op, n, dv, n, m, vb, false, u);
    times(op, n, dk, n, m, kbg, false, w);
    times(op, n, dv, dk, w, s, false, ws);
    for (int i = 0; i < n * dv; i++)
        u[i] = (float)(u[i] - ws[i]);
    times(op, n, dv, dk, qg, s, false, o);
    times(op, n, dv, n, p, u, false, pv);
    for (int i = 0; i < n * dv; i++)
        o[i] = (float)(o[i] + pv[i]);
    for (int i = 0; i < n; i++)
        for (int d = 0; d < dk; d++)
            kg[d * n + i] = (float)(k[i * dk + d] * exp(G - sum[i]));
    times(op, dk, dv, n, kg, u, false, add);
    for (int i = 0; i < dk * dv; i++)
        s[i] = (float)(s[i] * exp(G) + add[i]);
}

/* x rsqrt(sum x^2 + 1e-6) by */
static void normalised(const float *x, int d, double by, double *out)
{
    double sum = 0;
    for (int i = 0; i < d; i++)
        sum += (double)x[i] * x[i];
    for (int i = 0; i < d; i++)
        out[i] = (float)(x[i] / sqrt(sum + 1e-6) * by);
}

static gdn_result torch_tf32(const gdn_problem *p, operand op)
{
    gdn_result r = gdn_result_new(p);
    size_t dk = (size_t)p->shape.dk, dv = (size_t)p->shape.dv;
    static double q[C * MOST], k[C * MOST], v[C * MOST];
    for (int h = 0; h < p->shape.heads; h++)
        for (int t = 0; t < p->tokens; t += C) {
            int n = p->tokens - t < C ? p->tokens - t : C;
            size_t at = (size_t)h * (size_t)p->tokens + (size_t)t;
            for (size_t i = 0; i < (size_t)n; i++) {
                normalised(p->q + (at + i) * dk, (int)dk, 1 / sqrt((double)dk), q + i * dk);
                normalised(p->k + (at + i) * dk, (int)dk, 1, k + i * dk);
                for (size_t j = 0; j < dv; j++)
                    v[i * dv + j] = p->v[(at + i) * dv + j];
            }
            torch_chunk(op, n, (int)dk, (int)dv, q, k, v, p->g + at, p->beta + at,
                        r.state + (size_t)h * dk * dv, r.o + at * dv);
        }
    return r;
}

/* Cut off it has the bias of chunk-tf32 whatever is multiplied by what; to nearest only the size is left. */
START_TEST(tf32_of_torch)
{
    static const struct {
        const char *name;
        operand op;
        gdn_likeness_verdict verdict;
        const char *called;
    } ways[] = {{"cut", cut11, GDN_LIKENESS_SAME, "chunk-tf32"},
                {"to nearest", nearest11, GDN_LIKENESS_SIZE, "chunk-tf32-nearest"}};
    for (int way = 0; way < 2; way++)
        for (int s = 0; s < 4; s++) {
            gdn_likeness x[GDN_QUANTITIES];
            char what[96];
            gdn_problem p = make(shapes[s % 2], lengths[s % 2], 71 + (unsigned)s, s >= 2, false);
            gdn_result r = torch_tf32(&p, ways[way].op);
            gdn_experiment *e = recorded(&p, &r);
            snprintf(what, sizeof what, "torch, tf32 %s, d = %d, T = %d, %s", ways[way].name, p.shape.dk,
                     p.tokens, s >= 2 ? "slow" : "fast");
            find(e, 2, x);
            verdict_is(what, GDN_Q_O, &x[GDN_Q_O], ways[way].verdict, ways[way].called);
            verdict_is(what, GDN_Q_STATE, &x[GDN_Q_STATE], ways[way].verdict, ways[way].called);
            GDN_CHECK(strstr(x[GDN_Q_O].text, "TF32"), "'%s'", x[GDN_Q_O].text);
            gdn_experiment_free(e);
            gdn_result_free(&r);
            gdn_problem_free(&p);
        }
}
END_TEST

/* ---- outputs made from the truth ---- */

static double to_bf16(double x, double noise)
{
    (void)noise;
    return gdn_round(&gdn_formats[GDN_BF16], x);
}

static double cut_to_bf16(double x, double noise)
{
    double y = to_bf16(x, noise);
    return fabs(y) > fabs(x) ? y - copysign(gdn_ulp(&gdn_formats[GDN_BF16], x), x) : y;
}

static double to_fp16(double x, double noise)
{
    (void)noise;
    return gdn_round(&gdn_formats[GDN_FP16], x);
}

static double to_fp32(double x, double noise)
{
    (void)noise;
    return (float)x;
}

/* Off by 1.7e-3 and so on, rms, of the value itself: sqrt 3 times a uniform number. */
#define OFF(name, by)                                                                                        \
    static double name(double x, double noise)                                                               \
    {                                                                                                        \
        return x * (1 + 1.7320508 * (by)*noise);                                                             \
    }
static double shrunk(double x, double noise)
{
    (void)noise;
    return x * (1 - 1.25e-3);
}

OFF(off_fp32, 2e-7)
OFF(off_between, 2e-5)
OFF(off_tf32, 1.5e-3)
OFF(off_far, 0.5)

static const struct {
    const char *name;
    double (*of)(double x, double noise);
    gdn_likeness_verdict verdict;
    const char *called; /* NULL: any */
    gdn_format_id grid;
} made[] = {
    {"to bf16", to_bf16, GDN_LIKENESS_SAME, "round-bf16", GDN_BF16},
    {"cut to bf16", cut_to_bf16, GDN_LIKENESS_SAME, "cut-bf16", GDN_BF16},
    {"to fp16", to_fp16, GDN_LIKENESS_SAME, "round-fp16", GDN_FP16},
    {"to fp32", to_fp32, GDN_LIKENESS_SAME, "round-fp32", GDN_FP32},
    {"a factor", shrunk, GDN_LIKENESS_SAME, "factor", GDN_FP32},
    {"noise of fp32's size", off_fp32, GDN_LIKENESS_SIZE, NULL, GDN_FP32},
    {"noise of no size", off_between, GDN_LIKENESS_NONE, NULL, GDN_FP32},
    {"noise of tf32's size", off_tf32, GDN_LIKENESS_SIZE, NULL, GDN_FP32},
    {"noise beyond all", off_far, GDN_LIKENESS_NONE, NULL, GDN_FP32},
};

START_TEST(made_from_the_truth)
{
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        for (int s = 0; s < SHAPES; s++) {
            gdn_likeness x[GDN_QUANTITIES];
            uint64_t seed = 5 + i + (unsigned)s;
            gdn_problem p = make(shapes[s], 66, 31 + (unsigned)s, s == 1, true);
            gdn_result r = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1);
            for (size_t j = 0; j < gdn_problem_values(&p); j++)
                r.o[j] = made[i].of(r.o[j], gdn_test_uniform(&seed, -1, 1));
            for (size_t j = 0; j < gdn_problem_state(&p); j++)
                r.state[j] = made[i].of(r.state[j], gdn_test_uniform(&seed, -1, 1));
            gdn_experiment *e = recorded(&p, &r);
            find(e, 2, x);
            static const gdn_quantity of[] = {GDN_Q_O, GDN_Q_STATE};
            for (int j = 0; j < 2; j++) {
                verdict_is(made[i].name, of[j], &x[of[j]], made[i].verdict, made[i].called);
                ck_assert_int_eq(x[of[j]].grid, made[i].grid);
                ck_assert_int_eq(x[of[j]].tokens, 66);
            }
            gdn_experiment_free(e);
            gdn_result_free(&r);
            gdn_problem_free(&p);
        }
}
END_TEST

/* x[n]: the truth and an error e; a quarter of e is taken, and noise that leaves `part` of the whole to it.
 */
static void spoil(double *x, const double *truth, size_t n, double part, uint64_t *seed)
{
    double energy = 0;
    for (size_t i = 0; i < n; i++)
        energy += (x[i] - truth[i]) * (x[i] - truth[i]) / 16;
    double noise = sqrt(3 * energy / (double)n * (1 - part) / part);
    for (size_t i = 0; i < n; i++)
        x[i] = truth[i] + (x[i] - truth[i]) / 4 + noise * gdn_test_uniform(seed, -1, 1);
}

/*
 * A decay 1 - 2^-24 times what it should be, in double: fp32's own size, but of one sign. It is the cause of
 * an error of which it is more than half; where it is less, far beyond chance, it is not.
 */
START_TEST(drift)
{
    static const double parts[] = {1, 0.65, 0.35};
    for (int way = 0; way < 3; way++) {
        gdn_likeness x[GDN_QUANTITIES];
        gdn_problem p = make((gdn_shape){3, 64, 32}, 300, 77, true, true), off = p;
        uint64_t seed = 9;
        off.g = gdn_test_alloc(gdn_problem_rows(&p), sizeof *off.g);
        for (size_t i = 0; i < gdn_problem_rows(&p); i++) {
            p.g[i] = rintf(p.g[i] * 0x1p20f) * 0x1p-20f; /* so that the sum is exact */
            off.g[i] = p.g[i] + 0x1p-21f;
        }
        gdn_result truth = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1),
                   r = gdn_problem_run(&off, &gdn_fp64_engine, NULL, &p.tokens, 1);
        spoil(r.o, truth.o, gdn_problem_values(&p), parts[way], &seed);
        spoil(r.state, truth.state, gdn_problem_state(&p), parts[way], &seed);
        gdn_experiment *e = recorded(&p, &r);
        find(e, 2, x);
        const gdn_likeness *l = &x[GDN_Q_STATE];
        if (parts[way] > 0.5) {
            verdict_is("a drift", GDN_Q_STATE, l, GDN_LIKENESS_SAME, "fp32-drift");
            GDN_CHECK(strstr(l->text, "e-07 too large at every token"), "'%s'", l->text);
        } else {
            GDN_CHECK(l->verdict == GDN_LIKENESS_SIZE || l->verdict == GDN_LIKENESS_NONE, "'%s'", l->text);
        }
        GDN_CHECK(way > 0 || strstr(l->text, "1.2e-07 too large"), "'%s'", l->text);
        for (int i = 0; i < l->rows; i++)
            if (is(l->row[i].name, "fp32-drift"))
                GDN_CHECK(fabs(l->row[i].explained - parts[way]) < 0.1, "%g of %g explained",
                          l->row[i].explained, parts[way]);
        gdn_experiment_free(e);
        gdn_result_free(&truth);
        gdn_result_free(&r);
        free(off.g);
        gdn_problem_free(&p);
    }
}
END_TEST

/* ---- the run ---- */

/* Tokens from .. to - 1 as a sequence of their own. */
static void run_sequence(const gdn_problem *p, const gdn_recipe *recipe, int from, int to,
                         const gdn_result *r)
{
    gdn_problem own = *p;
    const gdn_engine *engine = gdn_recipe_engine(recipe);
    own.origin = -from;
    void *self = gdn_problem_open(&own, engine, recipe);
    gdn_problem_advance(&own, engine, self, from, to - from, r);
    gdn_problem_read(engine, self, r);
    engine->close(self);
}

/* Packed sequences, each from the initial state: known to the last bit, so both must be in the right place.
 */
START_TEST(packed_from_a_state)
{
    gdn_likeness x[GDN_QUANTITIES];
    gdn_problem p = make((gdn_shape){3, 16, 24}, 200, 55, true, false);
    const gdn_recipe *recipe = gdn_recipe_by_name("chunk-tf32");
    uint64_t seed = 8;
    size_t n = gdn_problem_state(&p);
    float *start = gdn_test_alloc(n, sizeof *start);
    p.state0 = gdn_test_alloc(n, sizeof *p.state0);
    for (size_t i = 0; i < n; i++)
        p.state0[i] = start[i] = (float)gdn_test_uniform(&seed, -1, 1);
    gdn_result r = gdn_result_new(&p);
    run_sequence(&p, recipe, 0, 90, &r);
    run_sequence(&p, recipe, 90, 200, &r);
    const tensor first = {"S0", 3, {3, 16, 24}, start};
    gdn_experiment *e = recorded_from(&p, &r, ", initial_state: S0", "    sequences: [90]\n", &first);
    find(e, 2, x);
    verdict_is("packed", GDN_Q_O, &x[GDN_Q_O], GDN_LIKENESS_SAME, "chunk-tf32");
    verdict_is("packed", GDN_Q_STATE, &x[GDN_Q_STATE], GDN_LIKENESS_SAME, "chunk-tf32");
    ck_assert(x[GDN_Q_O].row[x[GDN_Q_O].best].explained == 1);
    ck_assert(x[GDN_Q_STATE].row[x[GDN_Q_STATE].best].explained == 1);
    gdn_experiment_free(e);
    gdn_result_free(&r);
    free(start);
    gdn_problem_free(&p);
}
END_TEST

/* The same figures whatever the threads. */
START_TEST(threads)
{
    static const int counts[] = {1, 2, 5};
    gdn_likeness x[3][GDN_QUANTITIES];
    gdn_problem p = make((gdn_shape){7, 16, 8}, 300, 56, false, true);
    const gdn_recipe *recipe = gdn_recipe_by_name("chunk-bf16");
    gdn_result r = run_permuted(&p, gdn_recipe_engine(recipe), recipe);
    gdn_experiment *e = recorded(&p, &r);
    for (int i = 0; i < 3; i++)
        find(e, counts[i], x[i]);
    for (int i = 1; i < 3; i++)
        for (int q = 0; q < GDN_QUANTITIES; q++) {
            ck_assert_int_eq(x[i][q].present, x[0][q].present);
            ck_assert_int_eq(x[i][q].rows, x[0][q].rows);
            ck_assert_str_eq(x[i][q].text, x[0][q].text);
            for (int j = 0; j < x[0][q].rows; j++)
                GDN_CHECK(gdn_same(x[i][q].row[j].correlation, x[0][q].row[j].correlation) &&
                              gdn_same(x[i][q].row[j].explained, x[0][q].row[j].explained),
                          "%s differs with %d threads", x[0][q].row[j].name, counts[i]);
        }
    ck_assert(x[0][GDN_Q_O].present && x[0][GDN_Q_STATE].present && !x[0][GDN_Q_Y].present);
    gdn_experiment_free(e);
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

/* So many heads that the first tokens must do, without the state; NaNs of theirs are left out and told. */
START_TEST(the_first_tokens)
{
    gdn_likeness x[GDN_QUANTITIES];
    gdn_problem p = make((gdn_shape){1100, 8, 8}, 260, 57, false, true);
    const gdn_recipe *recipe = gdn_recipe_by_name("bf16-io");
    gdn_result r = gdn_problem_run(&p, gdn_recipe_engine(recipe), recipe, &p.tokens, 1);
    r.o[5] = NAN;
    r.o[259 * 8] = INFINITY; /* beyond the first */
    gdn_experiment *e = recorded(&p, &r);
    find(e, 2, x);
    verdict_is("many heads", GDN_Q_O, &x[GDN_Q_O], GDN_LIKENESS_SAME, "round-bf16");
    ck_assert_int_eq(x[GDN_Q_O].tokens, 256);
    ck_assert(!x[GDN_Q_STATE].present);
    GDN_CHECK(strstr(x[GDN_Q_O].text, ", on the first 256 tokens, without 1 that are not finite"), "'%s'",
              x[GDN_Q_O].text);
    gdn_experiment_free(e);
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

/* Nothing but zeros, and no error at all. */
START_TEST(no_error)
{
    gdn_likeness x[GDN_QUANTITIES];
    gdn_problem p = make((gdn_shape){2, 8, 8}, 40, 58, false, true);
    memset(p.v, 0, gdn_problem_values(&p) * sizeof *p.v);
    gdn_result r = gdn_problem_run(&p, &gdn_fp64_engine, NULL, &p.tokens, 1);
    gdn_experiment *e = recorded(&p, &r);
    find(e, 1, x);
    verdict_is("zeros", GDN_Q_O, &x[GDN_Q_O], GDN_LIKENESS_EXACT, NULL);
    ck_assert_int_eq(x[GDN_Q_O].best, -1);
    gdn_experiment_free(e);
    for (size_t i = 0; i < gdn_problem_values(&p); i++)
        r.o[i] = NAN;
    e = recorded(&p, &r);
    find(e, 1, x);
    verdict_is("NaN", GDN_Q_O, &x[GDN_Q_O], GDN_LIKENESS_NONE, NULL);
    gdn_experiment_free(e);
    gdn_result_free(&r);
    gdn_problem_free(&p);
}
END_TEST

GDN_TASK_TEST_MAIN("likeness", golden, our_own, tf32_of_torch, made_from_the_truth, drift,
                   packed_from_a_state, threads, the_first_tokens, no_error)
