/* SPDX-License-Identifier: Apache-2.0 */
/* report_text -- numbers and names as Markdown; see report_parts.h. */
#include <ctype.h>
#include <math.h>

#include "harness/report_parts.h"

gdn_text gdn_text_number(double x)
{
    gdn_text t;
    bool near_one = x == 0 || (fabs(x) >= 1e-2 && fabs(x) < 1e4);
    if (near_one)
        snprintf(t.s, sizeof t.s, fabs(x) < 1000 ? "%.3g" : "%.0f", x);
    else
        snprintf(t.s, sizeof t.s, "%.2e", x);
    char *e = strchr(t.s, 'e');
    if (e) {
        char *digits = e + 2 + strspn(e + 2, "0");
        e += 1 + (e[1] == '-');
        memmove(e, digits, strlen(digits) + 1);
    }
    return t;
}

/* Whether numbers of size x read well in per cent. */
static bool in_percent(double x)
{
    return fabs(x) >= 1e-5 && fabs(x) < 10;
}

/* Decimals that show three digits of x. */
static int decimals(double x)
{
    if (x == 0 || !isfinite(x))
        return 0;
    int d = 2 - (int)floor(log10(fabs(x)));
    return d > 0 ? d : 0;
}

gdn_text gdn_text_amount(double x)
{
    gdn_text t;
    if (isnan(x))
        snprintf(t.s, sizeof t.s, "–");
    else if (x == 0)
        snprintf(t.s, sizeof t.s, "0");
    else if (in_percent(x))
        snprintf(t.s, sizeof t.s, "%.*f %%", decimals(100 * x), 100 * x);
    else
        t = gdn_text_number(x);
    return t;
}

/* x with d decimals; with one digit and an exponent where that would show a zero that it is not. */
static gdn_text fixed(double x, int d)
{
    gdn_text t;
    if (x != 0 && fabs(x) < 0.5 * pow(10, -d))
        snprintf(t.s, sizeof t.s, "%.0e", x);
    else
        snprintf(t.s, sizeof t.s, "%.*f", d, x);
    return t;
}

gdn_text gdn_text_span(double x, double lo, double hi)
{
    gdn_text t = gdn_text_amount(x);
    double widest = fmax(fabs(x), fmax(fabs(lo), fabs(hi)));
    if (isnan(x) || lo == hi)
        return t;
    /* three digits of x, but at most two decimals more than the widest has */
    int most = decimals(100 * widest) + (x != 0 ? 2 : 0), own = decimals(100 * x),
        d = x != 0 && own < most ? own : most;
    if (in_percent(widest))
        snprintf(t.s, sizeof t.s, "%.30s %% [%.30s, %.30s]", fixed(100 * x, d).s, fixed(100 * lo, d).s,
                 fixed(100 * hi, d).s);
    else
        snprintf(t.s, sizeof t.s, "%.30s [%.30s, %.30s]", gdn_text_number(x).s, gdn_text_number(lo).s,
                 gdn_text_number(hi).s);
    return t;
}

gdn_text gdn_text_median(const gdn_result *x)
{
    return gdn_text_span(x->median, x->lo, x->hi);
}

gdn_text gdn_text_ratio(double x, double lo, double hi)
{
    gdn_text t;
    if (isnan(x))
        snprintf(t.s, sizeof t.s, "–");
    else
        snprintf(t.s, sizeof t.s, "%.2f [%.2f, %.2f]", x, lo, hi);
    return t;
}

gdn_text gdn_text_count(double x)
{
    gdn_text digits, t;
    snprintf(digits.s, sizeof digits.s, "%.0f", x);
    size_t n = strlen(digits.s), k = 0;
    for (size_t i = 0; i < n && k + 2 < sizeof t.s; i++) {
        if (i && (n - i) % 3 == 0 && isdigit((unsigned char)digits.s[i - 1]))
            t.s[k++] = ',';
        t.s[k++] = digits.s[i];
    }
    t.s[k] = '\0';
    return t;
}

gdn_text gdn_text_counted(double n, const char *one, const char *many)
{
    gdn_text t;
    snprintf(t.s, sizeof t.s, "%.40s %s", gdn_text_count(n).s, n == 1 ? one : many);
    return t;
}

gdn_text gdn_text_name(const char *s)
{
    gdn_text t;
    bool simple = *s != '\0';
    for (const char *p = s; *p; p++)
        simple = simple && (isalnum((unsigned char)*p) || strchr("._+-", *p));
    if (simple) {
        snprintf(t.s, sizeof t.s, "`%.250s`", s);
        return t;
    }
    size_t k = 0;
    for (; *s && k + 3 < sizeof t.s; s++) {
        if (strchr("\\`*_[]<>|~&!#", *s))
            t.s[k++] = '\\';
        t.s[k++] = iscntrl((unsigned char)*s) ? ' ' : *s;
    }
    t.s[k] = '\0';
    return t;
}

/* An underscore inside a word means nothing in Markdown. */
void gdn_put_sentence(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (strchr("\\`*[]<>|~&", *s))
            fputc('\\', f);
        fputc(*s == '\n' ? ' ' : *s, f);
    }
}

const char *gdn_quantity_words(const char *quantity)
{
    static const char *const words[][2] = {{"y", "the layer output y"},
                                           {"o", "the recurrence output o"},
                                           {"state", "the state S"},
                                           {"g", "the gate g"},
                                           {"decay", "the cumulative decay"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (gdn_same(words[i][0], quantity))
            return words[i][1];
    return quantity;
}

const char *gdn_kind_words(const char *kind)
{
    return gdn_same(kind, "arith") ? "arithmetic" : kind;
}

gdn_text gdn_text_entry(const gdn_result *x)
{
    gdn_text t;
    if (!x)
        snprintf(t.s, sizeof t.s, "–");
    else if (gdn_measured(x) && x->median == 0)
        snprintf(t.s, sizeof t.s, "%s", x->hi > 0 ? gdn_text_median(x).s : "exactly 0");
    else if (gdn_measured(x))
        t = gdn_text_median(x);
    else if (x->n_below > 0)
        snprintf(t.s, sizeof t.s, "below reference");
    else if (x->n_nonfinite > 0)
        snprintf(t.s, sizeof t.s, "not finite");
    else if (x->n_zero > 0)
        snprintf(t.s, sizeof t.s, "reference is 0");
    else
        snprintf(t.s, sizeof t.s, "–");
    return t;
}
