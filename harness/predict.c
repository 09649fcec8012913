/* SPDX-License-Identifier: Apache-2.0 */
/*
 * predict -- errors that theory gives; see predict.h.
 *
 * A fixed relative error eps of the log gate, random writes, x = gamma_eff t (spec section 7):
 *     M0 = (1 - e^-2x) / 2,  M1 = 1/4 - e^-2x (x/2 + 1/4),  M2 = 1/4 - e^-2x (x^2/2 + x/2 + 1/4)
 *     state, o:  |eps| (gamma / gamma_eff) sqrt(M2 / M0);   y:  |eps| (gamma / gamma_eff) sqrt(M2/M0 -
 * (M1/M0)^2) A state rounded each step:  c u sqrt([1 - e^-2x (1 + 2x)] / [2 gamma_eff (1 - e^-2x)]). A needle
 * read at t:  |expm1(-eps gamma t)|, on a value that fades as e^(-gamma t). A rounding of a fresh value each
 * token:  c u.  A window pools error^2 and reference^2 over its positions.
 */
#include "harness/predict.h"

#include <math.h>

#include "kernels/portable.h"

/* rms relative error of rounding to nearest, over log-uniform significands: sqrt((3/8) / (3 ln 2)). */
static const double C = 0.42466;

/* Spec section 7 states the gate's storage error for gamma up to here; where a head forgets faster, nothing.
 */
static const double STATED = 0.3;

enum { SAMPLES = 256 };

/* Memories after which a fading value counts for nothing in a sum of squares: e^-40. */
static const double FADED = 20;

/* e^x - 1 with the same bits everywhere: its Taylor sum to x^13 where e^x would cancel. */
static double exp_minus_1(double x)
{
    if (x < -0.3 || x > 0.3)
        return gdn_exp(x) - 1;
    double p = 1;
    for (int n = 13; n > 1; n--)
        p = 1 + p * x / n;
    return p * x;
}

static double root_of_squares(double a, double b)
{
    return sqrt(a * a + b * b);
}

/* Error^2 and reference^2 at one position. */
typedef struct moment {
    double error2, reference2;
} moment;

/* M0, M1, M2; for small x by their series, where the closed forms cancel. */
static void moments(double x, double m[3])
{
    double e = gdn_exp(-2 * x);
    if (x < 1e-3) {
        m[0] = x - x * x;
        m[1] = x * x / 2 - 2 * x * x * x / 3;
        m[2] = x * x * x / 3 - x * x * x * x / 2;
        return;
    }
    m[0] = 0.5 * -exp_minus_1(-2 * x);
    m[1] = 0.25 - e * (0.5 * x + 0.25);
    m[2] = 0.25 - e * (0.5 * x * x + 0.5 * x + 0.25);
}

static moment gate_state(const gdn_regime *r, double t)
{
    double m[3], rate = r->eps * r->gamma / r->gamma_eff;
    moments(r->gamma_eff * t, m);
    return (moment){rate * rate * m[2], m[0]};
}

static moment gate_output(const gdn_regime *r, double t)
{
    double m[3], rate = r->eps * r->gamma / r->gamma_eff;
    moments(r->gamma_eff * t, m);
    double after = m[2] / m[0] - (m[1] / m[0]) * (m[1] / m[0]);
    return (moment){rate * rate * after, 1};
}

static moment needle(const gdn_regime *r, double t)
{
    double value = gdn_exp(-r->gamma * t), lost = exp_minus_1(-r->eps * r->gamma * t);
    return (moment){value * value * lost * lost, value * value};
}

static moment state_rounding(const gdn_regime *r, double t)
{
    double x = r->gamma_eff * t, e = gdn_exp(-2 * x), m[3];
    moments(x, m);
    double grown = x < 1e-3 ? t / 2 : (1 - e * (1 + 2 * x)) / (2 * r->gamma_eff * -exp_minus_1(-2 * x));
    return (moment){grown * m[0], m[0]};
}

/* sqrt(sum error^2 / sum reference^2) over positions from .. to, sampled evenly where there is anything left.
 */
static double pooled(const gdn_regime *r, moment (*at)(const gdn_regime *, double))
{
    double last = at == needle ? fmin((double)r->to, (double)r->from + FADED / r->gamma) : (double)r->to;
    double error2 = 0, reference2 = 0, step = (last - (double)r->from) / (SAMPLES - 1);
    int n = r->to > r->from ? SAMPLES : 1;
    for (int i = 0; i < n; i++) {
        moment m = at(r, (double)r->from + step * i);
        error2 += m.error2;
        reference2 += m.reference2;
    }
    return sqrt(error2 / reference2);
}

static int erasing_keys(gdn_keys keys)
{
    return keys == GDN_KEYS_ISOTROPIC || keys == GDN_KEYS_LOW_RANK || keys == GDN_KEYS_SPREAD;
}

static double storage(const gdn_regime *r, gdn_quantity q)
{
    if (q == GDN_Q_G)
        return fabs(r->eps_a_log);
    if (erasing_keys(r->keys) && r->eps != 0 && r->gamma > STATED)
        return NAN;
    switch (q) {
    case GDN_Q_STATE:
        return erasing_keys(r->keys) ? pooled(r, gate_state) : NAN;
    case GDN_Q_O:
        return erasing_keys(r->keys)        ? pooled(r, gate_state)
               : r->keys == GDN_KEYS_NEEDLE ? pooled(r, needle)
                                            : NAN;
    case GDN_Q_Y:
        return erasing_keys(r->keys) ? root_of_squares(pooled(r, gate_output), r->norm) : NAN;
    default:
        return NAN;
    }
}

static double arith(const gdn_regime *r, gdn_quantity q)
{
    const gdn_recipe *recipe = &r->profile->recipe;
    const gdn_format *f = &gdn_formats[recipe->state];
    if (recipe->algorithm != GDN_RECURRENT || recipe->op != GDN_FP32 || !erasing_keys(r->keys) ||
        q == GDN_Q_G || q == GDN_Q_DECAY)
        return NAN;
    double total2 = 0;
    if (f->p < 24) {
        double step = C * ldexp(1, -f->p) * (recipe->state_rounding == GDN_STOCHASTIC ? sqrt(2) : 1);
        if (r->keys == GDN_KEYS_SPREAD)
            return NAN; /* noise outside the subspace is not erased: claims.yaml has the state's formula */
        double grown = step * pooled(r, state_rounding);
        total2 += grown * grown;
    }
    int fresh = (recipe->beta == GDN_BF16) + (q != GDN_Q_STATE && recipe->output == GDN_BF16) +
                (q == GDN_Q_Y && recipe->output == GDN_BF16);
    double once = C * ldexp(1, -gdn_formats[GDN_BF16].p);
    total2 += fresh * once * once;
    return total2 > 0 ? sqrt(total2) : NAN;
}

double gdn_predict(const gdn_regime *r, gdn_quantity quantity, gdn_kind kind)
{
    double x = kind == GDN_STORAGE ? storage(r, quantity) : kind == GDN_ARITH ? arith(r, quantity) : NAN;
    return x - x == 0 ? x : NAN;
}

/* A stored / A - 1, A = exp(a_log): what rests is A itself, or log A. */
double gdn_rate_error(bool stored_is_a, double stored, double a_log)
{
    return stored_is_a ? stored * gdn_exp(-a_log) - 1 : exp_minus_1(stored - a_log);
}

double gdn_gamma_eff(gdn_keys keys, int dk, int rank, double gamma, double beta, double beta2)
{
    const double r[GDN_KEYS_KINDS] = {[GDN_KEYS_ISOTROPIC] = dk,
                                      [GDN_KEYS_LOW_RANK] = rank,
                                      [GDN_KEYS_SPREAD] = rank,
                                      [GDN_KEYS_REPEATED] = 1,
                                      [GDN_KEYS_NEEDLE] = dk - 1};
    return r[keys] > 0 ? gamma + (2 * beta - beta2) / (2 * r[keys]) : (double)NAN;
}
