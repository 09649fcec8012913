/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_compiler -- what the portable mode takes for granted of the compiler and its flags: a cast to float
 * rounds, also beside another one; a b + c is not contracted; double arithmetic has no excess precision; fma
 * is fused.
 */
#include <check.h>
#include <stdlib.h>

typedef struct two {
    double a, b;
} two;

/* gcc 12 with its SLP vectoriser stores x and y themselves. */
__attribute__((noinline)) static void cast_two(two *r, double x, double y)
{
    r->a = (float)x;
    r->b = (float)y;
}

__attribute__((noinline)) static void cast_row(double *r, const double *x, int n)
{
    for (int i = 0; i < n; i++)
        r[i] = (float)x[i];
}

__attribute__((noinline)) static double product_and_sum(double a, double b, double c)
{
    return a * b + c;
}

START_TEST(casts_round)
{
    volatile double x0 = 0.1, x1 = 0.2; /* not constants: nothing to fold */
    two r;
    cast_two(&r, x0, x1);
    ck_assert_double_eq(r.a, 0x1.99999ap-4);
    ck_assert_double_eq(r.b, 0x1.99999ap-3);
    double x[9], y[9];
    for (int i = 0; i < 9; i++)
        x[i] = 0.1;
    cast_row(y, x, 9);
    for (int i = 0; i < 9; i++)
        ck_assert_double_eq(y[i], 0x1.99999ap-4);
}
END_TEST

START_TEST(no_contraction)
{
    double a = 1 + 0x1p-30, b = 1 - 0x1p-30; /* a b = 1 - 2^-60 rounds to 1 */
    ck_assert_double_eq(product_and_sum(a, b, -1), 0);
    ck_assert_double_eq(__builtin_fma(a, b, -1), -0x1p-60);
}
END_TEST

START_TEST(no_excess_precision)
{
    volatile double one = 1, tiny = 0x1p-60;
    ck_assert_double_eq((one + tiny) - one, 0);
    volatile float onef = 1, tinyf = 0x1p-30f;
    ck_assert_float_eq((onef + tinyf) - onef, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("compiler");
    TCase *t = tcase_create("compiler");
    tcase_add_test(t, casts_round);
    tcase_add_test(t, no_contraction);
    tcase_add_test(t, no_excess_precision);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
