/* SPDX-License-Identifier: Apache-2.0 */
/* test_shown -- untrusted text in sentences: every byte, and every length around the end of the room. */
#include "tests/gdn_test.h"

#include "harness/shown.h"

START_TEST(every_byte)
{
    for (int byte = 0; byte < 256; byte++) {
        char out[GDN_SHOWN], want[8];
        unsigned char b = (unsigned char)byte;
        if (byte >= ' ' && byte <= '~')
            snprintf(want, sizeof want, "%c", byte);
        else
            snprintf(want, sizeof want, "\\x%02x", (unsigned)byte);
        ck_assert_str_eq(gdn_shown_bytes(&b, 1, out, sizeof out), want);
    }
    char out[GDN_SHOWN];
    ck_assert_str_eq(gdn_shown("\033[2J\xc2\x9b", out, sizeof out), "\\x1b[2J\\xc2\\x9b");
    ck_assert_str_eq(gdn_quoted("a\nb", out, sizeof out), "\"a\\x0ab\"");
    ck_assert_str_eq(gdn_quoted("", out, sizeof out), "\"\"");
}
END_TEST

/* What fits is whole; what does not is cut between characters and says so. Nothing is written behind the
 * room. */
START_TEST(every_length)
{
    for (size_t size = 8; size < 40; size++)
        for (size_t n = 0; n < 50; n++)
            for (size_t escapes = 0; escapes <= n; escapes++) {
                char text[64] = "", whole[256] = "", out[64];
                for (size_t i = 0; i < n; i++) {
                    text[i] = i * 7 % n < escapes ? '\n' : 'x';
                    strcat(whole, text[i] == 'x' ? "x" : "\\x0a");
                }
                size_t m = strlen(whole);
                memset(out, '#', sizeof out);
                gdn_shown(text, out, size);
                GDN_CHECK(strlen(out) < size && out[size] == '#', "%zu of %zu: '%s'", n, size, out);
                if (m < size) {
                    ck_assert_str_eq(out, whole);
                } else {
                    size_t kept = strlen(out) - 3;
                    GDN_CHECK(
                        strcmp(out + kept, "...") == 0 && strncmp(out, whole, kept) == 0 &&
                            kept + 3 + 4 >= size - 1 &&
                            (whole[kept] == 'x' ? kept == 0 || whole[kept - 1] != '\\' : whole[kept] == '\\'),
                        "%zu of %zu: '%s' of '%s'", n, size, out, whole);
                }
                memset(out, '#', sizeof out);
                gdn_shown_path(text, out, size);
                GDN_CHECK(strlen(out) < size && out[size] == '#', "path: %zu of %zu: '%s'", n, size, out);
                if (m < size)
                    ck_assert_str_eq(out, whole);
                else
                    GDN_CHECK(strncmp(out, "...", 3) == 0 &&
                                  strcmp(out + 3, whole + m - strlen(out + 3)) == 0 &&
                                  strlen(out) + 4 >= size - 1,
                              "path: %zu of %zu: '%s' of '%s'", n, size, out, whole);
                memset(out, '#', sizeof out);
                gdn_quoted(text, out, size);
                GDN_CHECK(strlen(out) < size && out[size] == '#' && out[0] == '"' &&
                              out[strlen(out) - 1] == '"',
                          "quoted: %zu of %zu: '%s'", n, size, out);
            }
}
END_TEST

GDN_TEST_MAIN("shown", every_byte, every_length)
