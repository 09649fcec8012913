/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_page -- the Markdown of a report as one self-contained page of HTML: cmark-gfm renders it, and every
 * figure is put in as SVG.
 */
#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>
#include <limits.h>
#include <stdlib.h>

#include "harness/report_parts.h"

static const char html_style[] =
    ":root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--rule:#d0d0d0;--soft:#f5f5f3;--grey:#5c5c5c}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#161616;--rule:#444;--soft:#222;--grey:#"
    "a8a8a8}}\n"
    "html{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\n"
    "body{max-width:82rem;margin:0 auto;padding:1.5rem}\n"
    "p,li{max-width:52rem}\n"
    "h1{line-height:1.2;margin:.5rem 0 1rem}\n"
    "h2{margin:2.5rem 0 .8rem;border-bottom:1px solid var(--rule);padding-bottom:.2rem}\n"
    "table{display:block;overflow-x:auto;border-collapse:collapse;font-size:.8rem;margin:.8rem 0 "
    "1.4rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .5rem;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}\n"
    "td[align=right],th[align=right]{text-align:right;white-space:nowrap}\n"
    "th{border-bottom:2px solid var(--ink)}\n"
    "td code{white-space:nowrap}\n"
    "code,pre{font-family:ui-monospace,monospace;font-size:.92em}\n"
    "pre{background:var(--soft);padding:.8rem;overflow-x:auto}\n"
    "figure{margin:1.2rem 0 .4rem;background:#fff;border:1px solid var(--rule);overflow-x:auto}\n"
    "figure svg{display:block;max-width:100%;height:auto;margin:0 auto}\n"
    "hr{border:0;border-top:1px solid var(--rule)}\n"
    "@media "
    "print{html{font-size:10pt;background:#fff;color:#000}body{max-width:none;padding:0}table{display:table}"
    "figure{border:0;break-inside:avoid}figure "
    "svg{max-height:23cm;width:auto}h2,h3{break-after:avoid}tr{break-inside:avoid}}\n";

static void put_escaped(FILE *f, const char *s)
{
    static const char marks[] = "&<>\"", *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (; *s; s++) {
        const char *mark = strchr(marks, *s);
        if (mark)
            fputs(entities[mark - marks], f);
        else
            fputc(*s, f);
    }
}

/* The whole file as a string; NULL when it cannot be had. */
static char *file_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *s = NULL, chunk[65536];
    size_t room = 0;
    FILE *to = f ? open_memstream(&s, &room) : NULL;
    size_t n;
    while (to && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        fwrite(chunk, 1, n, to);
    if (to)
        fclose(to);
    if (f)
        fclose(f);
    return s;
}

/*
 * Copy an SVG for use inside HTML: from <svg on, without namespace declarations (HTML knows them), and with
 * `prefix` before every id, since several figures share one page.
 */
static void put_svg(FILE *f, const char *svg, const char *prefix)
{
    static const char *const before_id[] = {" id='", " id=\"", "href='#", "href=\"#",
                                            "url(#", "url('#", "url(\"#"};
    const char *p = strstr(svg, "<svg");
    while (p && *p) {
        size_t skipped = 0;
        if (strncmp(p, "xmlns", 5) == 0) {
            const char *open = strpbrk(p, "'\""), *close = open ? strchr(open + 1, *open) : NULL;
            skipped = close ? (size_t)(close + 1 - p) : 0;
        }
        p += skipped;
        for (size_t i = 0; i < sizeof before_id / sizeof before_id[0] && !skipped; i++) {
            size_t n = strlen(before_id[i]);
            if (strncmp(p, before_id[i], n) == 0) {
                fprintf(f, "%s%s-", before_id[i], prefix);
                p += n;
                skipped = n;
            }
        }
        if (!skipped)
            fputc(*p++, f);
    }
}

/* Replace the paragraph around an image by the figure itself, the serial-th of the page. */
static gdn_status put_figure(const gdn_results *r, cmark_node *image, unsigned serial, gdn_error *err)
{
    char path[PATH_MAX], *html = NULL, prefix[24];
    size_t size = 0;
    const char *url = cmark_node_get_url(image);
    cmark_node *paragraph = cmark_node_parent(image), *label = cmark_node_first_child(image);
    if (snprintf(path, sizeof path, "%s/%s", r->dir, url) >= (int)sizeof path)
        return gdn_fail(err, GDN_BAD_INPUT, "%.80s...: the path is too long", path);
    char *svg = file_text(path);
    FILE *f = svg ? open_memstream(&html, &size) : NULL;
    if (!f) {
        free(svg);
        return gdn_fail(err, GDN_BAD_INPUT, "%.400s: cannot be read; `gdnprec plot` draws it", path);
    }
    snprintf(prefix, sizeof prefix, "f%u", serial);
    fprintf(f, "<figure role=\"img\" aria-label=\"");
    put_escaped(f, label && cmark_node_get_literal(label) ? cmark_node_get_literal(label) : "figure");
    fprintf(f, "\">\n");
    put_svg(f, svg, prefix);
    fprintf(f, "</figure>\n");
    fclose(f);
    free(svg);
    cmark_node *block = cmark_node_new(CMARK_NODE_CUSTOM_BLOCK);
    cmark_node_set_on_enter(block, html);
    cmark_node_replace(paragraph, block);
    cmark_node_free(paragraph);
    free(html);
    return GDN_OK;
}

/* The first image of the document, or NULL. */
static cmark_node *first_image(cmark_node *root)
{
    cmark_iter *at = cmark_iter_new(root);
    cmark_node *found = NULL;
    while (!found && cmark_iter_next(at) != CMARK_EVENT_DONE)
        if (cmark_node_get_type(cmark_iter_get_node(at)) == CMARK_NODE_IMAGE)
            found = cmark_iter_get_node(at);
    cmark_iter_free(at);
    return found;
}

/* Markdown to the body of a page; to be freed. */
static gdn_status render(const gdn_results *r, const char *md, char **body, gdn_error *err)
{
    cmark_gfm_core_extensions_ensure_registered();
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    cmark_parser_attach_syntax_extension(parser, cmark_find_syntax_extension("table"));
    cmark_parser_feed(parser, md, strlen(md));
    cmark_node *root = cmark_parser_finish(parser);
    gdn_status status = GDN_OK;
    unsigned figures = 0;
    for (cmark_node *image; !status && (image = first_image(root)) != NULL;)
        status = put_figure(r, image, ++figures, err);
    *body = status ? NULL
                   : cmark_render_html(root, CMARK_OPT_DEFAULT, cmark_parser_get_syntax_extensions(parser));
    cmark_node_free(root);
    cmark_parser_free(parser);
    return status;
}

gdn_status gdn_report_page(const gdn_results *r, const char *md, char **page, gdn_error *err)
{
    char *body = NULL;
    size_t size = 0;
    gdn_status status = render(r, md, &body, err);
    FILE *f = status ? NULL : open_memstream(page, &size);
    if (f) {
        fprintf(f,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>gdnprec: ");
        put_escaped(f, gdn_manifest_text(r, "experiment", "name"));
        fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n%s</body>\n</html>\n", html_style, body);
    }
    if (!status && (!f || fclose(f)))
        status = gdn_no_memory(err, "report.html");
    free(body);
    return status;
}
