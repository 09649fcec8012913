/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_line -- where in a YAML text a field stands, so that a semantic error can name its line, and which
 * known word a misspelt one is nearest to. libcyaml reports lines for what it checks itself; this serves the
 * rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "harness/experiment.h"

/* The value of `key` in a mapping node (the last, if repeated), or NULL; *line is the key's. */
static yaml_node_t *mapping_value(yaml_document_t *doc, yaml_node_t *node, const char *key, size_t length,
                                  int *line)
{
    yaml_node_t *found = NULL;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        yaml_node_t *k = yaml_document_get_node(doc, p->key);
        if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == length &&
            memcmp(k->data.scalar.value, key, length) == 0) {
            *line = (int)k->start_mark.line + 1;
            found = yaml_document_get_node(doc, p->value);
        }
    }
    return found;
}

/* Follow "a/0/b" from node; the line of the deepest part that exists, and whether that is all of it. */
static int path_line(yaml_document_t *doc, yaml_node_t *node, const char *path, bool *whole)
{
    int line = node ? (int)node->start_mark.line + 1 : 0;
    while (node && *path) {
        size_t length = strcspn(path, "/");
        if (node->type == YAML_MAPPING_NODE) {
            node = mapping_value(doc, node, path, length, &line);
        } else if (node->type == YAML_SEQUENCE_NODE) {
            long index = strtol(path, NULL, 10);
            yaml_node_item_t *item = node->data.sequence.items.start + index;
            node = index >= 0 && item < node->data.sequence.items.top ? yaml_document_get_node(doc, *item)
                                                                      : NULL;
            if (node)
                line = (int)node->start_mark.line + 1;
        } else {
            node = NULL;
        }
        path += length + (path[length] == '/');
    }
    *whole = node != NULL;
    return line;
}

static int look_up(const char *text, const char *path, bool *whole)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    int line = 0;
    *whole = false;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &doc)) {
        line = path_line(&doc, yaml_document_get_root_node(&doc), path, whole);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return line;
}

int gdn_yaml_line(const char *text, const char *path)
{
    bool whole;
    return look_up(text, path, &whole);
}

bool gdn_yaml_has(const char *text, const char *path)
{
    bool whole;
    look_up(text, path, &whole);
    return whole;
}

/* Visit the scalars below node; path: where it stands, room for more behind it. */
static int scalars(yaml_document_t *doc, const yaml_node_t *node, char *path, size_t size,
                   gdn_yaml_visit visit, void *context)
{
    size_t n = strlen(path);
    int stop = 0;
    if (node->type == YAML_SCALAR_NODE)
        return visit(context, path, (const char *)node->data.scalar.value);
    if (node->type == YAML_SEQUENCE_NODE) {
        const yaml_node_item_t *first = node->data.sequence.items.start;
        for (const yaml_node_item_t *i = first; i < node->data.sequence.items.top && !stop; i++) {
            snprintf(path + n, size - n, "%s%td", n ? "/" : "", i - first);
            stop = scalars(doc, yaml_document_get_node(doc, *i), path, size, visit, context);
        }
    } else if (node->type == YAML_MAPPING_NODE) {
        const yaml_node_pair_t *first = node->data.mapping.pairs.start;
        for (const yaml_node_pair_t *i = first; i < node->data.mapping.pairs.top && !stop; i++) {
            const yaml_node_t *key = yaml_document_get_node(doc, i->key);
            const char *word = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";
            snprintf(path + n, size - n, "%s%s", n ? "/" : "", word);
            stop = scalars(doc, yaml_document_get_node(doc, i->value), path, size, visit, context);
        }
    }
    path[n] = 0;
    return stop;
}

void gdn_yaml_scalars(const char *text, gdn_yaml_visit visit, void *context)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    char path[256] = "";
    if (!yaml_parser_initialize(&parser))
        return;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &doc)) {
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root)
            scalars(&doc, root, path, sizeof path, visit, context);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
}

/* Line of a byte offset. */
static int line_of(const char *text, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < offset && text[i]; i++)
        line += text[i] == '\n';
    return line;
}

/* What libyaml says, and where; it knows no line when it cannot read the bytes. */
static int parser_problem(const yaml_parser_t *p, const char *text, char *out, size_t size)
{
    const char *what = p->problem ? p->problem : "it cannot be read";
    if (p->context && p->error != YAML_READER_ERROR)
        snprintf(out, size, "%s, %s on line %d", what, p->context, (int)p->context_mark.line + 1);
    else
        snprintf(out, size, "%s", what);
    return p->error == YAML_READER_ERROR ? line_of(text, p->problem_offset) : (int)p->problem_mark.line + 1;
}

/* The line where nesting first goes beyond any experiment's; libyaml's time grows as the square of the depth.
 */
static int too_deep(const char *text)
{
    enum { DEEPEST = 32 };
    yaml_parser_t parser;
    int line = 0;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    for (int depth = 0, more = 1; more && !line;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            break;
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        more = event.type != YAML_STREAM_END_EVENT;
        line = depth > DEEPEST ? (int)event.start_mark.line + 1 : 0;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return line;
}

int gdn_yaml_problem(const char *text, char *out, size_t size)
{
    yaml_parser_t parser;
    int line = too_deep(text);
    if (line)
        snprintf(out, size, "lists and mappings are nested too deeply");
    if (line || !yaml_parser_initialize(&parser))
        return line;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    for (int documents = 0, more = 1; more && !line; documents++) {
        yaml_document_t doc;
        if (!yaml_parser_load(&parser, &doc)) {
            line = parser_problem(&parser, text, out, size);
            break;
        }
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        more = root != NULL;
        if (root && documents > 0) {
            snprintf(out, size, "a second document begins; one is allowed");
            line = (int)root->start_mark.line + 1;
        }
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return line;
}

/* Levenshtein distance of two short words. */
static int distance(const char *a, const char *b)
{
    int row[65], n = (int)strlen(b);
    if (strlen(a) > 64 || n > 64)
        return 1 << 20;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; *a; a++, i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (*a != b[j - 1]), insert = row[j - 1] + 1, drop = row[j] + 1;
            diagonal = row[j];
            row[j] = change < insert ? change : insert;
            row[j] = row[j] < drop ? row[j] : drop;
        }
    }
    return row[n];
}

const char *gdn_nearest(const char *word, const char *const *names, int n)
{
    const char *best = NULL;
    int least = (int)strlen(word) / 2 + 1;
    for (int i = 0; i < n; i++) {
        int d = distance(word, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
