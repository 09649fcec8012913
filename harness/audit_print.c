/* SPDX-License-Identifier: Apache-2.0 */
/* audit_print -- an audit for readers: the answer, then tensors, heads and findings; see audit.h. */
#include "harness/audit.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/shown.h"

/* More lines of tensors than this become one a parameter and dtype; so many findings of one kind are shown.
 */
enum { MOST_OF_A_KIND = 12, WORDS = 80, VERDICTS = 16 };

/* ---- title ---- */

static void print_title(const gdn_audit *x, FILE *out)
{
    const gdn_checkpoint *c = x->checkpoint;
    char path[512], name[GDN_SHOWN], words[2 * WORDS] = "";
    int *numbers = x->numbered ? gdn_calloc((size_t)x->layers, sizeof *numbers) : NULL;
    for (int i = 0; numbers && i < x->layers; i++)
        numbers[i] = x->layer[i].key->layer;
    if (numbers)
        gdn_audit_ranges(numbers, x->layers, words, sizeof words);
    free(numbers);
    fprintf(out, "%s: %s, %d file%s, %d GDN layer%s%s%s%s, %zu head%s\n\n",
            gdn_shown_path(c->path, path, sizeof path),
            c->architecture ? gdn_shown(c->architecture, name, sizeof name) : "architecture not given",
            c->shards, c->shards == 1 ? "" : "s", x->layers, x->layers == 1 ? "" : "s", *words ? " (" : "",
            words, *words ? ")" : "", x->heads, x->heads == 1 ? "" : "s");
}

/* ---- the answer ---- */

/* The tensors of a parameter that share a verdict. */
typedef struct verdict {
    const char *text;
    int tensors;
    double chance; /* log2, the largest of them; NaN where it does not apply */
} verdict;

/* Returns how many; tensors in all go to *all. v: [VERDICTS] */
static int verdicts(const gdn_audit *x, gdn_param param, verdict *v, int *all)
{
    int n = 0;
    *all = 0;
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        const char *text = gdn_audit_verdict_text(t);
        int k = 0;
        if (t->key.param != param)
            continue;
        while (k < n && strcmp(v[k].text, text) != 0)
            k++;
        if (k == VERDICTS)
            continue;
        if (k == n)
            v[n++] = (verdict){text, 0, t->chance};
        v[k].tensors++;
        v[k].chance = fmax(v[k].chance, t->chance);
        (*all)++;
    }
    return n;
}

/* "A_log is genuine fp32.", or how many tensors are what. */
static void say_verdicts(const gdn_audit *x, gdn_param p, FILE *out)
{
    verdict v[VERDICTS];
    int all, n = verdicts(x, p, v, &all);
    for (int k = 0; k < n; k++) {
        bool upcast = strncmp(v[k].text, "upcast", 6) == 0, unknown = strcmp(v[k].text, "cannot tell") == 0;
        fprintf(out, k ? ", " : "%s is ", gdn_param_names[p]);
        fprintf(out, "%s%s", upcast ? "an " : "", unknown ? "fp32 that may be an upcast or not" : v[k].text);
        if (n > 1)
            fprintf(out, " in %d of %d", v[k].tensors, all);
        if (upcast)
            fprintf(out, " (of values random in their last bits, by chance at most 2^%.0f a tensor)",
                    v[k].chance);
        if (unknown)
            fprintf(out, " (too few values, or such as lie on a coarse grid: exact in any storage)");
    }
    fprintf(out, ".");
}

/* What storing A_log or dt_bias in bf16 changes, or has changed at most. */
static void say_worst(const gdn_audit *x, gdn_param param, FILE *out)
{
    const char *what = param == GDN_PARAM_A_LOG ? "A" : "softplus(dt_bias)";
    for (int lost = 0; lost < 2; lost++) {
        const gdn_audit_head *h = gdn_audit_worst(x, param, lost);
        char where[WORDS];
        if (!h)
            continue;
        double e = fabs(param == GDN_PARAM_A_LOG ? h->rate_error : h->softplus_error);
        if (e == 0)
            fprintf(out, " bf16 holds it exactly.");
        else
            fprintf(out,
                    lost ? " Its rounding cannot be undone: %s is off by at most %.3g %% (%s, head %d)."
                         : " Storing it in bf16 would change %s by up to %.3g %% (%s, head %d).",
                    what, 100 * e, gdn_audit_layer_words(x, &x->layer[h->layer], where, sizeof where),
                    h->head);
    }
}

/* Channels, and root mean squares, over all norm weights. */
static void say_norm(const gdn_audit *x, FILE *out)
{
    int64_t channels = 0, changed[GDN_AUDIT_WAYS] = {0};
    double rms2[GDN_AUDIT_WAYS] = {0};
    int n = 0;
    for (size_t i = 0; i < x->tensors; i++) {
        const gdn_audit_tensor *t = &x->tensor[i];
        if (t->key.param != GDN_PARAM_NORM_WEIGHT || t->verdict == GDN_AUDIT_NO_FLOATS)
            continue;
        n++;
        channels += t->count;
        for (int way = 0; way < GDN_AUDIT_WAYS; way++) {
            changed[way] += t->weight.changed[way];
            rms2[way] += t->weight.rms[way] * t->weight.rms[way];
        }
    }
    if (n)
        fprintf(out,
                " Of %" PRId64 " weights bf16 changes %" PRId64 " if w is stored (%.2g %% rms), %" PRId64
                " if w - 1 is (%.2g %% rms).",
                channels, changed[GDN_AUDIT_W], 100 * sqrt(rms2[GDN_AUDIT_W] / n),
                changed[GDN_AUDIT_W_LESS_1], 100 * sqrt(rms2[GDN_AUDIT_W_LESS_1] / n));
}

/* One sentence or two a parameter. */
static void print_answer(const gdn_audit *x, FILE *out)
{
    verdict v[VERDICTS];
    int all;
    for (gdn_param p = 0; p < GDN_PARAMS; p++) {
        char *text = NULL;
        size_t size = 0;
        FILE *s = verdicts(x, p, v, &all) ? open_memstream(&text, &size) : NULL;
        if (!s)
            continue;
        say_verdicts(x, p, s);
        if (p <= GDN_PARAM_DT_BIAS)
            say_worst(x, p, s);
        if (p == GDN_PARAM_NORM_WEIGHT)
            say_norm(x, s);
        if (fclose(s) == 0)
            gdn_audit_wrapped(text, 0, out);
        free(text);
    }
    fputc('\n', out);
}

/* ---- findings ---- */

static void print_findings(const gdn_audit *x, FILE *out)
{
    const char *last = "";
    size_t i, same = 0, left = 0, n = json_array_size(x->findings);
    json_t *o;
    if (n == 0) {
        fprintf(out, "No findings.\n");
        return;
    }
    fprintf(out, "%zu finding%s:\n", n, n > 1 ? "s" : "");
    json_array_foreach(x->findings, i, o)
    {
        const char *kind = json_string_value(json_object_get(o, "kind"));
        same = strcmp(kind, last) == 0 ? same + 1 : 0;
        last = kind;
        if (same >= MOST_OF_A_KIND) {
            left++;
            continue;
        }
        fprintf(out, "  %-12s", kind);
        gdn_audit_wrapped(json_string_value(json_object_get(o, "text")), 14, out);
    }
    if (left)
        fprintf(out, "  (%zu more of the same kinds: --json)\n", left);
}

void gdn_audit_print(const gdn_audit *x, long heads, bool every_tensor, FILE *out)
{
    const char *a = x->checkpoint->architecture;
    char name[GDN_SHOWN];
    print_title(x, out);
    print_answer(x, out);
    gdn_audit_tensor_table(x, every_tensor, out);
    gdn_audit_head_table(x, heads, out);
    print_findings(x, out);
    if (!a)
        fprintf(out, "Without config.json the architecture is not known, and no contract was checked.\n");
    else if (!gdn_contract_covers(a))
        fprintf(out, "%s is not under NeMo Automodel's fp32 contract: not checked.\n",
                gdn_shown(a, name, sizeof name));
}
