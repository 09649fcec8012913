/* SPDX-License-Identifier: Apache-2.0 */
/* experiment_complaint -- what libcyaml says of a file, as one sentence; see experiment_parts.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/experiment_parts.h"

enum { WORDS = 64 };

static void listen(cyaml_log_t level, void *context, const char *format, va_list args)
{
    gdn_complaint *c = context;
    char line[256];
    unsigned entry;
    (void)level;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "Load: ", 6) == 0 && strcmp(line, "Load: Backtrace:") != 0) {
        snprintf(c->text, sizeof c->text, "%s", line + 6);
        c->parts = 0;
    } else if (c->parts < GDN_COMPLAINT_DEPTH) {
        if (sscanf(line, " in mapping field '%79[^']'", c->part[c->parts]) == 1)
            c->parts++;
        else if (sscanf(line, " in sequence entry '%u'", &entry) == 1 && entry > 0)
            snprintf(c->part[c->parts++], sizeof c->part[0], "%u", entry - 1);
    }
}

const cyaml_config_t *gdn_experiment_config(gdn_complaint *c)
{
    static _Thread_local cyaml_config_t cfg;
    cfg =
        (cyaml_config_t){.log_fn = listen, .log_ctx = c, .log_level = CYAML_LOG_WARNING, .mem_fn = cyaml_mem};
    return &cfg;
}

/* The rest of `text` after a beginning, or NULL. */
static const char *after(const char *text, const char *beginning)
{
    size_t n = strlen(beginning);
    return strncmp(text, beginning, n) == 0 ? text + n : NULL;
}

/* What the schema has at a part of `v`: a field, or an entry of a list. */
static const cyaml_schema_value_t *step(const cyaml_schema_value_t *v, const char *part)
{
    if (v && v->type == CYAML_SEQUENCE)
        return v->sequence.entry;
    for (const cyaml_schema_field_t *f = v && v->type == CYAML_MAPPING ? v->mapping.fields : NULL;
         f && f->key; f++)
        if (strcmp(f->key, part) == 0)
            return &f->value;
    return NULL;
}

/* "(did you mean 'near'?); allowed: a b c" for the keys of a mapping or the words of an enumeration. */
static void allowed_words(const cyaml_schema_value_t *v, const char *word, char *out, size_t size)
{
    const char *names[WORDS] = {NULL}, *near;
    int words = 0;
    if (v && v->type == CYAML_MAPPING)
        for (const cyaml_schema_field_t *f = v->mapping.fields; f->key && words < WORDS; f++)
            names[words++] = f->key;
    if (v && v->type == CYAML_ENUM)
        for (uint32_t i = 0; i < v->enumeration.count && words < WORDS; i++)
            names[words++] = v->enumeration.strings[i].str;
    near = gdn_nearest(word, names, words);
    size_t n = near ? (size_t)snprintf(out, size, " (did you mean '%s'?)", near) : 0;
    n += (size_t)snprintf(out + n, size - n, "; allowed:");
    for (int i = 0; i < words && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, " %s", names[i]);
}

/* A type or an event of libcyaml in words. */
static const char *thing(const char *word)
{
    static const char *const words[][2] = {{"FLOAT", "a number"},    {"STRING", "a text"},
                                           {"ENUM", "a word"},       {"SEQUENCE_START", "a list"},
                                           {"SEQUENCE", "a list"},   {"MAPPING_START", "a mapping"},
                                           {"MAPPING", "a mapping"}, {"SCALAR", "a single value"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (after(word, words[i][0]))
            return words[i][1];
    return "something else";
}

gdn_status gdn_complain(const gdn_experiment *e, const gdn_complaint *said, gdn_error *err)
{
    gdn_checker at_file = {.e = e, .err = err}, *c = &at_file;
    const char *text = said->text, *word, *key = after(text, "Unexpected key: "),
               *seen = after(text, "Mapping field already seen: "),
               *lacks = after(text, "Missing required mapping field: "), *got = strstr(text, ", got event: ");
    const cyaml_schema_value_t *v = &gdn_experiment_schema;
    char path[sizeof c->path] = "", extra[400];
    size_t n = 0;
    /* of a mapping that lacks a key, or has it twice, the backtrace names the last field read */
    for (int i = said->parts - 1; i >= (seen || lacks ? 1 : 0) && n < sizeof path; i--) {
        n += (size_t)snprintf(path + n, sizeof path - n, "%s%s", n ? "/" : "", said->part[i]);
        v = step(v, said->part[i]);
    }
    if ((key || seen) && n < sizeof path)
        snprintf(path + n, sizeof path - n, "%s%.80s", n ? "/" : "", key ? key : seen);
    if (key) {
        allowed_words(v, key, extra, sizeof extra);
        return gdn_bad(c, path, "unknown key%s", extra);
    }
    if (seen)
        return gdn_bad(c, path, "the key is there twice");
    if (lacks)
        return gdn_bad(c, path, "the key '%s' is missing", lacks);
    if ((word = after(text, "Invalid ENUM value: "))) {
        allowed_words(v, word, extra, sizeof extra);
        return gdn_bad(c, path, "'%s' is not allowed%s", word, extra);
    }
    if ((word = after(text, "Invalid FLOAT value: ")))
        return gdn_bad(c, path, "'%s' is not a number; a finite number is allowed", word);
    if ((word = after(text, "Expecting ")) && got)
        return gdn_bad(c, path, "%s is not allowed; %s is", thing(got + strlen(", got event: ")),
                       thing(word));
    if (after(text, "Insufficient entries"))
        return gdn_bad(c, path, "the list is empty; at least one entry is wanted");
    if (after(text, "STRING length <"))
        return gdn_bad(c, path, "the text is empty; at least one character is wanted");
    return gdn_bad(c, path, "%s", text);
}

static int number_to_its_end(void *context, const char *path, const char *scalar)
{
    gdn_checker *c = context;
    const cyaml_schema_value_t *v = &gdn_experiment_schema;
    char rest[256], *save = NULL, *end;
    snprintf(rest, sizeof rest, "%s", path);
    for (char *part = strtok_r(rest, "/", &save); part; part = strtok_r(NULL, "/", &save))
        v = step(v, part);
    if (!v || v->type != CYAML_FLOAT)
        return 0;
    strtod(scalar, &end);
    if (end != scalar && *end == 0)
        return 0;
    gdn_bad(c, path, "'%s' is not a number; a finite number is allowed", scalar);
    return 1;
}

gdn_status gdn_check_numbers(const gdn_experiment *e, gdn_error *err)
{
    gdn_checker c = {.e = e, .err = err};
    err->text[0] = 0;
    gdn_yaml_scalars(e->text, number_to_its_end, &c);
    return err->text[0] ? GDN_BAD_INPUT : GDN_OK;
}
