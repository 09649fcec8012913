/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_heads -- what bf16 storage of A_log and dt_bias costs each head; see audit.h.
 *
 *     gamma = E A softplus(a + dt_bias)        over a ~ N(mean, scale), at SAMPLES equally likely values
 *     eps   = E[(gamma' - gamma) gamma] / E[gamma^2]       the relative error of the log gate, for
 * harness/predict.h bound = E[|gamma' - gamma| alpha] / (1 - E alpha)    from |dS_t| <= alpha |dS_t-1| +
 * |dg_t| alpha |S_t-1|: the step behind spec section 7's "never above eps max |S_t|", for heads of any speed
 */
#include "harness/audit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/inputs.h"
#include "harness/predict.h"
#include "kernels/portable.h"

enum { SAMPLES = 1024, TABLE = 1 << 16 };

/* What all heads share. */
typedef struct scene {
    double a[SAMPLES];
    double beta, beta2; /* E beta, E beta^2 */
    int dk;
    int64_t length;
} scene;

/* A head's gate at each a. */
typedef struct gate {
    double softplus[SAMPLES], gamma[SAMPLES], alpha[SAMPLES];
} gate;

static void set_scene(const gdn_audit *x, scene *s)
{
    *s = (scene){.dk = x->dk, .length = x->settings.length};
    for (int i = 0; i < SAMPLES; i++) {
        double normal =
            (double)gdn_bf16_to_float(gdn_quantile_table()[i * (TABLE / SAMPLES) + TABLE / SAMPLES / 2]);
        double beta = gdn_sigmoid(normal);
        s->a[i] = x->settings.a_mean + x->settings.a_scale * normal;
        s->beta += beta / SAMPLES;
        s->beta2 += beta * beta / SAMPLES;
    }
}

static void set_gate(const scene *s, double rate, double dt_bias, gate *g)
{
    for (int i = 0; i < SAMPLES; i++) {
        g->softplus[i] = gdn_softplus(s->a[i] + dt_bias);
        g->gamma[i] = rate * g->softplus[i];
        g->alpha[i] = gdn_exp(-g->gamma[i]);
    }
}

/* x as bf16 storage leaves it; where it has been rounded already, x plus the most that was lost, in the
 * direction `sign`. */
static double stored(const gdn_format *lost, double x, double sign)
{
    return lost ? x + gdn_with_sign(gdn_ulp(lost, x) / 2, sign) : gdn_round(&gdn_formats[GDN_BF16], x);
}

/*
 * The cost of a gate whose A is 1 + rate_error times what it should be, whose softplus is that of `now`, and
 * whose out_norm weight errs by `norm`.
 */
static gdn_audit_cost cost(const scene *s, const gdn_audit_head *h, gdn_quantity q, const gate *was,
                           const gate *now, double rate_error, double norm)
{
    double dot = 0, size = 0, off = 0, forgotten = 0, worst = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double change = (now->softplus[i] - was->softplus[i]) / was->softplus[i],
               relative = rate_error + change * (1 + rate_error), d = relative * was->gamma[i];
        dot += d * was->gamma[i];
        size += was->gamma[i] * was->gamma[i];
        off += fabs(d) * was->alpha[i];
        forgotten += 1 - was->alpha[i];
        worst = fmax(worst, fabs(relative));
    }
    double at_most = worst == 0 ? 0 : fmin(worst, off / forgotten);
    gdn_regime r = {.keys = GDN_KEYS_ISOTROPIC,
                    .gamma = h->gamma,
                    .gamma_eff = h->gamma_eff,
                    .eps = dot / size,
                    .norm = norm,
                    .from = s->length,
                    .to = s->length};
    return (gdn_audit_cost){gdn_predict(&r, q, GDN_STORAGE), q == GDN_Q_O ? at_most : (double)NAN};
}

/* Gates that are 0, infinite or NaN in fp32, where numbers below 2^-126 may count as 0. */
static bool dead(double a_log, double dt_bias)
{
    double rate = gdn_exp(a_log), softplus = gdn_softplus(dt_bias);
    return !(rate >= (double)FLT_MIN && rate <= (double)FLT_MAX && softplus >= (double)FLT_MIN &&
             softplus <= (double)FLT_MAX);
}

static void measure(const gdn_audit *x, const scene *s, gate *was, gate *now, gdn_audit_head *h)
{
    const gdn_audit_layer *l = &x->layer[h->layer];
    const gdn_audit_tensor *a_log = &x->tensor[l->tensor[GDN_PARAM_A_LOG]],
                           *dt_bias = &x->tensor[l->tensor[GDN_PARAM_DT_BIAS]];
    const gdn_audit_tensor *w =
        l->tensor[GDN_PARAM_NORM_WEIGHT] < 0 ? NULL : &x->tensor[l->tensor[GDN_PARAM_NORM_WEIGHT]];
    const gdn_format *a_lost = gdn_audit_lost(a_log), *b_lost = gdn_audit_lost(dt_bias);
    gdn_audit_cost none = {NAN, NAN};
    h->a_log = a_log->value[h->head];
    h->dt_bias = dt_bias->value[h->head];
    h->a_log_lost = a_lost;
    h->dt_bias_lost = b_lost;
    h->rate = gdn_exp(h->a_log);
    h->tau = h->gamma = h->gamma_eff = h->rate_error = h->softplus_error = h->softplus_rms = NAN;
    h->o_a_log = h->o_dt_bias = h->o = h->y = none;
    if ((h->dead = dead(h->a_log, h->dt_bias)))
        return;
    h->tau = 1 / (h->rate * gdn_softplus(h->dt_bias));
    set_gate(s, h->rate, h->dt_bias, was);
    h->gamma = 0;
    for (int i = 0; i < SAMPLES; i++)
        h->gamma += was->gamma[i] / SAMPLES;
    h->gamma_eff = gdn_gamma_eff(GDN_KEYS_ISOTROPIC, s->dk, 0, h->gamma, s->beta, s->beta2);
    /* bounds add up: both in the direction of what is known */
    double known =
        a_lost ? stored(b_lost, h->dt_bias, 1) - h->dt_bias : stored(a_lost, h->a_log, 1) - h->a_log;
    double sign = known < 0 ? -1 : 1, b = stored(b_lost, h->dt_bias, sign);
    h->rate_error = gdn_rate_error(false, stored(a_lost, h->a_log, sign), h->a_log);
    h->softplus_error = gdn_softplus(b) / gdn_softplus(h->dt_bias) - 1;
    set_gate(s, h->rate, b, now);
    h->softplus_rms = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double change = (now->softplus[i] - was->softplus[i]) / was->softplus[i];
        h->softplus_rms += change * change / SAMPLES;
    }
    h->softplus_rms = sqrt(h->softplus_rms);
    h->o_a_log = cost(s, h, GDN_Q_O, was, was, h->rate_error, 0);
    h->o_dt_bias = cost(s, h, GDN_Q_O, was, now, 0, 0);
    h->o = cost(s, h, GDN_Q_O, was, now, h->rate_error, 0);
    h->y = cost(s, h, GDN_Q_Y, was, now, h->rate_error, w ? gdn_audit_weight_error(w) : 0);
}

/* Worst o first: what theory predicts, or the bound where it is silent. */
static int worst_first(const void *p, const void *q)
{
    const gdn_audit_head *x = p, *y = q;
    double ex = x->o.predicted == x->o.predicted ? x->o.predicted : x->o.at_most,
           ey = y->o.predicted == y->o.predicted ? y->o.predicted : y->o.at_most;
    if (x->dead != y->dead)
        return x->dead - y->dead;
    if (!x->dead && ex != ey)
        return ex > ey ? -1 : 1;
    return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

gdn_status gdn_audit_heads(gdn_audit *x, gdn_error *err)
{
    size_t n = 0;
    for (int i = 0; i < x->layers; i++) {
        gdn_audit_layer *l = &x->layer[i];
        int a = l->tensor[GDN_PARAM_A_LOG], b = l->tensor[GDN_PARAM_DT_BIAS];
        bool pair = a >= 0 && b >= 0 && x->tensor[a].value && x->tensor[b].value &&
                    x->tensor[a].count == x->tensor[b].count;
        l->heads = pair ? (int)x->tensor[a].count : 0;
        n += (size_t)l->heads;
    }
    scene *s = malloc(sizeof *s);
    gate *g = malloc(2 * sizeof *g);
    x->head = gdn_calloc(n + 1, sizeof *x->head);
    gdn_status status = GDN_OK;
    if (!s || !g || !x->head) {
        status = gdn_no_memory(err, "the heads");
        goto done;
    }
    set_scene(x, s);
    for (int i = 0; i < x->layers; i++)
        for (int h = 0; h < x->layer[i].heads; h++) {
            x->head[x->heads] = (gdn_audit_head){.layer = i, .head = h};
            measure(x, s, &g[0], &g[1], &x->head[x->heads++]);
        }
    qsort(x->head, x->heads, sizeof *x->head, worst_first);
done:
    free(s);
    free(g);
    return status;
}

const gdn_audit_head *gdn_audit_worst(const gdn_audit *x, gdn_param param, bool lost)
{
    const gdn_audit_head *worst = NULL;
    double most = -1;
    for (size_t i = 0; i < x->heads; i++) {
        const gdn_audit_head *h = &x->head[i];
        bool a = param == GDN_PARAM_A_LOG;
        double e = fabs(a ? h->rate_error : h->softplus_error);
        if (h->dead || (a ? h->a_log_lost : h->dt_bias_lost) != lost || !(e > most))
            continue;
        most = e;
        worst = h;
    }
    return worst;
}
