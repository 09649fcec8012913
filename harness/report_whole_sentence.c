/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole_sentence -- findings whose numbers lead to their rows, and figures; see report_whole.h. */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/plot.h"
#include "harness/report_whole.h"

gdn_mark gdn_mark_of(const gdn_claim *c)
{
    gdn_mark m = {"", ""};
    if (c->id[0] == 'R' || c->id[0] == 'T')
        gdn_result_id(c, m.id);
    else
        snprintf(m.id, sizeof m.id, "%.8s", c->id);
    for (size_t i = 0; i < sizeof m.id; i++)
        m.anchor[i] = (char)tolower((unsigned char)m.id[i]);
    return m;
}

void gdn_put_mark(const gdn_claim *c, FILE *f)
{
    gdn_mark m = gdn_mark_of(c);
    fprintf(f, "[%s](#%s)", m.id, m.anchor);
}

bool gdn_has_data(const gdn_judgement *j)
{
    return j->number && j->verdict != GDN_NO_DATA;
}

bool gdn_has_entry(const gdn_judgement *j)
{
    return gdn_has_data(j) || j->claim->untestable;
}

/* A sentence on its way to Markdown. */
typedef struct linked {
    FILE *f;
    gdn_mark mark;
} linked;

/* Text as it stands is a slice: a copy ends where it does. Brackets of an interval are a pair, which a link
 * may hold. */
static void put_piece(const char *text, size_t n, const gdn_claim_value *value, void *context)
{
    const linked *to = context;
    char *copy = strndup(text, n);
    if (!copy)
        return;
    if (value && isdigit((unsigned char)text[*text == '-']))
        fprintf(to->f, "[%s](#%s \"rows: %s\")", copy, to->mark.anchor, value->name);
    else
        gdn_put_sentence(to->f, copy);
    free(copy);
}

void gdn_put_finding(const gdn_judgement *j, FILE *f)
{
    linked to = {f, gdn_mark_of(j->claim)};
    char bad[64];
    if (gdn_has_data(j) && j->verdict != GDN_UNDECIDED)
        gdn_claim_pieces(j->claim, j->number, put_piece, &to, bad);
    else
        gdn_put_sentence(f, j->finding);
}

void gdn_put_doubt(const gdn_judgement *j, FILE *f)
{
    if (j->verdict != GDN_CONFIRMED)
        fprintf(f, " **(%s)**", gdn_result_verdict(j));
}

gdn_status gdn_put_drawn(gdn_overview *w, const char *url, const char *caption, FILE *f, gdn_error *err)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < w->n_shown; i++)
        if (gdn_same(w->shown[i], url))
            return GDN_OK;
    if (snprintf(path, sizeof path, "%s/%s", w->root, url) >= (int)sizeof path || access(path, R_OK) != 0)
        return GDN_OK;
    char **more = realloc(w->shown, (w->n_shown + 1) * sizeof *more);
    if (!more)
        return gdn_no_memory(err, "report.md");
    w->shown = more;
    if (!(w->shown[w->n_shown] = strdup(url)))
        return gdn_no_memory(err, "report.md");
    w->n_shown++;
    fprintf(f, "![Figure %zu: %s](%s)\n\n**Figure %zu.** %s. Medians with 95 %% intervals, from `%.*s`.\n\n",
            w->n_shown, caption, url, w->n_shown, caption, (int)(strcspn(url, "/")), url);
    return GDN_OK;
}
