/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_index -- what an index and a config say, checked; see checkpoint_parts.h. */
#include "harness/checkpoint_parts.h"

#include <stdbool.h>
#include <string.h>

#include "harness/shown.h"

enum { SHOWN_PATH = 256 };

/* One component that stays in the folder. */
static bool is_plain(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/\\");
}

gdn_status gdn_checkpoint_check_index(const json_t *index, const char *path, gdn_error *err)
{
    json_t *map = json_object_get(index, "weight_map"), *shard;
    char shown[SHOWN_PATH], name[GDN_SHOWN], found[GDN_SHOWN];
    const char *tensor;
    gdn_shown_path(path, shown, sizeof shown);
    if (!json_is_object(map))
        return gdn_fail(err, GDN_BAD_INPUT, "%s: weight_map is missing or is no object", shown);
    json_object_foreach(map, tensor, shard)
    {
        gdn_quoted(tensor, name, sizeof name);
        if (!json_is_string(shard))
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: weight_map, %s: allowed is the name of a file, as a string", shown, name);
        if (!is_plain(json_string_value(shard)))
            return gdn_fail(err, GDN_BAD_INPUT,
                            "%s: weight_map, %s: found %s, allowed is the name of a file of the same folder",
                            shown, name, gdn_quoted(json_string_value(shard), found, sizeof found));
    }
    return GDN_OK;
}

gdn_status gdn_checkpoint_architecture(const json_t *config, const char *path, const char **out,
                                       gdn_error *err)
{
    const json_t *list = json_object_get(config, "architectures");
    char shown[SHOWN_PATH];
    *out = NULL;
    if (!list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0))
        return GDN_OK;
    *out = json_string_value(json_array_get(list, 0));
    if (*out)
        return GDN_OK;
    return gdn_fail(err, GDN_BAD_INPUT, "%s: architectures: allowed is an array of strings",
                    gdn_shown_path(path, shown, sizeof shown));
}

/* Characters of the run of digits at s, and those of them that are leading zeros. */
static size_t digits(const char *s, size_t *zeros)
{
    *zeros = strspn(s, "0");
    return strspn(s, "0123456789");
}

int gdn_natural_order(const char *a, const char *b)
{
    const char *s = a, *t = b;
    while (*s && *t) {
        size_t i, j, m = digits(s, &i), n = digits(t, &j);
        if (m && n) {
            if (m - i != n - j)
                return m - i < n - j ? -1 : 1;
            int order = memcmp(s + i, t + j, m - i);
            if (order)
                return order;
            s += m;
            t += n;
        } else {
            if (*s != *t)
                return (unsigned char)*s < (unsigned char)*t ? -1 : 1;
            s++;
            t++;
        }
    }
    if (*s || *t)
        return *t ? -1 : 1;
    return strcmp(a, b); /* 01 and 1 */
}
