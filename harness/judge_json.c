/* SPDX-License-Identifier: Apache-2.0 */
/* judge_json -- what was judged, for a program: JSON, and rows as CSV; see judge.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/judge_parts.h"
#include "harness/lockstep.h"
#include "harness/outfile.h"
#include "harness/shown.h"

enum { DD_BITS = 106 };

static void put_text(json_t *o, const char *key, const char *text)
{
    char shown[4096];
    json_t *s = text ? json_string(text) : json_null();
    json_object_set_new(o, key, s ? s : json_string(gdn_shown(text, shown, sizeof shown))); /* not UTF-8 */
}

static void put_measures(json_t *o, const gdn_row *r)
{
    json_object_set_new(o, "rel_l2", gdn_json_number(r->rel_l2));
    json_object_set_new(o, "nmse", gdn_json_number(r->nmse));
    json_object_set_new(o, "bias", gdn_json_number(r->bias));
    json_object_set_new(o, "max_ulp", gdn_json_number(r->max_ulp));
    json_object_set_new(o, "bits", gdn_json_number(r->bits));
    json_object_set_new(o, "cosine", gdn_json_number(r->cosine));
    json_object_set_new(o, "uncertainty", gdn_json_number(r->uncertainty));
    put_text(o, "reference", r->reference);
    put_text(o, "flag", r->flag);
}

/* One part of an error: rel_l2, bias and what they are worth. */
static json_t *part(const gdn_row *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "rel_l2", gdn_json_number(r->rel_l2));
    json_object_set_new(o, "bias", gdn_json_number(r->bias));
    json_object_set_new(o, "uncertainty", gdn_json_number(r->uncertainty));
    put_text(o, "flag", r->flag);
    return o;
}

/* With a profile the parts of this error; else what bf16 parameters would cost, by profile. */
static json_t *storage(const gdn_judge *j, const gdn_judged *x)
{
    json_t *o = json_object();
    if (x->storage) {
        put_text(o, "profile", j->options.profile);
        json_object_set_new(o, "total", part(&x->total->row));
        json_object_set_new(o, "storage", part(&x->storage->row));
        json_object_set_new(o, "arith", part(&x->arith->row));
    }
    for (int i = 0; i < GDN_JUDGE_STORED; i++)
        if (x->stored[i])
            json_object_set_new(o, gdn_judge_stored[i], part(&x->stored[i]->row));
    return o;
}

static json_t *looks_like(const gdn_likeness *l)
{
    if (!l->present)
        return json_null();
    const gdn_likeness_row *best = l->best >= 0 ? &l->row[l->best] : NULL;
    json_t *o = json_object(), *rows = json_array();
    put_text(o, "text", l->text);
    put_text(o, "verdict", gdn_likeness_verdict_names[l->verdict]);
    put_text(o, "name", best ? best->name : NULL);
    json_object_set_new(o, "explained", gdn_json_number(best ? best->explained : (double)NAN));
    json_object_set_new(o, "correlation", gdn_json_number(best ? best->correlation : (double)NAN));
    json_object_set_new(o, "size", gdn_json_number(best ? best->size : (double)NAN));
    json_object_set_new(o, "tokens", json_integer(l->tokens));
    put_text(o, "values_fit", gdn_formats[l->grid].name);
    for (int i = 0; i < l->rows; i++) {
        json_t *row = json_object();
        put_text(row, "name", l->row[i].name);
        json_object_set_new(row, "explained", gdn_json_number(l->row[i].explained));
        json_object_set_new(row, "correlation", gdn_json_number(l->row[i].correlation));
        json_object_set_new(row, "size", gdn_json_number(l->row[i].size));
        json_array_append_new(rows, row);
    }
    json_object_set_new(o, "candidates", rows);
    return o;
}

static json_t *output(const gdn_judge *j, const gdn_judged *x)
{
    json_t *o = json_object(), *heads = json_array(), *windows = json_array();
    const gdn_row *r;
    put_text(o, "name", x->output->tensor);
    put_text(o, "kernel", x->output->kernel);
    put_text(o, "quantity", x->total->row.quantity);
    put_text(o, "dtype", gdn_dtype_name(x->output->dtype));
    put_measures(o, &x->total->row);
    put_text(o, "ulp_of", gdn_formats[x->output->format].name);
    json_object_set_new(o, "nonfinite", json_integer(x->nonfinite));
    put_text(o, "first_nonfinite", x->nonfinite ? x->first : NULL);
    json_object_set_new(o, "pass",
                        x->pass == GDN_PASS_UNASKED ? json_null() : json_boolean(x->pass == GDN_PASS_YES));
    put_text(o, "verdict", x->verdict[0] ? x->verdict : NULL);
    json_object_set_new(o, "looks_like", looks_like(&x->likeness));
    json_object_set_new(o, "storage", storage(j, x));
    for (int64_t at = 0; (r = gdn_judge_head(j, x, &at));) {
        json_t *head = json_pack("{s:I}", "head", (json_int_t)r->head);
        put_measures(head, r);
        json_array_append_new(heads, head);
    }
    for (int64_t at = 0; (r = gdn_judge_window(j, x, &at));) {
        json_t *w = json_pack("{s:I, s:I}", "from", (json_int_t)r->from, "to", (json_int_t)r->to);
        put_measures(w, r);
        json_array_append_new(windows, w);
    }
    json_object_set_new(o, "per_head", heads);
    json_object_set_new(o, "windows", windows);
    return o;
}

/* The rung that served o; every output names its own besides. */
static json_t *reference(const gdn_judge *j)
{
    const gdn_row *r = &gdn_judge_first(j)->total->row;
    bool dd = gdn_judge_by_check(j);
    return json_pack("{s:s, s:i, s:f, s:s, s:s, s:i, s:I}", "kind", r->reference, "precision",
                     dd ? DD_BITS : gdn_formats[GDN_FP64].p, "uncertainty", gdn_judge_uncertainty(j),
                     "checked_by", dd ? "mpfr" : "dd", "witnessed_by", "mpfr", "witness_precision",
                     GDN_JUDGE_PRECISION, "checked_columns", (json_int_t)r->certified);
}

json_t *gdn_judge_to_json(const gdn_judge *j)
{
    const gdn_judge_options *p = &j->options;
    json_t *o = json_object(), *outputs = json_array(), *unused = json_array(), *notes = json_array();
    put_text(o, "file", j->file.path);
    const struct {
        const char *key;
        int64_t x;
    } sizes[] = {{"tokens", j->tokens},       {"sequences", j->batch}, {"heads", j->shape.heads / j->batch},
                 {"key_heads", j->key_heads}, {"dk", j->shape.dk},     {"dv", j->shape.dv}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        json_object_set_new(o, sizes[i].key, json_integer(sizes[i].x));
    put_text(o, "gate", j->given ? "given" : "params");
    json_object_set_new(o, "l2norm", json_boolean(!p->no_l2norm));
    json_object_set_new(o, "scale", gdn_json_number(p->scale != 0 ? p->scale : 1 / sqrt(j->shape.dk)));
    json_object_set_new(o, "reference", reference(j));
    put_text(o, "profile", p->profile);
    put_text(o, "criterion", p->criterion);
    json_object_set_new(o, "max_rel_l2", gdn_json_number(p->max_rel_l2 > 0 ? p->max_rel_l2 : (double)NAN));
    json_object_set_new(o, "windows_of",
                        p->head == GDN_ALL_HEADS ? json_string("all heads") : json_integer(p->head));
    for (int i = 0; i < j->count; i++)
        json_array_append_new(outputs, output(j, &j->judged[i]));
    for (int i = 0; i < j->file.unuseds; i++)
        json_array_append_new(unused, json_string(j->file.unused[i]));
    for (int i = 0; i < j->notes; i++)
        json_array_append_new(notes, json_string(j->note[i]));
    json_object_set_new(o, "outputs", outputs);
    json_object_set_new(o, "not_used", unused);
    json_object_set_new(o, "notes", notes);
    return o;
}

gdn_status gdn_judge_csv(const gdn_judge *j, const char *path, gdn_error *err)
{
    gdn_outfile out;
    char line[1 << 14];
    gdn_status status = gdn_outfile_open(&out, path, err);
    if (status)
        return status;
    gdn_row_csv_header(line, sizeof line);
    fprintf(out.f, "%s\n", line);
    for (int run = 0; run < 2; run++)
        for (int64_t i = 0; i < j->run[run].count; i++) {
            gdn_row_csv(&j->run[run].row[i], line, sizeof line);
            fprintf(out.f, "%s\n", line);
        }
    return gdn_outfile_close(&out, GDN_OK, err);
}
