/* SPDX-License-Identifier: Apache-2.0 */
/* audit_tables -- an audit's tensors and heads as tables; see audit.h. */
#include "harness/audit.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More tensors than this become one line a parameter, dtype and verdict. */
enum { MOST_LINES = 40, LINES = 64, WIDTH = 100, WORDS = 80 };

void gdn_audit_wrapped(const char *s, int indent, FILE *out)
{
    int column = indent;
    for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
        int n = (int)strcspn(s, " ");
        if (strncmp(s + n, " %", 2) == 0) /* stays with its number */
            n += 1 + (int)strcspn(s + n + 1, " ");
        if (column > indent && column + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", n, s);
        column += n;
        s += n;
    }
    fputc('\n', out);
}

/* Width of the column that says which layer. */
static int where_width(const gdn_audit *x)
{
    char words[WORDS];
    int widest = 10;
    for (int i = 0; i < x->layers; i++) {
        int n = (int)strlen(gdn_audit_layer_words(x, &x->layer[i], words, sizeof words));
        widest = n > widest ? n : widest;
    }
    return widest;
}

/* ---- tensors ---- */

/* A tensor, or all of a parameter that share dtype and verdict. */
typedef struct line {
    gdn_param param;
    gdn_dtype dtype;
    const char *verdict;
    int tensors;
    int64_t count, bf16_exact, nonfinite;
    double min, max, chance;
} line;

static line line_of(const gdn_audit_tensor *t)
{
    return (line){t->key.param,
                  t->tensor->dtype,
                  gdn_audit_verdict_text(t),
                  1,
                  t->count,
                  t->bf16_exact,
                  t->nonfinite,
                  t->min,
                  t->max,
                  t->chance};
}

static void add_to(line *l, const gdn_audit_tensor *t)
{
    l->tensors++;
    l->count += t->count;
    l->bf16_exact += t->bf16_exact;
    l->nonfinite += t->nonfinite;
    l->min = fmin(l->min, t->min);
    l->max = fmax(l->max, t->max);
    l->chance = fmax(l->chance, t->chance);
}

static void print_line(const line *l, const char *where, int width, FILE *out)
{
    fprintf(out, "%-14s %-*s %-5s %8" PRId64 " %10" PRId64 " %10.4g %10.4g  %s", gdn_param_names[l->param],
            width, where, gdn_dtype_name(l->dtype), l->count, l->bf16_exact, l->min, l->max, l->verdict);
    if (l->chance < 0)
        fprintf(out, " (by chance 2^%.0f)", l->chance);
    if (l->nonfinite)
        fprintf(out, "; %" PRId64 " not finite", l->nonfinite);
    fputc('\n', out);
}

static void print_each(const gdn_audit *x, gdn_param param, int width, FILE *out)
{
    char where[WORDS];
    for (size_t i = 0; i < x->tensors; i++) {
        line l = line_of(&x->tensor[i]);
        if (l.param == param)
            print_line(&l, gdn_audit_layer_words(x, &x->layer[x->tensor[i].layer], where, sizeof where),
                       width, out);
    }
}

static void print_together(const gdn_audit *x, gdn_param param, int width, FILE *out)
{
    line l[LINES];
    int n = 0;
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        int k = 0;
        if (t->key.param != param)
            continue;
        while (k < n &&
               (l[k].dtype != t->tensor->dtype || strcmp(l[k].verdict, gdn_audit_verdict_text(t)) != 0))
            k++;
        if (k < n)
            add_to(&l[k], t);
        else if (n < LINES)
            l[n++] = line_of(t);
    }
    for (int k = 0; k < n; k++) {
        char where[WORDS];
        snprintf(where, sizeof where, "%d tensor%s", l[k].tensors, l[k].tensors > 1 ? "s" : "");
        print_line(&l[k], where, width, out);
    }
}

void gdn_audit_tensor_table(const gdn_audit *x, bool every, FILE *out)
{
    bool each = every || x->tensors <= MOST_LINES;
    int width = each ? where_width(x) : 12;
    fprintf(out, "%-14s %-*s %-5s %8s %10s %10s %10s  %s\n", "parameter", width, "where", "dtype", "count",
            "bf16-exact", "min", "max", "what it is");
    for (gdn_param p = 0; p < GDN_PARAMS; p++)
        if (each)
            print_each(x, p, width, out);
        else
            print_together(x, p, width, out);
    fprintf(out, each ? "\n" : "(--tensors: one by one)\n\n");
}

/* ---- heads ---- */

/* "1.2e-03"; "<1.2e-03" for a bound. */
static const char *figure(double x, bool bound, char *out, size_t size)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%s%.1e", bound ? "<" : "", x);
    snprintf(out, size, "%8s", x != x ? "-" : x == 0 && !bound ? "0" : digits);
    return out;
}

static const char *cost(const gdn_audit_cost *c, bool bound, char *out, size_t size)
{
    bool silent = c->predicted != c->predicted;
    return figure(silent ? c->at_most : c->predicted, bound || silent, out, size);
}

static void print_head(const gdn_audit *x, const gdn_audit_head *h, int width, FILE *out)
{
    char where[WORDS], f[6][32];
    int norm = x->layer[h->layer].tensor[GDN_PARAM_NORM_WEIGHT];
    bool a = h->a_log_lost, b = h->dt_bias_lost, w = norm >= 0 && gdn_audit_lost(&x->tensor[norm]);
    enum { ROOM = sizeof f[0] };
    fprintf(out, "%-*s %4d %8.4f %8.4f %8.3g %8.3g  %s %s  %s %s  %s %s%s\n", width,
            gdn_audit_layer_words(x, &x->layer[h->layer], where, sizeof where), h->head, h->a_log, h->dt_bias,
            h->tau, h->gamma, figure(fabs(h->rate_error), a, f[0], ROOM), cost(&h->o_a_log, a, f[1], ROOM),
            figure(h->softplus_rms, b, f[2], ROOM), cost(&h->o_dt_bias, b, f[3], ROOM),
            cost(&h->o, a || b, f[4], ROOM), cost(&h->y, a || b || w, f[5], ROOM), h->dead ? "  dead" : "");
}

static void print_legend(const gdn_audit *x, FILE *out)
{
    const gdn_audit_settings *s = &x->settings;
    char text[1024];
    snprintf(text, sizeof text,
             "tau = 1 / (A softplus(dt_bias)) tokens. gamma = E|g| for a ~ N(%g, %g); softplus: rms over a. "
             "o and y: "
             "relative L2 at T = %" PRId64
             " by theory, for isotropic keys of d_k = %d and beta = sigmoid(N(0, 1)). "
             "< marks a bound: a value that was rounded before it came here is off by at most half an ulp, "
             "and where "
             "theory is silent (gamma > 0.3) o is bounded relative to the largest state.",
             s->a_mean, s->a_scale, s->length, x->dk);
    gdn_audit_wrapped(text, 0, out);
    fputc('\n', out);
}

void gdn_audit_head_table(const gdn_audit *x, long most, FILE *out)
{
    size_t n = most < 0 || (size_t)most > x->heads ? x->heads : (size_t)most;
    int width = where_width(x);
    if (n == 0)
        return;
    fprintf(out, "Relative error by bf16 storage, worst head first\n");
    fprintf(out, "%-*s %4s %8s %8s %8s %8s  %17s  %17s  %8s %8s\n", width, "", "", "", "", "", "",
            "of A_log: in", "of dt_bias: in", "of both", "and of w");
    fprintf(out, "%-*s %4s %8s %8s %8s %8s  %8s %8s  %8s %8s  %8s %8s\n", width, "where", "head", "A_log",
            "dt_bias", "tau", "gamma", "A", "o", "softplus", "o", "in o", "in y");
    for (size_t i = 0; i < n; i++)
        print_head(x, &x->head[i], width, out);
    if (n < x->heads)
        fprintf(out, "(%zu more: --heads all)\n", x->heads - n);
    fputc('\n', out);
    print_legend(x, out);
}
