/* SPDX-License-Identifier: Apache-2.0 */
/*
 * likeness_verdict -- which candidate's errors are theirs; see likeness.h.
 *
 * Limits. An error of which a candidate explains more than SAME = 1/4 has a correlation of more than 1/2 with
 * the candidate's, whatever the sizes: 1 - |x - c|^2 / |e_x|^2 = 2 correlation size - size^2 <=
 * correlation^2. Where the sizes are equal, 5/8 of the roundings' energy are shared. That is called "same",
 * unless chance could have done it (CHANCE standard deviations, n^(-1/2) each). Of several such candidates
 * the one that explains most is named, or the simplest that explains as much to within A_TIE of the whole.
 *
 * Candidates with a fitted parameter (drift, factor) are nearly one vector times a number: their elements are
 * no n independent draws, CHANCE says too little there, and the fit takes whatever of an error lies along
 * them. Drift is named where it explains more than HALF: a fitted cause that leaves more than half
 * unexplained is no cause to name.
 *
 * What is cut off is short on the average: three quarters and more of chunk-tf32's error may be a mere
 * factor. A factor is named where it is the WHOLE error only, and TF32 by this bias where the other roundings
 * are elsewhere (torch).
 *
 * Without a common rounding only sizes are left. The unit roundoffs of tf32 and bf16 are a factor of 8 apart,
 * so an error within sqrt 8 of a candidate's is nearer to it than to the same recipe in the next format. This
 * is how fp32 rounding noise in another order of sums is told: noise of about the size of ours, which depends
 * on that order.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "harness/likeness_parts.h"

#define SAME 0.25
#define HALF 0.5
#define WHOLE 0.99
#define CHANCE 5
#define A_TIE 0.05
#define ANOTHER_FORMAT 2.8284271247461901 /* sqrt 8 */

/* fp64 knows the truth to about 1e-15; an error must be 1000 times as large to be one (spec section 5). */
#define BELOW_REFERENCE 1e-12

/*
 * A float g in [-1, 0] is off by 2^-25; where g is far below, nothing is remembered. PTX gives ex2.approx
 * 2^-22 of relative error: what is off by more than twice that is no fp32 exp.
 */
#define MOST_DRIFT 0x1p-21

const char *const gdn_likeness_verdict_names[GDN_LIKENESS_VERDICTS] = {"exact", "same", "size", "none"};

/* A candidate's sums over all heads, and what they say. */
typedef struct finding {
    const gdn_candidate *candidate;
    gdn_likeness_sums s;
    gdn_likeness_row row;
} finding;

static bool is_drift(const finding *f)
{
    return f->candidate->kind == GDN_CANDIDATE_DRIFT;
}

/* Candidates without a size of their own: as much of them as fits best is taken. */
static bool is_fitted(const finding *f)
{
    return is_drift(f) || f->candidate->kind == GDN_CANDIDATE_FACTOR;
}

/* By which part theirs has the decay, at every token, or everything smaller than the truth. */
static double fit_of(const finding *f)
{
    return (double)GDN_LIKENESS_DRIFT * f->s.xc / f->s.cc;
}

static finding find(const gdn_likeness_shared *x, gdn_format_id grid_of, gdn_quantity q)
{
    const gdn_candidate *c = x->candidate;
    finding f = {.candidate = c, .s = x->s};
    const gdn_grid_words *words =
        &gdn_grid_candidates[grid_of][q == GDN_Q_STATE][c->kind == GDN_CANDIDATE_CUT];
    bool grid = c->kind == GDN_CANDIDATE_ROUND || c->kind == GDN_CANDIDATE_CUT;
    double correlation = f.s.xc / sqrt(f.s.xx * f.s.cc);
    f.row = (gdn_likeness_row){.name = grid ? words->name : c->name,
                               .phrase = grid ? words->phrase : c->phrase,
                               .correlation = correlation,
                               .size = is_fitted(&f) ? fabs(correlation) : sqrt(f.s.cc / f.s.xx),
                               .explained = is_fitted(&f) ? correlation * correlation : 1 - f.s.dd / f.s.xx};
    return f;
}

/* What a candidate must explain to be named. */
static double least_of(gdn_candidate_kind kind)
{
    return kind == GDN_CANDIDATE_FACTOR ? WHOLE : kind == GDN_CANDIDATE_DRIFT ? HALF : SAME;
}

/* Are the roundings theirs too? */
static bool same(const finding *f)
{
    const gdn_candidate_kind kind = f->candidate->kind;
    if (!(f->row.explained > least_of(kind)) || fabs(f->row.correlation) <= CHANCE / sqrt((double)f->s.n))
        return false;
    return kind == GDN_CANDIDATE_DRIFT ? fabs(fit_of(f)) <= MOST_DRIFT : kind != GDN_CANDIDATE_EIGHTH;
}

/* The first that explains as much as the best of those that are the same; -1: none is. */
static int best_same(const finding *f, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        if (same(&f[i]) && f[i].row.explained > most)
            most = f[i].row.explained;
    for (int i = 0; i < n; i++)
        if (same(&f[i]) && f[i].row.explained >= most - A_TIE)
            return i;
    return -1;
}

/* The factor between two sizes, 1 or more. */
static double apart(double size)
{
    return size < 1 ? 1 / size : size;
}

/* The nearest in size; -1: none has any. */
static int best_size(const finding *f, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!is_fitted(&f[i]) && f[i].row.size > 0 && gdn_likeness_finite(f[i].row.size) &&
            (best < 0 || apart(f[i].row.size) < apart(f[best].row.size)))
            best = i;
    return best;
}

static gdn_likeness_verdict verdict_of(const finding *f, int n, int *best)
{
    const gdn_likeness_sums *s = &f[0].s;
    *best = -1;
    if (s->n > 0 && s->xx <= BELOW_REFERENCE * BELOW_REFERENCE * s->rr)
        return GDN_LIKENESS_EXACT;
    if ((*best = best_same(f, n)) >= 0)
        return GDN_LIKENESS_SAME;
    *best = best_size(f, n);
    return *best >= 0 && apart(f[*best].row.size) <= ANOTHER_FORMAT ? GDN_LIKENESS_SIZE : GDN_LIKENESS_NONE;
}

static int say_same(char *out, size_t size, const finding *f)
{
    char fit[64] = "";
    if (is_fitted(f))
        snprintf(fit, sizeof fit, ", %.1e too %s%s", fabs(fit_of(f)), fit_of(f) > 0 ? "small" : "large",
                 is_drift(f) ? " at every token" : "");
    return snprintf(out, size, "%s (%s)%s: explains %.3g %% of the error", f->row.phrase, f->row.name, fit,
                    100 * f->row.explained);
}

/* f: the row to name, or NULL; compared_any: was there an element to compare? */
static int say(char *out, size_t size, gdn_likeness_verdict verdict, const finding *f, bool compared_any)
{
    if (verdict == GDN_LIKENESS_EXACT)
        return snprintf(out, size, "the exact value, as far as fp64 tells");
    if (!f)
        return snprintf(out, size,
                        compared_any ? "none of ours: none errs by a finite amount other than 0"
                                     : "no finite value to compare");
    if (verdict == GDN_LIKENESS_SAME)
        return say_same(out, size, f);
    if (verdict == GDN_LIKENESS_NONE)
        return snprintf(
            out, size,
            "none of ours: %.2g times the error of %s, the nearest in size, at a correlation of %.2f",
            1 / f->row.size, f->row.name, f->row.correlation);
    if (f->candidate->noise)
        return snprintf(
            out, size,
            "fp32 rounding noise, sums in another order: size only, %.2g times the error of %s at a "
            "correlation of %.2f",
            1 / f->row.size, f->row.name, f->row.correlation);
    return snprintf(
        out, size,
        "size only: as large as %s would make it, %.2g times the error of %s at a correlation of %.2f",
        f->row.phrase, 1 / f->row.size, f->row.name, f->row.correlation);
}

void gdn_likeness_conclude(const gdn_likeness_shared *all, int n, gdn_quantity q, int64_t tokens,
                           gdn_likeness *out)
{
    finding f[GDN_LIKENESS_ROWS] = {{0}};
    out->rows = n;
    for (int i = 0; i < n; i++) {
        f[i] = find(&all[i], out->grid, q);
        out->row[i] = f[i].row;
    }
    out->rel_l2 = sqrt(f[0].s.xx / f[0].s.rr);
    out->verdict = verdict_of(f, n, &out->best);
    size_t used = (size_t)say(out->text, sizeof out->text, out->verdict,
                              out->best >= 0 ? &f[out->best] : NULL, f[0].s.n > 0);
    if (out->tokens < tokens && used < sizeof out->text)
        used += (size_t)snprintf(out->text + used, sizeof out->text - used,
                                 ", on the first %" PRId64 " tokens", out->tokens);
    if (f[0].s.left_out > 0 && used < sizeof out->text)
        snprintf(out->text + used, sizeof out->text - used, ", without %" PRId64 " that are not finite",
                 f[0].s.left_out);
}
