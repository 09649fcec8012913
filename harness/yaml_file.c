/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_file -- reading YAML against a schema; see yaml_file.h. */
#include "harness/yaml_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/experiment.h"
#include "harness/shown.h"

enum { DEPTH = 12, WORDS = 64, FIELD = 160 };

#define NO_NUMBER "'%s' is not a number; a finite number is allowed"

/* The last message of libcyaml, and the path that its backtrace spells, innermost part first. */
typedef struct complaint {
    char text[256];
    char part[DEPTH][80];
    int parts;
} complaint;

static void listen(cyaml_log_t level, void *context, const char *format, va_list args)
{
    complaint *c = context;
    char line[256];
    unsigned entry;
    (void)level;
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "Load: ", 6) == 0 && strcmp(line, "Load: Backtrace:") != 0) {
        snprintf(c->text, sizeof c->text, "%s", line + 6);
        c->parts = 0;
    } else if (c->parts < DEPTH) {
        if (sscanf(line, " in mapping field '%79[^']'", c->part[c->parts]) == 1)
            c->parts++;
        else if (sscanf(line, " in sequence entry '%u'", &entry) == 1 && entry > 0)
            snprintf(c->part[c->parts++], sizeof c->part[0], "%u", entry - 1);
    }
}

static cyaml_config_t config(complaint *c)
{
    return (cyaml_config_t){
        .log_fn = listen, .log_ctx = c, .log_level = CYAML_LOG_WARNING, .mem_fn = cyaml_mem};
}

gdn_status gdn_yaml_bad(const gdn_yaml *y, const char *field, gdn_error *err, const char *format, ...)
{
    char sentence[640], said[540], where[FIELD];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return gdn_fail(err, GDN_BAD_INPUT, "%s:%d: %s%s%s", y->path, gdn_yaml_line(y->text, field),
                    gdn_shown(field, where, sizeof where), *field ? ": " : "",
                    gdn_shown(sentence, said, sizeof said));
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
    static const char *const words[][2] = {
        {"FLOAT", "a number"},  {"STRING", "a text"},     {"ENUM", "a word"},
        {"SEQUENCE", "a list"}, {"MAPPING", "a mapping"}, {"SCALAR", "a single value"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (after(word, words[i][0]))
            return words[i][1];
    return "something else";
}

/* libcyaml's message as a sentence. */
static gdn_status complain(const gdn_yaml *y, const complaint *said, gdn_error *err)
{
    const char *text = said->text, *word, *key = after(text, "Unexpected key: "),
               *seen = after(text, "Mapping field already seen: "),
               *lacks = after(text, "Missing required mapping field: "), *got = strstr(text, ", got event: ");
    const cyaml_schema_value_t *v = y->schema;
    char field[FIELD] = "", extra[400];
    size_t n = 0;
    /* of a mapping that lacks a key, or has it twice, the backtrace names the last field read */
    for (int i = said->parts - 1; i >= (seen || lacks ? 1 : 0) && n < sizeof field; i--) {
        n += (size_t)snprintf(field + n, sizeof field - n, "%s%s", n ? "/" : "", said->part[i]);
        v = step(v, said->part[i]);
    }
    if ((key || seen) && n < sizeof field)
        snprintf(field + n, sizeof field - n, "%s%.80s", n ? "/" : "", key ? key : seen);
    if (key) {
        allowed_words(v, key, extra, sizeof extra);
        return gdn_yaml_bad(y, field, err, "unknown key%s", extra);
    }
    if (seen)
        return gdn_yaml_bad(y, field, err, "the key is there twice");
    if (lacks)
        return gdn_yaml_bad(y, field, err, "the key '%s' is missing", lacks);
    if ((word = after(text, "Invalid ENUM value: "))) {
        allowed_words(v, word, extra, sizeof extra);
        return gdn_yaml_bad(y, field, err, "'%s' is not allowed%s", word, extra);
    }
    if ((word = after(text, "Invalid FLOAT value: ")))
        return gdn_yaml_bad(y, field, err, NO_NUMBER, word);
    if ((word = after(text, "Expecting ")) && got)
        return gdn_yaml_bad(y, field, err, "%s is not allowed; %s is", thing(got + strlen(", got event: ")),
                            thing(word));
    if (after(text, "Insufficient entries"))
        return gdn_yaml_bad(y, field, err, "the list is empty; at least one entry is wanted");
    if (after(text, "STRING length <"))
        return gdn_yaml_bad(y, field, err, "the text is empty; at least one character is wanted");
    return gdn_yaml_bad(y, field, err, "%s", text);
}

static gdn_status read_text(const char *path, const gdn_yaml_words *words, char **text, gdn_error *err)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f)
        return gdn_fail(err, GDN_BAD_INPUT, "%s: cannot open %s: %s", path, words->name, strerror(errno));
    gdn_status status = GDN_OK;
    if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode) || st.st_size > 1 << 20)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: %s", path, words->unfit);
    size_t size = status ? 0 : (size_t)st.st_size;
    *text = status ? NULL : calloc(size + 1, 1);
    if (!status && !*text)
        status = gdn_no_memory(err, path);
    if (!status && fread(*text, 1, size, f) != size)
        status = gdn_fail(err, GDN_MACHINE, "%s: cannot read: %s", path, strerror(errno));
    if (!status && strlen(*text) != size)
        status = gdn_fail(err, GDN_BAD_INPUT, "%s: a NUL byte at offset %zu; YAML text is expected", path,
                          strlen(*text));
    fclose(f);
    return status;
}

/* Is the text one YAML document? */
static gdn_status syntax(const gdn_yaml *y, gdn_error *err)
{
    char problem[256], said[300];
    int line = gdn_yaml_problem(y->text, problem, sizeof problem);
    return line ? gdn_fail(err, GDN_BAD_INPUT, "%s:%d: not YAML: %s", y->path, line,
                           gdn_shown(problem, said, sizeof said))
                : GDN_OK;
}

typedef struct check {
    const gdn_yaml *y;
    gdn_error *err;
    gdn_status status;
} check;

static int number_to_its_end(void *context, const char *path, const char *scalar)
{
    check *c = context;
    const cyaml_schema_value_t *v = c->y->schema;
    char rest[256], *save = NULL, *end;
    snprintf(rest, sizeof rest, "%s", path);
    for (char *part = strtok_r(rest, "/", &save); part; part = strtok_r(NULL, "/", &save))
        v = step(v, part);
    if (!v || v->type != CYAML_FLOAT)
        return 0;
    strtod(scalar, &end);
    if (end != scalar && *end == 0)
        return 0;
    c->status = gdn_yaml_bad(c->y, path, c->err, NO_NUMBER, scalar);
    return 1;
}

/* libcyaml takes "16 bits" for 16: is every number one to its end? */
static gdn_status numbers(const gdn_yaml *y, gdn_error *err)
{
    check c = {y, err, GDN_OK};
    gdn_yaml_scalars(y->text, number_to_its_end, &c);
    return c.status;
}

gdn_status gdn_yaml_open(gdn_yaml *y, const char *path, const gdn_yaml_words *words,
                         const cyaml_schema_value_t *schema, gdn_error *err)
{
    complaint c = {.text = ""};
    cyaml_config_t settings = config(&c);
    y->schema = schema;
    gdn_status status = (y->path = strdup(path)) ? GDN_OK : gdn_no_memory(err, path);
    if (!status && !y->text)
        status = read_text(path, words, &y->text, err);
    if (!status)
        status = syntax(y, err);
    if (status)
        return status;
    cyaml_err_t code = cyaml_load_data((const uint8_t *)y->text, strlen(y->text), &settings, schema, &y->data,
                                       schema->type == CYAML_SEQUENCE ? &y->count : NULL);
    if (code != CYAML_OK && c.text[0])
        return complain(y, &c, err);
    return code != CYAML_OK || !y->data ? gdn_fail(err, GDN_BAD_INPUT, "%s: %s", path, words->empty)
                                        : numbers(y, err);
}

void gdn_yaml_close(gdn_yaml *y)
{
    complaint c = {.text = ""};
    cyaml_config_t settings = config(&c);
    if (y->data)
        cyaml_free(&settings, y->schema, y->data, y->count);
    free(y->path);
    free(y->text);
    *y = (gdn_yaml){.path = NULL};
}
