/* SPDX-License-Identifier: Apache-2.0 */
/* omp.h of a program without threads: fuzz targets are compiled without OpenMP. */
#ifndef GDN_TESTS_FUZZ_SERIAL_OMP_H
#define GDN_TESTS_FUZZ_SERIAL_OMP_H

static inline int omp_get_max_threads(void)
{
    return 1;
}

static inline int omp_get_num_threads(void)
{
    return 1;
}

static inline int omp_get_thread_num(void)
{
    return 0;
}

static inline void omp_set_num_threads(int n)
{
    (void)n;
}

static inline void omp_set_max_active_levels(int n)
{
    (void)n;
}

#endif
