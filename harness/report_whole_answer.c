/* SPDX-License-Identifier: Apache-2.0 */
/* report_whole_answer -- the answer in a few sentences, and what follows for each tensor; see report_whole.h.
 */
#include "harness/report_whole.h"

gdn_status gdn_whole_answer(gdn_overview *w, FILE *f, gdn_error *err)
{
    const gdn_judgement *first = NULL;
    size_t n = 0;
    fprintf(f, "# What may rest in bf16 in Gated DeltaNet?\n\n"
               "What number formats cost in the decay gate, the recurrence and out_norm, measured against "
               "exact arithmetic. Every number is computed from CSV files, stands with its 95 %% interval, "
               "and leads to the query that gave it. Errors are relative L2 errors of one layer, medians "
               "over heads and seeds: of y, the layer’s output, or o, the recurrence’s; "
               "[terms](#how-to-read-it).\n\n"
               "## Answer\n\n");
    for (size_t i = 0; i < w->index.n_results; i++) {
        const gdn_judgement *j = &w->index.result[i];
        if (!j->claim->headline || !gdn_has_data(j))
            continue;
        first = first ? first : j;
        fprintf(f, "%zu. ", ++n);
        gdn_put_finding(j, f);
        gdn_put_doubt(j, f);
        fprintf(f, " ");
        gdn_put_mark(j->claim, f);
        fprintf(f, "\n");
    }
    if (n == 0)
        fprintf(
            f,
            "None of the headline results has its data here; `gdnprec results` names what each one needs.\n");
    fprintf(f, "\n");
    return first && first->claim->figure
               ? gdn_put_drawn(w, first->claim->figure, first->claim->proposition, f, err)
               : GDN_OK;
}

void gdn_whole_decisions(const gdn_overview *w, FILE *f)
{
    static const char *const words[GDN_ADVICES] = {"**Keep in fp32** when", "**bf16 is fine** when"};
    const char *tensor = "";
    size_t n = 0;
    fprintf(f, "## Decisions\n\n"
               "For each tensor: when it has to stay in fp32, and when bf16 will do. An advice is computed "
               "as a result is; where its condition fails, that is said behind it.\n\n");
    for (size_t i = 0; i < w->decision.n; i++) {
        const gdn_judgement *j = &w->decision.j[i];
        if (!gdn_has_data(j))
            continue;
        if (!gdn_same(tensor, j->claim->tensor)) {
            tensor = j->claim->tensor;
            fprintf(f, "%s### ", n ? "\n" : "");
            gdn_put_sentence(f, tensor);
            fprintf(f, "\n\n");
        }
        n++;
        fprintf(f, "- %s ", words[j->claim->advice]);
        gdn_put_finding(j, f);
        gdn_put_doubt(j, f);
        fprintf(f, " ");
        gdn_put_mark(j->claim, f);
        fprintf(f, "\n");
    }
    fprintf(f, n ? "\n" : "None of them has its data here.\n\n");
}
