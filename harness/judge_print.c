/* SPDX-License-Identifier: Apache-2.0 */
/* judge_print -- what was judged, for a reader; see judge.h. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/judge.h"
#include "harness/lockstep.h"
#include "harness/shown.h"

enum { NAME = 40, NUMBER = 24, HEADS = 8, HEADS_ROW = 4, UNUSED = 12, LINE = 512 };

static const char *const pass_names[] = {"", "pass", "FAIL"};

static bool flagged(const gdn_row *r, gdn_flag flag)
{
    return strcmp(r->flag, gdn_flag_names[flag]) == 0;
}

/* A number, or "-" where it does not apply. */
static const char *number(double x, const char *format, char *out)
{
    if (isnan(x))
        return "-";
    snprintf(out, NUMBER, format, x);
    return out;
}

/* A relative L2, or what stands in its place. */
static const char *relative(const gdn_row *r, char *out)
{
    if (flagged(r, GDN_NONFINITE))
        return "not finite";
    if (flagged(r, GDN_ZERO_REFERENCE))
        return "truth is 0";
    if (flagged(r, GDN_BELOW_REFERENCE)) {
        snprintf(out, NUMBER, "< %.0e", 1000 * r->uncertainty);
        return out;
    }
    return number(r->rel_l2, r->rel_l2 == 0 ? "%g" : "%.3e", out);
}

/* Next to 1 its distance from there says more. */
static const char *cosine(double x, char *out)
{
    if (x > 0.999999 && x < 1) {
        snprintf(out, NUMBER, "1 - %.1e", 1 - x);
        return out;
    }
    return number(x, "%.7g", out);
}

/* A line without the blanks at its end. */
static void put_line(const char *line)
{
    int n = (int)strlen(line);
    while (n > 0 && line[n - 1] == ' ')
        n--;
    printf("%.*s\n", n, line);
}

/* More of a line that is `used` long. */
static void also(char line[LINE], size_t *used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (*used < LINE)
        *used += (size_t)vsnprintf(line + *used, LINE - *used, format, args);
    va_end(args);
}

static int name_width(const gdn_judge *j)
{
    int width = 6;
    char shown[NAME];
    for (int i = 0; i < j->count; i++) {
        int n = (int)strlen(gdn_shown(j->judged[i].output->tensor, shown, sizeof shown));
        width = n > width ? n : width;
    }
    return width;
}

/* ---- the head of the page ---- */

static void print_file(const gdn_judge *j)
{
    const gdn_judge_options *o = &j->options;
    char shown[GDN_SHOWN];
    char *const *role = j->file.role;
    printf("%s: T = %" PRId64 ", ", gdn_shown_path(j->file.path, shown, sizeof shown), j->tokens);
    if (j->batch > 1)
        printf("%" PRId64 " sequences of ", j->batch);
    printf("%" PRId64 " heads (%" PRId64 " key heads), d_k = %d, d_v = %d\n", j->shape.heads / j->batch,
           j->key_heads, j->shape.dk, j->shape.dv);
    printf("gate: %s; beta %s%s; q and k %s; scale ", j->given ? "g as given" : "from a, A_log and dt_bias",
           role[GDN_ROLE_BETA] ? "as given" : "= sigmoid(b)", o->beta_factor == 2 ? ", times 2" : "",
           o->no_l2norm ? "as they come" : "L2-normalised");
    if (o->scale != 0)
        printf("%g", o->scale);
    else
        printf("d_k^(-1/2)");
    printf("%s\n", role[GDN_ROLE_INITIAL_STATE] ? "; an initial state" : "");
}

static void print_reference(const gdn_judge *j)
{
    bool all = j->tokens <= GDN_CERTIFY_ALL;
    int columns = j->shape.dv < GDN_CHECK_COLUMNS ? j->shape.dv : GDN_CHECK_COLUMNS;
    printf("truth: the recurrence in ");
    if (gdn_judge_by_check(j))
        printf("double-double, o being too good for fp64, checked by MPFR (113 bits) on %s",
               all ? "every value column" : "one value column of one head");
    else if (all)
        printf(
            "fp64, checked in double-double on every value column, and that by MPFR (113 bits) on as many");
    else
        printf("fp64, checked in double-double on %d value columns of every head, and that by MPFR (113 "
               "bits) on one of one head",
               columns);
    printf("; uncertainty %.1e\n\n", gdn_judge_uncertainty(j));
}

/* ---- the outputs ---- */

static void print_outputs(const gdn_judge *j, int width)
{
    bool asked = j->options.criterion || j->options.max_rel_l2 > 0, first = true;
    char line[LINE];
    snprintf(line, sizeof line, "%-*s %-8s %-10s %-10s %-11s %-14s %-6s %-12s %-17s%s", width, "output",
             "quantity", "rel L2", "NMSE", "bias", "max ulp", "bits", "cosine", "worst head",
             asked ? "verdict" : "");
    put_line(line);
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        const gdn_row *r = &x->total->row;
        char shown[NAME], n[8][NUMBER], ulp[2 * NUMBER], worst[2 * NUMBER] = "";
        const char *format = isnan(r->max_ulp) ? "" : gdn_formats[x->output->format].name;
        snprintf(ulp, sizeof ulp, "%s %s", number(r->max_ulp, "%.3g", n[0]), format);
        if (x->worst)
            snprintf(worst, sizeof worst, "%" PRId64 ": %s", x->worst->head, relative(x->worst, n[1]));
        snprintf(line, sizeof line, "%-*s %-8s %-10s %-10s %-11s %-14s %-6s %-12s %-17s%s", width,
                 gdn_shown(x->output->tensor, shown, sizeof shown), r->quantity, relative(r, n[2]),
                 number(r->nmse, "%.3e", n[3]), number(r->bias, "%+.2e", n[4]), ulp,
                 number(r->bits, "%.2f", n[5]), cosine(r->cosine, n[6]), worst, pass_names[x->pass]);
        put_line(line);
        if (x->nonfinite)
            printf("%-*s   %" PRId64 " elements are not finite, the first at %s\n", width, "", x->nonfinite,
                   x->first);
    }
    for (int i = 0; i < j->count; i++)
        if (j->judged[i].verdict[0]) {
            char shown[NAME];
            printf("%s%-*s %s: %s\n", first ? "\n" : "", width,
                   gdn_shown(j->judged[i].output->tensor, shown, sizeof shown), pass_names[j->judged[i].pass],
                   j->judged[i].verdict);
            first = false;
        }
}

static void print_likeness(const gdn_judge *j, int width)
{
    bool any = false;
    char shown[NAME];
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        if (!x->likeness.present)
            continue;
        if (!any)
            printf("\nlooks like\n");
        any = true;
        printf("%-*s %s\n", width, gdn_shown(x->output->tensor, shown, sizeof shown), x->likeness.text);
    }
}

/* ---- over the length ---- */

static void print_growth_head(const gdn_judge *j)
{
    if (j->options.head == GDN_ALL_HEADS)
        printf("\nover windows from 2^i (relative L2)\n");
    else
        printf("\nover windows from 2^i (relative L2 of head %ld)\n", j->options.head);
}

static void print_growth(const gdn_judge *j, int width)
{
    enum { ROW = 6 };
    bool any = false;
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        const gdn_row *r;
        char shown[NAME], n[NUMBER], line[LINE] = "";
        size_t used = 0;
        int k = 0;
        for (int64_t at = 0; (r = gdn_judge_window(j, x, &at)); k++) {
            if (!any)
                print_growth_head(j);
            any = true;
            if (k && k % ROW == 0)
                put_line(line);
            if (k % ROW == 0) {
                used = 0;
                also(line, &used, "%-*s", width, k ? "" : gdn_shown(x->output->tensor, shown, sizeof shown));
            }
            also(line, &used, "  %6" PRId64 " %-10s", r->from, relative(r, n));
        }
        if (k)
            put_line(line);
    }
}

static int worse(const void *a, const void *b)
{
    const gdn_row *x = *(const gdn_row *const *)a, *y = *(const gdn_row *const *)b;
    if (isnan(x->rel_l2) || isnan(y->rel_l2))
        return isnan(y->rel_l2) - isnan(x->rel_l2);
    return (x->rel_l2 < y->rel_l2) - (x->rel_l2 > y->rel_l2);
}

/* Biases of heads may cancel in the pooled one: each head's is beside its error. */
static void print_worst(const gdn_judged *x, const gdn_row *const *rows, int count, int width)
{
    char shown[NAME], n[2][NUMBER], name[NUMBER], line[LINE] = "";
    size_t used = 0;
    also(line, &used, "%-*s", width, gdn_shown(x->output->tensor, shown, sizeof shown));
    for (int h = 0; h < count && h < HEADS; h++) {
        if (h && h % HEADS_ROW == 0) {
            put_line(line);
            used = 0;
            also(line, &used, "%-*s", width, "");
        }
        snprintf(name, sizeof name, "%" PRId64 ":", rows[h]->head);
        also(line, &used, "  %4s %-10s %-9s", name, relative(rows[h], n[0]),
             number(rows[h]->bias, "%+.2e", n[1]));
    }
    also(line, &used, "%s", count > HEADS ? "  .." : "");
    put_line(line);
}

static gdn_status print_heads(const gdn_judge *j, int width)
{
    const gdn_row **rows = gdn_calloc((size_t)j->shape.heads, sizeof *rows), *r;
    if (!rows)
        return GDN_MACHINE;
    for (int i = 0; i < j->count && j->shape.heads > 1; i++) {
        const gdn_judged *x = &j->judged[i];
        int k = 0;
        for (int64_t at = 0; (r = gdn_judge_head(j, x, &at)) && k < j->shape.heads;)
            rows[k++] = r;
        qsort(rows, (size_t)k, sizeof(const gdn_row *), worse);
        if (!i)
            printf("\nworst heads (head: relative L2, bias)\n");
        print_worst(x, rows, k, width);
    }
    free(rows);
    return GDN_OK;
}

/* ---- storage beside arithmetic ---- */

static void print_split(const gdn_judge *j, int width)
{
    char n[6][NUMBER], shown[NAME];
    printf(
        "\nstorage beside arithmetic: the kernel ran on parameters stored as %s; total = storage + arith\n",
        j->options.profile);
    printf("%-*s %-10s %-11s  %-10s %-11s  %-10s %s\n", width, "", "total", "bias", "storage", "bias",
           "arith", "bias");
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        const gdn_row *t = &x->total->row, *s = &x->storage->row, *a = &x->arith->row;
        printf("%-*s %-10s %-11s  %-10s %-11s  %-10s %s\n", width,
               gdn_shown(x->output->tensor, shown, sizeof shown), relative(t, n[0]),
               number(t->bias, "%+.2e", n[1]), relative(s, n[2]), number(s->bias, "%+.2e", n[3]),
               relative(a, n[4]), number(a->bias, "%+.2e", n[5]));
    }
}

static void print_stored(const gdn_judge *j, int width)
{
    bool any = false;
    for (int i = 0; i < j->count; i++) {
        const gdn_judged *x = &j->judged[i];
        char n[3][NUMBER], shown[NAME];
        if (!x->stored[0] || !x->stored[1])
            continue;
        if (!any)
            printf("\nstorage beside arithmetic: relative L2 that bf16 parameters alone would cost on this "
                   "input\n"
                   "%-*s %-12s %-22s %s\n",
                   width, "", "this output", "A_log, dt_bias (and w)", "A_log alone");
        any = true;
        printf("%-*s %-12s %-22s %s\n", width, gdn_shown(x->output->tensor, shown, sizeof shown),
               relative(&x->total->row, n[0]), relative(&x->stored[0]->row, n[1]),
               relative(&x->stored[1]->row, n[2]));
    }
}

/* ---- the rest ---- */

static void print_notes(const gdn_judge *j)
{
    char shown[GDN_SHOWN];
    if (j->notes || j->file.unuseds)
        printf("\n");
    for (int i = 0; i < j->notes; i++)
        printf("note: %s\n", j->note[i]);
    if (j->file.unuseds)
        printf("not used:");
    for (int i = 0; i < j->file.unuseds && i < UNUSED; i++)
        printf(" %s", gdn_shown(j->file.unused[i], shown, sizeof shown));
    if (j->file.unuseds)
        printf(j->file.unuseds > UNUSED ? " and %d more\n" : "\n", j->file.unuseds - UNUSED);
}

void gdn_judge_print(const gdn_judge *j)
{
    int width = name_width(j);
    print_file(j);
    print_reference(j);
    print_outputs(j, width);
    print_likeness(j, width);
    print_growth(j, width);
    print_heads(j, width);
    if (j->options.profile)
        print_split(j, width);
    else
        print_stored(j, width);
    print_notes(j);
}
