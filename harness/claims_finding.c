/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_finding -- the sentence of a claim: its template with the values put in.
 *
 *     {x} three digits   {x:percent} 0.132 %   {x:span} 0.132 % [0.080, 0.170]   {x:interval} 0.98
 * [0.96, 1.00] {x:count} 262,144   {x.lo}, {x.hi} likewise   {{ a brace
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/claims.h"
#include "harness/report_parts.h"

static gdn_text as_number(const gdn_claim_number *x)
{
    return isnan(x->value) ? gdn_text_amount(x->value) : gdn_text_number(x->value);
}

static gdn_text as_percent(const gdn_claim_number *x)
{
    return x->value == 0 ? (gdn_text){"0 %"} : gdn_text_amount(x->value);
}

static gdn_text as_span(const gdn_claim_number *x)
{
    return isnan(x->lo) || isnan(x->hi) || x->lo == x->hi ? as_percent(x)
                                                          : gdn_text_span(x->value, x->lo, x->hi);
}

static gdn_text as_interval(const gdn_claim_number *x)
{
    return isnan(x->lo) || isnan(x->hi) ? as_number(x) : gdn_text_ratio(x->value, x->lo, x->hi);
}

static gdn_text as_count(const gdn_claim_number *x)
{
    return isnan(x->value) ? as_number(x) : gdn_text_count(x->value);
}

static const struct {
    const char *name;
    gdn_text (*put)(const gdn_claim_number *);
} forms[] = {{"", as_number},
             {"percent", as_percent},
             {"span", as_span},
             {"interval", as_interval},
             {"count", as_count}};

/* Where pieces go. */
typedef struct sentence {
    const gdn_claim *claim;
    const gdn_claim_number *number; /* NULL to check only */
    gdn_claim_piece *piece;
    void *context;
} sentence;

static void say(const sentence *s, const char *text, size_t n, const gdn_claim_value *value)
{
    if (s->number && n > 0)
        s->piece(text, n, value, s->context);
}

/* One placeholder, "name", "name.lo" or "name:form"; false when it names nothing. */
static bool put(const sentence *s, const char *place)
{
    const gdn_claim *c = s->claim;
    size_t n = strcspn(place, ".:");
    const char *rest = place + n, *form = strchr(rest, ':') ? strchr(rest, ':') + 1 : "";
    size_t part = strcspn(rest, ":"), k = 0;
    bool lo = part == 3 && strncmp(rest, ".lo", 3) == 0, hi = part == 3 && strncmp(rest, ".hi", 3) == 0;
    unsigned v = 0;
    while (v < c->values_count &&
           (strlen(c->values[v].name) != n || strncmp(c->values[v].name, place, n) != 0))
        v++;
    while (k < sizeof forms / sizeof forms[0] && strcmp(forms[k].name, form) != 0)
        k++;
    if (v == c->values_count || k == sizeof forms / sizeof forms[0] || (part && !lo && !hi))
        return false;
    if (!s->number)
        return true;
    gdn_claim_number x = s->number[v];
    if (x.text) {
        say(s, x.text, strlen(x.text), &c->values[v]);
        return true;
    }
    if (lo || hi)
        x = (gdn_claim_number){lo ? x.lo : x.hi, NAN, NAN, NULL};
    gdn_text shown = forms[k].put(&x);
    say(s, shown.s, strlen(shown.s), &c->values[v]);
    return true;
}

gdn_status gdn_claim_pieces(const gdn_claim *c, const gdn_claim_number *number, gdn_claim_piece *piece,
                            void *context, char bad[64])
{
    const sentence to = {c, number, piece, context};
    bad[0] = 0;
    for (const char *s = c->finding; *s && !bad[0];) {
        size_t n = strcspn(s, "{");
        say(&to, s, n, NULL);
        s += n;
        if (s[0] == '{' && s[1] == '{') {
            say(&to, s, 1, NULL);
            s += 2;
        } else if (*s == '{') {
            char place[64];
            n = strcspn(s + 1, "}");
            snprintf(place, sizeof place, "%.*s", (int)n, s + 1);
            if (s[1 + n] != '}' || n >= sizeof place || !put(&to, place))
                memcpy(bad, *place ? place : " ", *place ? sizeof place : 2);
            s += 1 + n + (s[1 + n] == '}');
        }
    }
    return bad[0] ? GDN_BAD_INPUT : GDN_OK;
}

static void write_piece(const char *text, size_t n, const gdn_claim_value *value, void *f)
{
    (void)value;
    fwrite(text, 1, n, f);
}

gdn_status gdn_claim_sentence(const gdn_claim *c, const gdn_claim_number *number, char **out, char bad[64],
                              gdn_error *err)
{
    size_t size = 0;
    FILE *f = open_memstream(out, &size);
    if (!f) {
        bad[0] = 0;
        return gdn_no_memory(err, "a finding");
    }
    gdn_status status = gdn_claim_pieces(c, number, write_piece, f, bad);
    if (fclose(f))
        status = gdn_no_memory(err, "a finding");
    if (status || !number) {
        free(*out);
        *out = NULL;
    }
    return status;
}
