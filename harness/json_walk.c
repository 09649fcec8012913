/* SPDX-License-Identifier: Apache-2.0 */
/* json_walk -- JSON text, value by value; see json_walk.h. */
#include "harness/json_walk.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "harness/json_file.h"
#include "harness/shown.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Of numbers and words, and what people write for them. */
static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '-' || c == '.' || c == '_';
}

char gdn_json_peek(gdn_json_walk *w)
{
    while (w->at < w->n && is_blank(w->text[w->at]))
        w->at++;
    return w->at < w->n ? w->text[w->at] : 0;
}

const char *gdn_json_found(gdn_json_walk *w, char *out, size_t size)
{
    char c = gdn_json_peek(w);
    const char *text = w->text + w->at;
    size_t left = w->n - w->at, n = 1;
    if (left == 0 || c == '{' || c == '[')
        snprintf(out, size, "%s", left == 0 ? "the end" : c == '{' ? "an object" : "an array");
    else if (c == '"') {
        while (n < left && text[n] != '"')
            n += text[n] == '\\' ? 2 : 1;
        gdn_quoted_bytes(text + 1, (n < left ? n : left) - 1, out, size);
    } else {
        while (is_word(c) && n < left && is_word(text[n]))
            n++;
        gdn_shown_bytes(text, n, out, size);
    }
    return out;
}

/* What is next is not what must be. */
static bool refuse(gdn_json_walk *w, const char *allowed)
{
    char found[GDN_SHOWN];
    gdn_json_found(w, found, sizeof found);
    snprintf(w->problem, sizeof w->problem, "found %s, allowed is %s", found, allowed);
    return false;
}

bool gdn_json_next(gdn_json_walk *w, const char *brackets, int i)
{
    static const char *const words[2][3] = {{"[", "a value or ]", ", or ]"},
                                            {"{", "a name in quotes or }", ", or }"}};
    const char *const *word = words[brackets[0] == '{'];
    if (w->problem[0])
        return false;
    if (i == 0) {
        if (gdn_json_peek(w) != brackets[0])
            return refuse(w, word[0]);
        w->at++;
    }
    char c = gdn_json_peek(w);
    if (c == brackets[1]) {
        w->at++;
        return false;
    }
    if (i == 0)
        return c ? true : refuse(w, word[1]);
    if (c != ',')
        return refuse(w, word[2]);
    w->at++;
    c = gdn_json_peek(w);
    return c && c != brackets[1] ? true : refuse(w, brackets[0] == '{' ? "a name in quotes" : "a value");
}

/* Characters of the string that is next, quotes included; *plain: it stands for itself. 0 on a problem. */
static size_t string_length(gdn_json_walk *w, bool *plain)
{
    const char *s = w->text + w->at;
    size_t left = w->n - w->at, i = 1;
    *plain = true;
    for (; i < left && s[i] != '"'; i++) {
        *plain &= s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\';
        i += s[i] == '\\';
    }
    if (i < left)
        return i + 1;
    w->at = w->n;
    refuse(w, "\" behind a string");
    return 0;
}

/* The string of n characters that is next, by jansson. */
static bool decode(gdn_json_walk *w, size_t n, char *out)
{
    json_error_t why;
    char text[GDN_SHOWN];
    errno = 0;
    json_t *value = json_loadb(w->text + w->at, n, JSON_DECODE_ANY, &why);
    if (value) {
        memcpy(out, json_string_value(value), json_string_length(value) + 1);
        json_decref(value);
        return true;
    }
    w->no_memory = errno == ENOMEM || json_error_code(&why) == json_error_out_of_memory;
    size_t at = gdn_json_error_at(&why);
    w->at += at < n ? at : n - 1;
    snprintf(w->problem, sizeof w->problem, "found a bad string: %s", gdn_shown(why.text, text, sizeof text));
    return false;
}

bool gdn_json_string(gdn_json_walk *w, char *out)
{
    bool plain;
    if (w->problem[0])
        return false;
    if (gdn_json_peek(w) != '"')
        return refuse(w, "a string in quotes");
    size_t n = string_length(w, &plain);
    if (n == 0 || (!plain && !decode(w, n, out)))
        return false;
    if (plain) {
        memcpy(out, w->text + w->at + 1, n - 2);
        out[n - 2] = 0;
    }
    w->at += n;
    return true;
}

bool gdn_json_key(gdn_json_walk *w, char *out)
{
    if (!gdn_json_string(w, out))
        return false;
    if (gdn_json_peek(w) != ':')
        return refuse(w, ":");
    w->at++;
    return true;
}

bool gdn_json_count(gdn_json_walk *w, int64_t *out)
{
    size_t end, digits;
    int64_t x = 0;
    bool overflow = false;
    gdn_json_peek(w);
    for (end = w->at; end < w->n && w->text[end] >= '0' && w->text[end] <= '9'; end++) {
        overflow |= __builtin_mul_overflow(x, 10, &x);
        overflow |= __builtin_add_overflow(x, w->text[end] - '0', &x);
    }
    digits = end - w->at;
    if (digits == 0 || overflow || (digits > 1 && w->text[w->at] == '0') ||
        (end < w->n && is_word(w->text[end])))
        return false;
    w->at = end;
    *out = x;
    return true;
}

bool gdn_json_end(gdn_json_walk *w)
{
    if (w->problem[0])
        return false;
    gdn_json_peek(w);
    return w->at == w->n ? true : refuse(w, "the end");
}
