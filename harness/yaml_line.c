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

struct gdn_yaml_tree {
    yaml_document_t doc;
};

gdn_yaml_tree *gdn_yaml_tree_open(const char *text)
{
    yaml_parser_t parser;
    gdn_yaml_tree *t = calloc(1, sizeof *t);
    if (!t || !yaml_parser_initialize(&parser)) {
        free(t);
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (!yaml_parser_load(&parser, &t->doc)) {
        free(t);
        t = NULL;
    }
    yaml_parser_delete(&parser);
    return t;
}

void gdn_yaml_tree_close(gdn_yaml_tree *t)
{
    if (t)
        yaml_document_delete(&t->doc);
    free(t);
}

static int look_up(gdn_yaml_tree *t, const char *path, bool *whole)
{
    *whole = false;
    return t ? path_line(&t->doc, yaml_document_get_root_node(&t->doc), path, whole) : 0;
}

int gdn_yaml_line(const char *text, const char *path)
{
    bool whole;
    gdn_yaml_tree *t = gdn_yaml_tree_open(text);
    int line = look_up(t, path, &whole);
    gdn_yaml_tree_close(t);
    return line;
}

bool gdn_yaml_has(gdn_yaml_tree *t, const char *path)
{
    bool whole;
    look_up(t, path, &whole);
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

/*
 * What no file of ours needs, and costs much more than its bytes: libyaml's time grows as the square of the
 * depth, of the directives and of the anchors, and aliases of aliases are exponentially many values.
 */
enum { DEEPEST = 32, MOST_DIRECTIVES = 8, MOST_ANCHORS = 1000, MOST_VALUES = 200000 };

/* The line of the first directive beyond the limit, found before libyaml sees the text; 0: there is none. */
static int many_directives(const char *text)
{
    int line = 1, n = 0;
    for (const char *at = text; at; line++) {
        n += *at == '%';
        if (n > MOST_DIRECTIVES)
            return line;
        at += strcspn(at, "\r\n");
        at = *at ? at + 1 : NULL;
    }
    return 0;
}

static const char *anchor_of(const yaml_event_t *e)
{
    return (const char *)(e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
                          : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
                          : e->type == YAML_MAPPING_START_EVENT  ? e->data.mapping_start.anchor
                                                                 : NULL);
}

/* The line where nesting or anchors first go beyond the limits, and which of them; 0: nowhere. */
static int beyond_limits(const char *text, char *out, size_t size)
{
    yaml_parser_t parser;
    int line = many_directives(text), anchors = 0;
    if (line)
        snprintf(out, size, "there are more than %d directives (lines that begin with '%%')",
                 MOST_DIRECTIVES);
    if (line || !yaml_parser_initialize(&parser))
        return line;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    for (int depth = 0, more = 1; more && !line;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            break;
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        anchors += anchor_of(&event) != NULL;
        more = event.type != YAML_STREAM_END_EVENT;
        if (depth > DEEPEST)
            snprintf(out, size, "lists and mappings are nested too deeply");
        else if (anchors > MOST_ANCHORS)
            snprintf(out, size, "there are more than %d anchors", MOST_ANCHORS);
        line = depth > DEEPEST || anchors > MOST_ANCHORS ? (int)event.start_mark.line + 1 : 0;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return line;
}

/*
 * Values at and below node `id` with every alias written out, up to MOST_VALUES + 1. known: [nodes + 1] the
 * same of nodes met before, 0 of others; one inside itself counts as 1 there, for libcyaml refuses such.
 */
static int values_below(yaml_document_t *doc, int id, int *known)
{
    const yaml_node_t *node = yaml_document_get_node(doc, id);
    int n = 1;
    if (known[id])
        return known[id];
    known[id] = 1;
    if (node->type == YAML_SEQUENCE_NODE)
        for (const yaml_node_item_t *i = node->data.sequence.items.start;
             i < node->data.sequence.items.top && n <= MOST_VALUES; i++)
            n += values_below(doc, *i, known);
    if (node->type == YAML_MAPPING_NODE)
        for (const yaml_node_pair_t *i = node->data.mapping.pairs.start;
             i < node->data.mapping.pairs.top && n <= MOST_VALUES; i++)
            n += values_below(doc, i->value, known);
    known[id] = n <= MOST_VALUES ? n : MOST_VALUES + 1;
    return known[id];
}

static bool many_values(yaml_document_t *doc)
{
    int *known = calloc((size_t)(doc->nodes.top - doc->nodes.start) + 1, sizeof *known);
    bool many = !known || values_below(doc, 1, known) > MOST_VALUES;
    free(known);
    return many;
}

int gdn_yaml_problem(const char *text, char *out, size_t size)
{
    yaml_parser_t parser;
    int line = beyond_limits(text, out, size);
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
        } else if (root && many_values(&doc)) {
            snprintf(out, size, "with aliases written out there are more than %d values", MOST_VALUES);
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
