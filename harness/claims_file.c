/* SPDX-License-Identifier: Apache-2.0 */
/* claims_file -- the ledgers' schemas, reading and validation; see claims.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "harness/claims.h"

enum { LONGEST = 4000, MOST = 40 };

#define TEXT(key, flags, type, field)                                                                        \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, field, 1, LONGEST)
#define LIST(key, type, field, entry)                                                                        \
    CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, field, field##_count,    \
                               entry, 1, MOST)

static const cyaml_schema_value_t name = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, 80)};
static const cyaml_schema_field_t value_fields[] = {
    TEXT("name", CYAML_FLAG_DEFAULT, gdn_claim_value, name),
    TEXT("sql", CYAML_FLAG_OPTIONAL, gdn_claim_value, sql),
    TEXT("of", CYAML_FLAG_OPTIONAL, gdn_claim_value, of),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t value_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_claim_value, value_fields)};

/* What claims and results have in common. */
#define HEAD                                                                                                 \
    TEXT("id", CYAML_FLAG_DEFAULT, gdn_claim, id),                                                           \
        TEXT("proposition", CYAML_FLAG_DEFAULT, gdn_claim, proposition)
#define TEST(value)                                                                                          \
    LIST("experiments", gdn_claim, experiments, &name), LIST("values", gdn_claim, values, value),            \
        TEXT("confirmed", CYAML_FLAG_OPTIONAL, gdn_claim, confirmed),                                        \
        TEXT("limits", CYAML_FLAG_OPTIONAL, gdn_claim, limits),                                              \
        TEXT("refuted", CYAML_FLAG_OPTIONAL, gdn_claim, refuted),                                            \
        TEXT("finding", CYAML_FLAG_OPTIONAL, gdn_claim, finding)

static const cyaml_schema_field_t claim_fields[] = {
    HEAD,
    TEXT("source", CYAML_FLAG_DEFAULT, gdn_claim, source),
    TEST(&value_entry),
    TEXT("untestable", CYAML_FLAG_OPTIONAL, gdn_claim, untestable),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t claim_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_claim, claim_fields)};
static const cyaml_schema_value_t claims_schema = {
    CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, gdn_claim, &claim_entry, 1, 1000)};

const char *const gdn_tier_names[GDN_TIERS] = {"minutes", "hours", "gpu"};
static const cyaml_strval_t tiers[] = {
    {"minutes", GDN_TIER_MINUTES}, {"hours", GDN_TIER_HOURS}, {"gpu", GDN_TIER_GPU}};

static const cyaml_schema_field_t shown_fields[] = {
    TEXT("name", CYAML_FLAG_DEFAULT, gdn_claim_value, name),
    TEXT("sql", CYAML_FLAG_OPTIONAL, gdn_claim_value, sql),
    TEXT("of", CYAML_FLAG_OPTIONAL, gdn_claim_value, of),
    TEXT("label", CYAML_FLAG_OPTIONAL, gdn_claim_value, label),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t shown_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_claim_value, shown_fields)};
static const cyaml_schema_field_t result_fields[] = {
    HEAD,
    LIST("settles", gdn_claim, settles, &name),
    TEXT("figure", CYAML_FLAG_OPTIONAL, gdn_claim, figure),
    CYAML_FIELD_ENUM("tier", CYAML_FLAG_STRICT, gdn_claim, tier, tiers, GDN_TIERS),
    CYAML_FIELD_BOOL("headline", CYAML_FLAG_OPTIONAL, gdn_claim, headline),
    TEST(&shown_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t result_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_claim, result_fields)};
static const cyaml_schema_value_t results_schema = {
    CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, gdn_claim, &result_entry, 1, 1000)};

static const cyaml_strval_t advices[] = {{"keep", GDN_KEEP}, {"fine", GDN_FINE}};
static const cyaml_schema_field_t decision_fields[] = {
    HEAD,
    TEXT("tensor", CYAML_FLAG_DEFAULT, gdn_claim, tensor),
    CYAML_FIELD_ENUM("advice", CYAML_FLAG_STRICT, gdn_claim, advice, advices, GDN_ADVICES),
    TEST(&value_entry),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t decision_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, gdn_claim, decision_fields)};
static const cyaml_schema_value_t decisions_schema = {
    CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, gdn_claim, &decision_entry, 1, 1000)};

/* A complaint about field `key` ("" for the claim itself) of claim i. */
#define BAD(y, i, err, key, ...) gdn_yaml_bad(y, claim_path((char[64]){""}, i, key), err, __VA_ARGS__)

static const char *claim_path(char out[64], size_t i, const char *key)
{
    snprintf(out, 64, "%zu%s%s", i, *key ? "/" : "", key);
    return out;
}

/* A letter and a number: "A1", "P12". */
static bool is_id(const char *id)
{
    size_t n = strlen(id);
    return n >= 2 && n <= 8 && isupper((unsigned char)id[0]) && strspn(id + 1, "0123456789") == n - 1;
}

/* A folder below the results: no path. */
static bool is_folder(const char *folder)
{
    return *folder != '.' && *folder != '-' &&
           strspn(folder, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-") ==
               strlen(folder);
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* A plain identifier that does not hide what expressions can name. */
static bool is_value_name(const char *s)
{
    static const char *const taken[] = {"value", "lo", "hi"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcasecmp(s, taken[i]) == 0)
            return false;
    for (const char *p = s; *p; p++)
        if (!in_word(*p))
            return false;
    return strlen(s) <= 32 && !isdigit((unsigned char)*s);
}

/* Does the expression name one of the first n values of the claim? */
static bool names_value(const gdn_claim *c, unsigned n, const char *expression)
{
    for (unsigned v = 0; v < n; v++) {
        const char *word = c->values[v].name, *at = expression;
        for (; (at = strstr(at, word)); at++)
            if ((at == expression || !in_word(at[-1])) && !in_word(at[strlen(word)]))
                return true;
    }
    return false;
}

static gdn_status value_ok(const gdn_yaml *y, size_t i, const gdn_claim *c, unsigned v, gdn_error *err)
{
    const gdn_claim_value *x = &c->values[v];
    char path[64];
    snprintf(path, sizeof path, "%zu/values/%u", i, v);
    if (!is_value_name(x->name))
        return gdn_yaml_bad(y, path, err,
                            "%s: '%.80s' is no name; up to 32 letters, digits and '_' are, but not value, lo "
                            "and hi",
                            c->id, x->name);
    for (unsigned w = 0; w < v; w++)
        if (strcasecmp(c->values[w].name, x->name) == 0)
            return gdn_yaml_bad(y, path, err, "%s: the value '%s' is there twice", c->id, x->name);
    if (!x->sql == !x->of)
        return gdn_yaml_bad(y, path, err, "%s: exactly one of sql and of is wanted", c->id);
    if (x->of && !names_value(c, v, x->of))
        return gdn_yaml_bad(y, path, err, "%s: `of` names none of the values before it", c->id);
    return GDN_OK;
}

/* A verdict has to follow from values, and be able to come out either way. */
static gdn_status test_ok(const gdn_yaml *y, size_t i, const gdn_claim *c, gdn_error *err)
{
    const struct {
        const char *key, *expression;
    } conditions[] = {{"confirmed", c->confirmed}, {"limits", c->limits}, {"refuted", c->refuted}};
    char bad[64], *sentence = NULL;
    if (!c->experiments || !c->values || !c->finding)
        return BAD(y, i, err, "", "%s: experiments, values and finding are wanted%s", c->id,
                   c->source ? ", or untestable" : "");
    if (!c->refuted || (!c->confirmed && !c->limits))
        return BAD(y, i, err, "", "%s: a test that can come out either way is wanted: refuted, and %s", c->id,
                   "confirmed or limits");
    for (unsigned e = 0; e < c->experiments_count; e++)
        if (!is_folder(c->experiments[e]))
            return BAD(y, i, err, "experiments", "%s: '%.80s' is not the name of an experiment", c->id,
                       c->experiments[e]);
    for (unsigned v = 0; v < c->values_count; v++) {
        gdn_status status = value_ok(y, i, c, v, err);
        if (status)
            return status;
    }
    for (size_t k = 0; k < 3; k++)
        if (conditions[k].expression && !names_value(c, c->values_count, conditions[k].expression))
            return BAD(y, i, err, conditions[k].key,
                       "%s: names none of the values; a verdict has to follow from them", c->id);
    if (gdn_claim_sentence(c, NULL, &sentence, bad, err))
        return bad[0] ? BAD(y, i, err, "finding",
                            "%s: '{%s}' cannot be filled; the name of a value can, with .lo or .hi and one "
                            "of :percent :span :interval :count behind it",
                            c->id, bad)
                      : GDN_MACHINE;
    return GDN_OK;
}

static gdn_status claim_ok(const gdn_ledger *l, size_t i, gdn_error *err)
{
    const gdn_claim *c = &l->claim[i];
    const gdn_yaml *y = &l->yaml;
    if (!is_id(c->id))
        return BAD(y, i, err, "id", "'%.80s' is no id; a letter and a number such as A1 is", c->id);
    for (size_t k = 0; k < i; k++)
        if (strcmp(l->claim[k].id, c->id) == 0)
            return BAD(y, i, err, "id", "%s is there already", c->id);
    if (!c->untestable)
        return test_ok(y, i, c, err);
    if (c->experiments || c->values || c->confirmed || c->limits || c->refuted || c->finding)
        return BAD(y, i, err, "untestable", "%s: what is untestable has no experiments, values or verdicts",
                   c->id);
    return GDN_OK;
}

/* ---- results ---- */

/*
 * The first number that stands in a sentence itself, or NULL: digits outside of {placeholders} that are no
 * part of a word (bf16) or power (2^-9).
 */
static const char *own_number(const char *s)
{
    while (*s) {
        size_t n = 0, digits = 0;
        if (*s == '{') {
            s += strcspn(s, "}");
            s += *s == '}';
            continue;
        }
        for (; in_word(s[n]) || s[n] == '^' || (n && s[n] == '-' && s[n - 1] == '^'); n++)
            digits += isdigit((unsigned char)s[n]) != 0;
        if (n && digits == n)
            return s;
        s += n ? n : 1;
    }
    return NULL;
}

/* A file below the results, not above them. */
static bool is_below(const char *path)
{
    return *path != '/' && strncmp(path, "../", 3) != 0 && !strstr(path, "/../");
}

/* Its id begins with `letter`, and no number of its sentences is its own. */
static gdn_status sentences_ok(const gdn_ledger *l, size_t i, char letter, const char *kind, gdn_error *err)
{
    const gdn_claim *r = &l->claim[i];
    const gdn_yaml *y = &l->yaml;
    const char *number;
    if (r->id[0] != letter)
        return BAD(y, i, err, "id", "'%.80s' is no id of %s; %c1, %c2 and so on are", r->id, kind, letter,
                   letter);
    if ((number = own_number(r->finding)))
        return BAD(y, i, err, "finding", "%s: the number at '%.20s' has to come from a value", r->id, number);
    if ((number = own_number(r->proposition)))
        return BAD(y, i, err, "proposition",
                   "%s: there is a number at '%.20s'; numbers belong in the finding", r->id, number);
    return GDN_OK;
}

static gdn_status result_ok(const gdn_ledger *l, size_t i, const gdn_ledger *claims, gdn_error *err)
{
    const gdn_claim *r = &l->claim[i];
    const gdn_yaml *y = &l->yaml;
    gdn_status status = sentences_ok(l, i, 'R', "a result", err);
    if (status)
        return status;
    if (r->figure && !is_below(r->figure))
        return BAD(y, i, err, "figure", "%s: '%.80s' is no file below the results", r->id, r->figure);
    for (unsigned k = 0; k < r->settles_count; k++)
        if (!gdn_ledger_find(claims, r->settles[k]))
            return BAD(y, i, err, "settles", "%s: %s has no claim '%.80s'", r->id, claims->yaml.path,
                       r->settles[k]);
    return GDN_OK;
}

/* ---- reading ---- */

static gdn_status load(const char *path, const gdn_yaml_words *words, const cyaml_schema_value_t *schema,
                       gdn_ledger *l, gdn_error *err)
{
    *l = (gdn_ledger){.n = 0};
    gdn_status status = gdn_yaml_open(&l->yaml, path, words, schema, err);
    if (status)
        return status;
    l->claim = l->yaml.data;
    l->n = l->yaml.count;
    for (size_t i = 0; i < l->n && !status; i++)
        status = claim_ok(l, i, err);
    return status;
}

gdn_status gdn_ledger_load(const char *path, gdn_ledger *l, gdn_error *err)
{
    static const gdn_yaml_words words = {
        "the ledger of claims", "cannot be the ledger of claims (a regular file of at most 1 MiB can)",
        "cannot be the ledger of claims: it is empty"};
    return load(path, &words, &claims_schema, l, err);
}

gdn_status gdn_ledger_load_results(const char *path, const gdn_ledger *claims, gdn_ledger *l, gdn_error *err)
{
    static const gdn_yaml_words words = {
        "the ledger of results", "cannot be the ledger of results (a regular file of at most 1 MiB can)",
        "cannot be the ledger of results: it is empty"};
    gdn_status status = load(path, &words, &results_schema, l, err);
    for (size_t i = 0; i < l->n && !status; i++)
        status = result_ok(l, i, claims, err);
    return status;
}

gdn_status gdn_ledger_load_decisions(const char *path, gdn_ledger *l, gdn_error *err)
{
    static const gdn_yaml_words words = {
        "the ledger of decisions", "cannot be the ledger of decisions (a regular file of at most 1 MiB can)",
        "cannot be the ledger of decisions: it is empty"};
    gdn_status status = load(path, &words, &decisions_schema, l, err);
    for (size_t i = 0; i < l->n && !status; i++)
        status = sentences_ok(l, i, 'T', "an advice", err);
    return status;
}

const gdn_claim *gdn_ledger_find(const gdn_ledger *l, const char *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->claim[i].id, id) == 0)
            return &l->claim[i];
    return NULL;
}

void gdn_ledger_free(gdn_ledger *l)
{
    gdn_yaml_close(&l->yaml);
    *l = (gdn_ledger){.n = 0};
}
