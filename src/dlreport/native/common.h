/* What both trainings in C share: matrix products, by the BLAS that PyTorch was built with; memory; tanh and sigmoid. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* BLAS's general matrix product, in Fortran's convention; a and b are float, or bfloat16 for gemm_bf16bf16f32 */
typedef void Gemm(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha,
                  const void *a, const int *lda, const void *b, const int *ldb, const float *beta, float *c,
                  const int *ldc);

/* C [m, n] (+)= op(A) op(B) with op(A) [m, k] and op(B) [k, n]; op transposes where `ta` or `tb` is 'T' */
static void product(Gemm *gemm, char ta, char tb, int m, int n, int k, const void *A, const void *B, float add,
                    float *C) {
    /* To Fortran's columns, row-major arrays are transposed: C' = op(B)' op(A)'. */
    const float one = 1.0f;
    const int lda = ta == 'T' ? m : k, ldb = tb == 'T' ? k : n;
    gemm(&tb, &ta, &n, &m, &k, &one, B, &ldb, A, &lda, &add, C, &n);
}

/* A matrix as a product takes it: itself, or rounded to bfloat16 in `copy` */
static const void *operand(int bf16, size_t count, const float *matrix, uint16_t *copy) {
    if (!bf16) return matrix;
    for (size_t j = 0; j < count; j++) {
        uint32_t bits;
        memcpy(&bits, matrix + j, 4);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; /* to nearest, ties to even */
        copy[j] = matrix[j] == matrix[j] ? rounded : 0x7fc0;           /* NaN stays NaN */
    }
    return copy;
}

/* A row of arrays in one piece of memory. With `start` NULL it only counts the bytes that they take. */
typedef struct {
    char *start;
    size_t used;
} Memory;

/* The next `count` elements of `size` bytes, at a multiple of 64 bytes from the start */
static void *take(Memory *memory, size_t count, size_t size) {
    const size_t from = memory->used;
    memory->used += (count * size + 63) / 64 * 64;
    return memory->start ? memory->start + from : NULL;
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2: returns e^r - 1 by a polynomial (coefficients: Cephes, expf)
 * and 2^n in *power. */
static inline float reduced_exponential(float x, float *power) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it leaves round(x) in the low bits of the sum */
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(power, &bits, 4);
    return p * r * r + r;
}

static inline float sigmoid(float x) {
    float power, q = reduced_exponential(-x, &power);
    return 1.0f / (1.0f + (power * q + power));
}

/* With m = e^(-2|x|) - 1, which keeps its digits near zero: tanh |x| = -m / (m + 2). */
static inline float hyperbolic_tangent(float x) {
    float power, q = reduced_exponential(-2.0f * fabsf(x), &power);
    float m = power * q + (power - 1.0f);
    return copysignf(m / (m + 2.0f), x);
}
