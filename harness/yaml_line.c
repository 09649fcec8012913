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

/* The line of the last key called `word` anywhere below node, or 0: for keys that no schema knows. */
static int any_key_line(yaml_document_t *doc, yaml_node_t *node, const char *word, int depth)
{
    int line = 0, best = 0;
    if (!node || depth > 16)
        return 0;
    if (node->type == YAML_MAPPING_NODE) {
        mapping_value(doc, node, word, strlen(word), &best);
        for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++)
            if ((line = any_key_line(doc, yaml_document_get_node(doc, p->value), word, depth + 1)) > best)
                best = line;
    } else if (node->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
            if ((line = any_key_line(doc, yaml_document_get_node(doc, *i), word, depth + 1)) > best)
                best = line;
    }
    return best;
}

/* Follow "a/0/b" from node; the line of the deepest part that exists. */
static int path_line(yaml_document_t *doc, yaml_node_t *node, const char *path)
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
            break;
        }
        path += length + (path[length] == '/');
    }
    return line;
}

int gdn_yaml_line(const char *text, const char *path)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    int line = 0;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &doc)) {
        yaml_node_t *root = yaml_document_get_root_node(&doc);
        line = path[0] == '*' ? any_key_line(&doc, root, path + 1, 0) : path_line(&doc, root, path);
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
        return 64;
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
