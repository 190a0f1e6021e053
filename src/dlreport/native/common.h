/* What both trainings in C share: matrix products, by the kernels that PyTorch brings; memory; tanh and sigmoid.
 *
 * A function that Python calls gets one struct, which a ctypes.Structure mirrors field by field, and the size of that;
 * it returns one of these: */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DONE, NO_MEMORY, MISFIT }; /* MISFIT: Python's struct has another size, or its values do not fit together */

/* See products.cpp */
typedef void Product(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const void *A,
                     const void *B, float *C);

typedef struct {
    Product *fp32, *bf16; /* the second NULL where products are to be in float32 */
    void (*release)(void);
} Products;

/* The nearest bfloat16 (ties to even), in the upper half; NaN stays NaN. */
static inline uint32_t rounded(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    /* Half of the last place that stays, less one where that place is even: what carries into it rounds it up. */
    return value == value ? bits + 0x7fff + ((bits >> 16) & 1) : 0x7fc00000;
}

/* A product's left matrix [rows, columns], contiguous: itself, or as bfloat16 in `copy`, rows of an odd length with a
 * zero at their end */
static const void *left(const Products *p, size_t rows, size_t columns, const float *restrict x,
                        uint16_t *restrict copy) {
    if (!p->bf16) return x;
    const size_t width = columns + columns % 2;
    if (width == columns) columns *= rows, rows = 1; /* no gaps: all in one go */
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) copy[i * width + j] = (uint16_t)(rounded(x[i * columns + j]) >> 16);
        if (columns < width) copy[i * width + columns] = 0;
    }
    return copy;
}

/* A product's right matrix [rows, columns]: itself, or as bfloat16 in `copy`, in pairs of rows [rows / 2, columns, 2];
 * an odd last row has zeros for its partner. */
static const void *right(const Products *p, size_t rows, size_t columns, const float *restrict x,
                         uint16_t *restrict copy) {
    if (!p->bf16) return x;
    for (size_t i = 0; i < rows; i += 2) {
        const float *first = x + i * columns, *second = first + columns;
        for (size_t j = 0; j < columns; j++) {
            uint32_t high = i + 1 < rows ? rounded(second[j]) & 0xffff0000 : 0;
            uint32_t both = rounded(first[j]) >> 16 | high; /* little-endian, as all machines with such products */
            memcpy(copy + i * columns + 2 * j, &both, 4);
        }
    }
    return copy;
}

/* C (+)= A B of such matrices, in the precision of both; A [m, k] and B are contiguous, C's rows ldc elements apart */
static void product(const Products *p, size_t m, size_t n, size_t k, const void *A, const void *B, bool add, float *C,
                    size_t ldc) {
    if (p->bf16) k += k % 2; /* as `left` and `right` leave it */
    Product *function = p->bf16 ? p->bf16 : p->fp32;
    function((int64_t)m, (int64_t)n, (int64_t)k, (int64_t)k, (int64_t)n, (int64_t)ldc, add, A, B, C);
}

/* y [columns, rows] = x [rows, columns] transposed; x's rows are ldx elements apart */
static void transpose(size_t rows, size_t columns, const float *restrict x, size_t ldx, float *restrict y) {
    enum { S = 16, HALF = S * S / 2 };
    size_t i = 0;
    for (; i + S <= rows; i += S) {
        size_t j = 0;
        for (; j + S <= columns; j += S) { /* a tile of S x S in registers: */
            float a[2 * HALF], b[2 * HALF];
            for (size_t k = 0; k < S; k++) memcpy(a + S * k, x + (i + k) * ldx + j, sizeof(float) * S);
            /* a perfect shuffle rotates the 8 bits of a value's index by one; four exchange its row and column */
            for (size_t k = 0; k < HALF; k++) b[2 * k] = a[k], b[2 * k + 1] = a[k + HALF];
            for (size_t k = 0; k < HALF; k++) a[2 * k] = b[k], a[2 * k + 1] = b[k + HALF];
            for (size_t k = 0; k < HALF; k++) b[2 * k] = a[k], b[2 * k + 1] = a[k + HALF];
            for (size_t k = 0; k < HALF; k++) a[2 * k] = b[k], a[2 * k + 1] = b[k + HALF];
            for (size_t k = 0; k < S; k++) memcpy(y + (j + k) * rows + i, a + S * k, sizeof(float) * S);
        }
        for (; j < columns; j++) /* the columns that are left over */
            for (size_t k = i; k < i + S; k++) y[j * rows + k] = x[k * ldx + j];
    }
    for (size_t j = 0; j < columns; j++) /* the rows that are left over */
        for (size_t k = i; k < rows; k++) y[j * rows + k] = x[k * ldx + j];
}

#ifdef __SANITIZE_ADDRESS__ /* in a test: what lies between two arrays is nobody's */
#include <sanitizer/asan_interface.h>
enum { GAP = 64 };
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
enum { GAP = 0 };
#endif

/* A row of arrays in one piece of memory. With `start` NULL it only counts the bytes that they take. */
typedef struct {
    char *start;
    size_t used; /* ENDLESS where it would be too large a number */
} Memory;

static const size_t ENDLESS = SIZE_MAX - 63;

/* The next array, of rows * columns elements of `size` bytes, at a multiple of 64 bytes from the start */
static void *take(Memory *memory, size_t size, size_t rows, size_t columns) {
    const size_t from = memory->used;
    if (columns && rows > (ENDLESS - from) / size / columns) {
        memory->used = ENDLESS;
        return NULL;
    }
    const size_t end = from + rows * columns * size;
    memory->used = (end + 63) / 64 * 64 + GAP;
    if (!memory->start) return NULL;
    ASAN_POISON_MEMORY_REGION(memory->start + end, memory->used - end);
    return memory->start + from;
}

/* Memory for all that was counted, to be taken again from the start; returns what to free, or NULL. By malloc, since
 * glibc's aligned_alloc (2.36) uses little of what was freed again: in 100,000 calls a process grew to 4 GB. */
static void *allocate(Memory *memory) {
    void *block = memory->used < ENDLESS ? malloc(memory->used + 63) : NULL;
    *memory = (Memory){.start = block ? (char *)(((uintptr_t)block + 63) / 64 * 64) : NULL};
    return block;
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2: returns e^r - 1 by a polynomial (coefficients: Cephes, expf)
 * and 2^n in *power. */
static inline float reduced_exponential(float x, float *power) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it leaves round(x) in the low bits of the sum */
    x = x > 88.0f ? 88.0f : x; /* 2^n is a normal number, neither 0 nor infinite; NaN passes */
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* ln 2 in two parts: n times the first is exact */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits << 23) + 0x3f800000u; /* n into the exponent's place, plus the bits of 1.0 */
    memcpy(power, &bits, 4);
    return p * r * r + r;
}

/* 1 / (1 + e^-x) */
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

/* C [m, n] (+)= A [m, k] B [k, n], C's rows ldc elements apart, by the steps of every product here: for
 * native/__init__.py, which tries some before the first training */
typedef struct {
    size_t m, n, k, ldc, add;
    const float *A, *B;
    float *C;
    Products products;
} Multiplication;

int multiply(const Multiplication *a, size_t size) {
    if (size != sizeof *a) return MISFIT;
    uint16_t *A_copy = NULL, *B_copy = NULL;
    Memory memory = {0};
    void *block = NULL;
    for (int counted = 0; counted < 2; counted++) {
        if (counted && !(block = allocate(&memory))) return NO_MEMORY;
        A_copy = take(&memory, 2, a->m, a->k + 1), B_copy = take(&memory, 2, a->k + 1, a->n);
    }
    const Products *p = &a->products;
    product(p, a->m, a->n, a->k, left(p, a->m, a->k, a->A, A_copy), right(p, a->k, a->n, a->B, B_copy), a->add, a->C,
            a->ldc);
    if (p->bf16) p->release();
    free(block);
    return DONE;
}
