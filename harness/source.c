/* SPDX-License-Identifier: Apache-2.0 */
/* source -- true parameters and inputs of one task; see source.h. */
#include "harness/source.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "harness/source_checkpoint.h"
#include "harness/source_file.h"
#include "kernels/portable.h"

/* ---- parameters ---- */

enum { LO, HI };

static double between(double lo, double hi, double u)
{
    return lo + (hi - lo) * u;
}

/* Bounds of A, [init][LO, HI]. */
static const double a_range[GDN_INITS][2] = {
    [GDN_INIT_FLA] = {0, 16},      [GDN_INIT_HF] = {0.01, 16},      [GDN_INIT_MEGATRON] = {1, 16},
    [GDN_INIT_FLA_BF16] = {0, 16}, [GDN_INIT_HF_BF16] = {0.01, 16}, [GDN_INIT_MEGATRON_BF16] = {1, 16}};

/* log A with A ~ U(lo, hi). */
static double log_uniform_a(gdn_init init, double u, double dt_bias)
{
    (void)dt_bias;
    return gdn_log(between(a_range[init][LO], a_range[init][HI], u));
}

/*
 * The same on a bf16 tensor, as torch's uniform_ and log_ do it on a GPU: A = RN_bf16(lo + (hi - lo) u),
 * where a draw that rounds up to hi, which is excluded, becomes lo; RN_bf16(log A). A = 0 has the logarithm
 * -inf: a head that never decays.
 */
static double log_uniform_a_bf16(gdn_init init, double u, double dt_bias)
{
    const gdn_format *bf16 = &gdn_formats[GDN_BF16];
    double lo = gdn_round(bf16, a_range[init][LO]), hi = a_range[init][HI],
           a = gdn_round(bf16, between(lo, hi, u));
    (void)dt_bias;
    if (a == hi)
        a = lo;
    return a > 0 ? gdn_round(bf16, gdn_log(a)) : -gdn_infinity();
}

/*
 * Time constants tau = 1 / (A softplus(dt_bias)), in tokens, of the 2304 heads of Qwen3.6-27B: how many are
 * at most this long. The publication counts up to 128; that none is below 0.05 or above 4096 is assumed, and
 * between two counts heads are taken to lie evenly in log tau.
 */
static const struct {
    double tau, heads;
} time_constants[] = {{0.05, 0},  {0.25, 14}, {0.5, 48},   {1, 118},    {8, 610},
                      {32, 1113}, {64, 1304}, {128, 1460}, {4096, 2304}};

/* log(1 / (tau softplus(dt_bias))) */
static double log_a_of_tau(gdn_init init, double u, double dt_bias)
{
    const int last = (int)(sizeof time_constants / sizeof time_constants[0]) - 1;
    double heads = u * time_constants[last].heads;
    int i = 1;
    (void)init;
    while (i < last && heads > time_constants[i].heads)
        i++;
    double from = time_constants[i - 1].heads, to = time_constants[i].heads;
    return -between(gdn_log(time_constants[i - 1].tau), gdn_log(time_constants[i].tau),
                    (heads - from) / (to - from)) -
           (dt_bias < -36 ? dt_bias : gdn_log(gdn_softplus(dt_bias))); /* there softplus x is e^x */
}

/* FLA: softplus^-1(dt) = dt + log(1 - e^-dt), dt log-uniform in [1e-3, 1e-1]. */
static double fla_dt_bias(gdn_init init, double u, double dt_bias)
{
    double dt = gdn_exp(between(gdn_log(1e-3), gdn_log(1e-1), u));
    (void)init;
    (void)dt_bias;
    return dt + gdn_log(1 - gdn_exp(-dt));
}

/* What an initialisation makes of a uniform number, for the head's dt_bias; NULL: 1. */
typedef double (*initialiser)(gdn_init init, double u, double dt_bias);

static const initialiser init_a_log[GDN_INITS] = {[GDN_INIT_FLA] = log_uniform_a,
                                                  [GDN_INIT_HF] = log_uniform_a,
                                                  [GDN_INIT_MEGATRON] = log_uniform_a,
                                                  [GDN_INIT_TAU] = log_a_of_tau,
                                                  [GDN_INIT_FLA_BF16] = log_uniform_a_bf16,
                                                  [GDN_INIT_HF_BF16] = log_uniform_a_bf16,
                                                  [GDN_INIT_MEGATRON_BF16] = log_uniform_a_bf16};
static const initialiser init_dt_bias[GDN_INITS] = {[GDN_INIT_FLA] = fla_dt_bias};
static const initialiser init_norm_weight[GDN_INITS] = {NULL};

/* n fp32 values of a parameter. dt_bias: [n] where an initialisation needs it. */
static void draw(const gdn_draw *d, const initialiser *init, const double *dt_bias, gdn_stream stream,
                 uint64_t seed, int n, double *x)
{
    initialiser made = d && d->init ? init[*d->init] : NULL;
    for (int h = 0; h < n; h++) {
        double u = gdn_uniform(seed, stream, (uint32_t)h, 0);
        double value = d && d->values    ? d->values[(unsigned)h % d->values_count]
                       : d && d->uniform ? between(d->uniform[LO], d->uniform[HI], u)
                       : made            ? made(*d->init, u, dt_bias ? dt_bias[h] : 0)
                                         : 1;
        x[h] = (float)value;
    }
}

/* ---- parameters of a checkpoint ---- */

static void take(const gdn_checkpoint_layer *l, gdn_source *s)
{
    memcpy(s->a_log, l->a_log, (size_t)l->heads * sizeof *l->a_log);
    memcpy(s->dt_bias, l->dt_bias, (size_t)l->heads * sizeof *l->dt_bias);
    memcpy(s->norm_weight, l->norm_weight, (size_t)l->dv * sizeof *l->norm_weight);
}

/* ---- identity ---- */

typedef struct text {
    char s[8192];
    size_t n;
} text;

__attribute__((format(printf, 2, 3))) static void say(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->s + t->n, sizeof t->s - t->n, format, args);
    va_end(args);
    t->n += n > 0 ? (size_t)n : 0;
    if (t->n >= sizeof t->s)
        t->n = sizeof t->s - 1;
}

static void say_values(text *t, const double *x, unsigned n)
{
    say(t, "%u values %016" PRIx64, n, (uint64_t)XXH3_64bits(x, n * sizeof *x));
}

static void say_draw(text *t, const char *key, const gdn_draw *d)
{
    say(t, ";%s=", key);
    if (!d)
        say(t, "ones");
    else if (d->init)
        say(t, "%s", gdn_init_names[*d->init]);
    else if (d->uniform)
        say(t, "U(%.17g,%.17g)", d->uniform[0], d->uniform[1]);
    else /* any number of them: by hash, so that the text has room for what follows */
        say_values(t, d->values, d->values_count);
}

/* A checkpoint is what it holds, wherever it lies. */
static void say_layer(text *t, const gdn_checkpoint_layer *l)
{
    say(t, ";a_log=");
    say_values(t, l->a_log, (unsigned)l->heads);
    say(t, ";dt_bias=");
    say_values(t, l->dt_bias, (unsigned)l->heads);
    say(t, ";norm_weight=");
    say_values(t, l->norm_weight, (unsigned)l->dv);
}

static void describe(const gdn_source *s, text *t)
{
    const gdn_population *p = s->population;
    say(t, "%s;dk=%d;dv=%d;keys=%s", p->name, s->shape.dk, s->shape.dv, gdn_keys_names[p->keys]);
    say(t, ";rank=%d;zipf=%d/2;values=%s;a=%.17g+%.17gN;b=%.17g+%.17gN", s->spec.rank,
        s->spec.zipf_half_steps, gdn_values_names[p->values], s->spec.a_mean, s->spec.a_scale, s->spec.b_mean,
        s->spec.b_scale);
    if (p->checkpoint) {
        say_layer(t, p->checkpoint->of);
    } else {
        say_draw(t, "a_log", p->a_log);
        say_draw(t, "dt_bias", p->dt_bias);
        say_draw(t, "norm_weight", p->norm_weight);
    }
    /* fields that came later: said only where they are given, so that cell ids stay */
    if (s->spec.group > 1)
        say(t, ";group=%d", s->spec.group);
    if (s->beta_shift)
        say(t, ";beta_factor=2");
    if (p->initial_scale > 0)
        say(t, ";initial=%.17gN", p->initial_scale);
    if (s->sequence_count)
        say(t, ";%d sequences %016" PRIx64, s->sequence_count,
            (uint64_t)XXH3_64bits(s->sequences, (size_t)s->sequence_count * sizeof *s->sequences));
}

/* ---- life ---- */

static gdn_input_spec input_spec(const gdn_population *p)
{
    return (gdn_input_spec){
        .keys = p->keys,
        .rank = (int)p->rank,
        .zipf_half_steps = (int)(2 * p->zipf_exponent),
        .values = p->values,
        .a_mean = p->a_mean ? *p->a_mean : 0,
        .a_scale = p->a_scale ? *p->a_scale : 1,
        .b_mean = p->b_mean ? *p->b_mean : 0,
        .b_scale = p->b_scale ? *p->b_scale : 1,
        .group = (int)p->group,
    };
}

static gdn_status open_drawn(const gdn_experiment *e, gdn_source *s, gdn_error *err)
{
    const gdn_population *p = s->population;
    const double *lengths = p->lengths ? p->lengths : e->file->lengths;
    unsigned n = p->lengths ? p->lengths_count : e->file->lengths_count;
    s->shape = (gdn_shape){(int)p->heads, (int)e->file->dk, (int)e->file->dv};
    s->spec = input_spec(p);
    s->has_parameters = s->has_z = true;
    s->has_state0 = p->initial_scale > 0;
    size_t H = (size_t)s->shape.heads;
    s->a_log = gdn_calloc(H, sizeof *s->a_log);
    s->dt_bias = gdn_calloc(H, sizeof *s->dt_bias);
    s->norm_weight = gdn_calloc((size_t)s->shape.dv, sizeof *s->norm_weight);
    s->lengths = gdn_calloc(n, sizeof *s->lengths);
    if (!s->a_log || !s->dt_bias || !s->norm_weight || !s->lengths)
        return gdn_no_memory(err, "a population");
    s->length_count = (int)n;
    for (unsigned i = 0; i < n; i++)
        s->lengths[i] = (int64_t)lengths[i];
    if (p->checkpoint) {
        take(p->checkpoint->of, s);
        return GDN_OK;
    }
    draw(p->dt_bias, init_dt_bias, NULL, GDN_STREAM_DT_BIAS, s->seed, s->shape.heads, s->dt_bias);
    draw(p->a_log, init_a_log, s->dt_bias, GDN_STREAM_A_LOG, s->seed, s->shape.heads, s->a_log);
    draw(p->norm_weight, init_norm_weight, NULL, GDN_STREAM_NORM_WEIGHT, s->seed, s->shape.dv,
         s->norm_weight);
    return GDN_OK;
}

/* Where the packed sequences end; a file says only now how long it is. */
static gdn_status open_sequences(const gdn_experiment *e, gdn_source *s, gdn_error *err)
{
    const gdn_population *p = s->population;
    int n = (int)p->sequences_count;
    int64_t last = s->lengths[s->length_count - 1];
    s->sequences = gdn_calloc((size_t)n, sizeof *s->sequences);
    if (!s->sequences)
        return gdn_no_memory(err, "a population");
    for (int i = 0; i < n; i++)
        s->sequences[i] = (int64_t)p->sequences[i];
    s->sequence_count = n;
    if (n == 0 || s->sequences[n - 1] < last)
        return GDN_OK;
    char path[64];
    snprintf(path, sizeof path, "populations/%u/sequences/%d", p->entry, n - 1);
    return gdn_fail(err, GDN_BAD_INPUT,
                    "%s:%d: %s: %" PRId64 " is not inside the %" PRId64
                    " tokens of the file; sequences end before the last token",
                    e->path, gdn_yaml_line(e->text, path), path, s->sequences[n - 1], last);
}

gdn_status gdn_source_open(const gdn_experiment *e, int index, uint64_t seed, int room, gdn_source **out,
                           gdn_error *err)
{
    gdn_source *s = *out = gdn_calloc(1, sizeof *s);
    if (!s)
        return gdn_no_memory(err, "a population");
    s->population = &e->file->populations[index];
    s->seed = seed;
    s->beta_shift = s->population->beta_factor == 2;
    text t = {.n = 0};
    uint64_t digest = 0;
    gdn_status status =
        s->population->file ? gdn_source_open_file(e, s, &digest, err) : open_drawn(e, s, err);
    if (!status)
        status = open_sequences(e, s, err);
    if (!status) {
        int64_t last = s->lengths[s->length_count - 1];
        s->room = room = room < last ? room : (int)last;
        describe(s, &t);
        if (s->population->file)
            gdn_source_file_text(s, digest, t.s + t.n, sizeof t.s - t.n);
        size_t floats =
            (size_t)s->shape.heads * (size_t)room * (2 * (size_t)s->shape.dk + 2 * (size_t)s->shape.dv + 2);
        s->text = strdup(t.s);
        s->block = gdn_calloc(floats, sizeof *s->block);
        if (!s->text || !s->block)
            status = gdn_no_memory(err, "a block of inputs");
    }
    if (status) {
        gdn_source_close(s);
        *out = NULL;
    }
    return status;
}

void gdn_source_close(gdn_source *s)
{
    if (!s)
        return;
    void *all[] = {s->a_log, s->dt_bias,   s->norm_weight, s->lengths,
                   s->text,  s->projected, s->block,       s->sequences};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    gdn_safetensors_close(s->file);
    free(s->recorded);
    free(s);
}

/* What a file has of the cut, or NULL. Whether its numbers can be read was found out on opening. */
static const float *rows(const gdn_view *v, const gdn_cut *c, float **room)
{
    gdn_error never;
    float *out = *room;
    if (!v->tensor)
        return NULL;
    (void)gdn_view_floats(v, c, out, &never);
    *room += (int64_t)c->heads * c->n * v->width;
    return out;
}

void gdn_source_block(gdn_source *s, int64_t first, int n, int head, int heads, gdn_block *block)
{
    size_t dk = (size_t)s->shape.dk, dv = (size_t)s->shape.dv, tokens = (size_t)heads * (size_t)n;
    float *room = s->block;
    *block = (gdn_block){.first = first, .tokens = n};
    if (s->population->file) {
        const gdn_cut c = {first - 1, n, head, heads};
        block->q = rows(&s->q, &c, &room);
        block->k = rows(&s->k, &c, &room);
        block->v = rows(&s->v, &c, &room);
        block->z = rows(&s->z, &c, &room);
        block->a = rows(&s->a, &c, &room);
        block->g = rows(&s->g, &c, &room);
        block->b = rows(&s->b, &c, &room);
        block->beta = rows(&s->beta, &c, &room);
        return;
    }
    float *q = room, *k = q + tokens * dk, *v = k + tokens * dk, *z = v + tokens * dv, *a = z + tokens * dv,
          *b = a + tokens;
    gdn_shape part = {heads, s->shape.dk, s->shape.dv};
    gdn_inputs_fill(&s->spec, &part, s->seed, (uint32_t)head, first, n, q, k, v, z, a, b);
    block->q = q;
    block->k = k;
    block->v = v;
    block->z = z;
    block->a = a;
    block->b = b;
}

void gdn_source_initial_state(const gdn_source *s, double *state0)
{
    gdn_error never; /* as for rows() */
    if (s->state0)
        (void)gdn_view_states(s->state0, s->population->file->state_layout, s->shape, state0, &never);
    else
        gdn_initial_state(s->population->initial_scale, &s->shape, s->seed, 0, state0);
}
