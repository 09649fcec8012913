/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inputs_step -- one random draw and what is made of it, for the CPU and the GPU alike; base/inputs.h says
 * what for. C++ includes Random123/philox.h before this, outside extern "C".
 */
#ifndef GDN_BASE_INPUTS_STEP_H
#define GDN_BASE_INPUTS_STEP_H

#include <Random123/philox.h>

#include "base/inputs.h"
#include "base/round.h"

/* Four random words. out: [4] */
GDN_SHARED void gdn_random_words(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index,
                                 uint32_t *out)
{
    philox4x32_ctr_t c = {{(uint32_t)index, (uint32_t)(index >> 32), head, (uint32_t)stream}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t r = philox4x32(c, key);
    for (int i = 0; i < 4; i++)
        out[i] = r.v[i];
}

/* A uniform double in (0, 1): 52 random bits, centred in their cell. */
GDN_SHARED double gdn_uniform_at(uint64_t seed, gdn_stream stream, uint32_t head, uint64_t index)
{
    uint32_t r[4];
    gdn_random_words(seed, stream, head, index, r);
    uint64_t bits = ((uint64_t)r[0] << 20) ^ (r[1] >> 12);
    return ((double)bits + 0.5) * 0x1p-52;
}

/* The normal value of element e, from the draw that it shares with seven others. r: [4]; quantiles: 65,536 */
GDN_SHARED float gdn_normal_of(const uint32_t *r, uint64_t e, const uint16_t *quantiles)
{
    uint32_t half = e % 2 ? r[e % 8 / 2] >> 16 : r[e % 8 / 2] & 0xffffu;
    return gdn_bf16_to_float(quantiles[half]);
}

/* RN_bf16(mean + scale x). */
GDN_SHARED float gdn_affine(double mean, double scale, float x)
{
    return (float)gdn_round_to(gdn_format_row(GDN_BF16), mean + scale * x);
}

/* The axis of a Zipf draw: the smallest r with u < (sum_{i<=r} (i+1)^-s) / total; cdf: [dk]. */
GDN_SHARED int gdn_zipf_axis(const double *cdf, int dk, double u)
{
    int lo = 0, hi = dk - 1;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (u * cdf[dk - 1] < cdf[mid])
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/*
 * Component i of a vector in the span of `rank` Walsh functions (-1)^|i & w|: sum_j (-1)^|i & w_j| z_j, in
 * order of j. w is 0, then 1, 2, 4 .. below d, then the numbers between, ascending: from rank 1 + log2(d) on
 * all components differ, so that their rounding errors are not copies of each other.
 */
GDN_SHARED float gdn_walsh_sum(const float *z, int rank, int d, int i)
{
    float sum = 0;
    unsigned power = 1, other = 2, w = 0;
    for (int j = 0; j < rank; j++) {
        unsigned bits = (unsigned)i & w;
        bits ^= bits >> 8;
        bits ^= bits >> 4;
        bits ^= bits >> 2;
        bits ^= bits >> 1;
        sum = bits & 1 ? sum - z[j] : sum + z[j];
        if (power < (unsigned)d) {
            w = power;
            power *= 2;
        } else {
            do
                other++;
            while ((other & (other - 1)) == 0);
            w = other;
        }
    }
    return sum;
}

/* The key head of a value head: repeat-interleave. */
GDN_SHARED uint32_t gdn_key_head(const gdn_input_spec *spec, uint32_t head)
{
    return spec->group > 1 ? head / (uint32_t)spec->group : head;
}

/* Cumulative weights (i+1)^-s, s = half_steps / 2, by multiplication, division and square root only. */
GDN_SHARED void gdn_zipf_weights(int half_steps, int dk, double *cdf)
{
    double sum = 0;
    for (int i = 0; i < dk; i++) {
        double w = 1, root = gdn_sqrt((double)(i + 1));
        for (int s = 0; s < half_steps; s++)
            w /= root;
        cdf[i] = sum += w;
    }
}

#endif
