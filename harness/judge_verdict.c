/* SPDX-License-Identifier: Apache-2.0 */
/* judge_verdict -- does an output pass, and whose are the elements that are not finite? See judge_parts.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/judge_parts.h"
#include "harness/shown.h"

/* ---- pass or fail ---- */

static void also(gdn_judged *x, bool passes, const char *format, ...)
{
    size_t n = strlen(x->verdict);
    va_list args;
    va_start(args, format);
    if (n)
        n += (size_t)snprintf(x->verdict + n, sizeof x->verdict - n, "; ");
    if (n < sizeof x->verdict)
        vsnprintf(x->verdict + n, sizeof x->verdict - n, format, args);
    va_end(args);
    x->pass = x->pass == GDN_PASS_NO || !passes ? GDN_PASS_NO : GDN_PASS_YES;
}

/* FLA lets small errors pass whatever the ratio: |d| <= limit everywhere. The norm of d settles most cases.
 */
static gdn_status outright(const gdn_judge *j, const gdn_judged *x, double limit, bool *passes,
                           gdn_error *err)
{
    const gdn_sums *s = &x->total->sums;
    double norm = sqrt(s->dd), largest = norm;
    *passes = norm <= limit;
    if (*passes || sqrt(s->dd / (double)s->n) > limit)
        return GDN_OK;
    gdn_status status = gdn_judge_largest(&j->plan->e, x->run, gdn_judge_recorded(j, x), x->output->quantity,
                                          j->options.jobs, &largest, err);
    *passes = !status && largest <= limit;
    return status;
}

gdn_status gdn_judge_pass_or_fail(const gdn_judge *j, gdn_judged *x, gdn_error *err)
{
    const gdn_judge_options *o = &j->options;
    const gdn_sums *s = &x->total->sums;
    gdn_status status = GDN_OK;
    if (!o->criterion && o->max_rel_l2 == 0)
        return GDN_OK;
    if (s->nonfinite) {
        also(x, false, "%" PRId64 " elements are not finite", s->nonfinite);
        return GDN_OK;
    }
    if (strcmp(x->total->row.flag, gdn_flag_names[GDN_NONFINITE]) == 0) {
        also(x, false, "%s",
             gdn_sums_finite(s) ? "the truth is certified by nothing finite"
                                : "squares of the error overflow");
        return GDN_OK;
    }
    bool zero = gdn_sums_zero_reference(s);
    if (o->max_rel_l2 > 0) {
        /* at most: the reference is off by its uncertainty */
        double value = zero ? (s->dd > 0 ? INFINITY : 0) : sqrt(s->dd / s->rr) + x->total->row.uncertainty;
        also(x, value <= o->max_rel_l2, "rel L2 %.3g, limit %g", value, o->max_rel_l2);
    }
    const gdn_criterion *c =
        o->criterion ? gdn_criterion_find(o->criterion, x->output->kernel, x->output->quantity) : NULL;
    if (!c)
        return GDN_OK;
    double value = zero && c->metric != GDN_CRITERION_RATIO ? (s->dd > 0 ? INFINITY : 0)
                                                            : gdn_criterion_value(c->metric, s);
    bool passes = value <= c->limit, small = false;
    if (!passes && c->outright > 0)
        status = outright(j, x, c->outright, &small, err);
    char how[64] = "";
    if (small)
        snprintf(how, sizeof how, ", but no error above %g: passes outright", c->outright);
    also(x, passes || small, "%s: %s %.3g, limit %g%s", c->name, gdn_criterion_metric_names[c->metric], value,
         c->limit, how);
    return status;
}

gdn_status gdn_judge_failed(const gdn_judge *j, gdn_error *err)
{
    int failed = 0, asked = 0;
    const gdn_judged *first = NULL;
    char shown[GDN_SHOWN];
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        asked += x->pass != GDN_PASS_UNASKED;
        failed += x->pass == GDN_PASS_NO;
        first = !first && x->pass == GDN_PASS_NO ? x : first;
    }
    if (!failed)
        return GDN_OK;
    return gdn_fail(err, GDN_DIFFERS, "judge: %d of %d judged outputs fail%s, first '%s': %s", failed, asked,
                    failed == 1 ? "s" : "", gdn_shown(first->output->tensor, shown, sizeof shown),
                    first->verdict);
}

/* ---- elements that are not finite ---- */

/* How many there are, and where the first is. zero_decay: -inf is a g like another, alpha = 0. */
static gdn_status count_nonfinite(const gdn_tensor *t, bool zero_decay, int64_t *count, char *first,
                                  size_t size, gdn_error *err)
{
    int64_t n = gdn_tensor_elements(t), at = -1;
    double *x = gdn_calloc((size_t)n, sizeof *x);
    gdn_status status = x ? gdn_tensor_doubles(t, x, err) : gdn_no_memory(err, t->name);
    *count = 0;
    for (int64_t i = 0; i < n && !status; i++)
        if (!(x[i] - x[i] == 0) && !(zero_decay && x[i] < 0)) {
            at = at < 0 ? i : at;
            ++*count;
        }
    free(x);
    if (status || at < 0)
        return status;
    int64_t index[GDN_MAX_RANK];
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = at % t->dim[d];
        at /= t->dim[d];
    }
    size_t used = (size_t)snprintf(first, size, "[");
    for (int d = 0; d < t->rank && used < size; d++)
        used += (size_t)snprintf(first + used, size - used, "%s%" PRId64, d ? ", " : "", index[d]);
    if (used < size)
        snprintf(first + used, size - used, "]");
    return status;
}

gdn_status gdn_judge_explain_nonfinite(const gdn_judge *j, gdn_judged *x, gdn_error *err)
{
    char shown[GDN_SHOWN], first[64] = "";
    gdn_status status = count_nonfinite(gdn_safetensors_find(j->file.st, x->output->tensor), false,
                                        &x->nonfinite, x->first, sizeof x->first, err);
    for (gdn_role r = 0; r < GDN_ROLES && !status; r++) {
        int64_t n = 0;
        if (!j->file.role[r])
            continue;
        status = count_nonfinite(gdn_safetensors_find(j->file.st, j->file.role[r]), r == GDN_ROLE_G, &n,
                                 first, sizeof first, err);
        if (!status && n)
            status = gdn_fail(
                err, GDN_BAD_INPUT,
                "%s: %s, the tensor '%s', holds %" PRId64
                " elements that are not finite, the first at %s: there is no truth to compare with",
                j->file.path, gdn_role_names[r], gdn_shown(j->file.role[r], shown, sizeof shown), n, first);
    }
    if (!status && (x->total->sums.nonfinite > x->nonfinite || !isfinite(x->total->sums.rr)))
        status = gdn_fail(
            err, GDN_BAD_INPUT,
            "%s: on these inputs the recurrence leaves the range of fp64: there is no truth to compare "
            "'%s' with%s",
            j->file.path, gdn_shown(x->output->tensor, shown, sizeof shown),
            j->options.no_l2norm ? "; --no-l2norm takes k as it comes, and beta |k|^2 > 2 diverges" : "");
    return status;
}
