/* What both trainings in C share: matrix products by the kernels that PyTorch brings, memory, tanh and sigmoid.
 *
 * A function that Python calls takes a pointer to one struct and the struct's size. A ctypes.Structure mirrors the
 * struct field by field. The function returns one of these codes: */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DONE, NO_MEMORY, MISFIT }; /* MISFIT: Python's struct has another size, or its values do not fit together */

/* The type of the functions of products.cpp, which explains the arguments */
typedef void Product(int64_t m, int64_t n, int64_t k, int64_t lda, int64_t ldb, int64_t ldc, bool add, const void *A,
                     const void *B, float *C);

typedef struct {
    Product *fp32, *bf16; /* bf16 is NULL where products are to be in float32 */
    void (*release)(void);
} Products;

/* Round a float to the nearest bfloat16, which is the upper half of a float's 32 bits. A tie goes to the even
 * neighbour. The lower half of the result is to be dropped. NaN stays NaN. */
static inline uint32_t rounded(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    /* Add half of the last bit that stays: a carry then rounds up. If that last bit is 0, add one less (0x7fff). Then a
     * tie carries nothing, and the even number stays. */
    return value == value ? bits + 0x7fff + ((bits >> 16) & 1) : 0x7fc00000;
}

/* Return a product's left matrix x [rows, columns], contiguous, in the form that the product takes. For fp32 that is x
 * itself. For bf16 it is a copy in bfloat16, where a zero fills up a row of odd length, since the product wants an even
 * number of columns (see products.cpp). */
static const void *left(const Products *p, size_t rows, size_t columns, const float *restrict x,
                        uint16_t *restrict copy) {
    if (!p->bf16) return x;
    const size_t width = columns + columns % 2;
    if (width == columns) columns *= rows, rows = 1; /* no zeros between the rows: convert all of x as one row */
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) copy[i * width + j] = (uint16_t)(rounded(x[i * columns + j]) >> 16);
        if (columns < width) copy[i * width + columns] = 0;
    }
    return copy;
}

/* Return a product's right matrix x [rows, columns] in the form that the product takes. For fp32 that is x itself. For
 * bf16 it is a copy in bfloat16 that interleaves each pair of rows, [rows / 2, columns, 2]. An odd last row is paired
 * with zeros. */
static const void *right(const Products *p, size_t rows, size_t columns, const float *restrict x,
                         uint16_t *restrict copy) {
    if (!p->bf16) return x;
    for (size_t i = 0; i < rows; i += 2) {
        const float *first = x + i * columns, *second = first + columns;
        for (size_t j = 0; j < columns; j++) {
            /* Both values in one 32-bit word: the first in the lower half, which lies first in memory, since all
             * machines with such products are little-endian. */
            uint32_t high = i + 1 < rows ? rounded(second[j]) & 0xffff0000 : 0;
            uint32_t both = rounded(first[j]) >> 16 | high;
            memcpy(copy + i * columns + 2 * j, &both, 4);
        }
    }
    return copy;
}

/* C [m, n] = A [m, k] B [k, n], or C += A B if `add`. A is what `left` returned and B what `right` returned; C's rows
 * begin ldc elements apart. */
static void product(const Products *p, size_t m, size_t n, size_t k, const void *A, const void *B, bool add, float *C,
                    size_t ldc) {
    if (p->bf16) k += k % 2; /* `left` and `right` have filled an odd k up with zeros */
    Product *function = p->bf16 ? p->bf16 : p->fp32;
    function((int64_t)m, (int64_t)n, (int64_t)k, (int64_t)k, (int64_t)n, (int64_t)ldc, add, A, B, C);
}

/* y [columns, rows] = x' (x [rows, columns] transposed); x's rows begin ldx elements apart */
static void transpose(size_t rows, size_t columns, const float *restrict x, size_t ldx, float *restrict y) {
    enum { S = 16, HALF = S * S / 2 };
    size_t i = 0;
    for (; i + S <= rows; i += S) {
        size_t j = 0;
        for (; j + S <= columns; j += S) { /* transpose a tile of S x S numbers in registers */
            float a[2 * HALF], b[2 * HALF];
            for (size_t k = 0; k < S; k++) memcpy(a + S * k, x + (i + k) * ldx + j, sizeof(float) * S);
            /* The 8 bits of a number's index in the tile are 4 of its row and 4 of its column. A perfect shuffle, which
             * takes one number from each half in turn, rotates these bits by one. So four of them exchange row and
             * column. */
            for (size_t k = 0; k < HALF; k++) b[2 * k] = a[k], b[2 * k + 1] = a[k + HALF];
            for (size_t k = 0; k < HALF; k++) a[2 * k] = b[k], a[2 * k + 1] = b[k + HALF];
            for (size_t k = 0; k < HALF; k++) b[2 * k] = a[k], b[2 * k + 1] = a[k + HALF];
            for (size_t k = 0; k < HALF; k++) a[2 * k] = b[k], a[2 * k + 1] = b[k + HALF];
            for (size_t k = 0; k < S; k++) memcpy(y + (j + k) * rows + i, a + S * k, sizeof(float) * S);
        }
        for (; j < columns; j++) /* the columns that fill no tile */
            for (size_t k = i; k < i + S; k++) y[j * rows + k] = x[k * ldx + j];
    }
    for (size_t j = 0; j < columns; j++) /* the rows that fill no tile */
        for (size_t k = i; k < rows; k++) y[j * rows + k] = x[k * ldx + j];
}

/* A test compiles with AddressSanitizer. There a gap follows each array, and the sanitizer reports any access to it. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = 64 };
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
enum { GAP = 0 };
#endif

/* Arrays that lie one after the other in one block of memory. They are laid out twice: while `start` is NULL, `take`
 * only counts the bytes that they need. After `allocate`, the same calls of `take` return the arrays. */
typedef struct {
    char *start;
    size_t used; /* bytes; ENDLESS if they are too many to count */
} Memory;

static const size_t ENDLESS = SIZE_MAX - 63;

/* Return the next array, of rows * columns elements of `size` bytes. It begins at a multiple of 64 bytes. */
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

/* Allocate all bytes that were counted and set `memory` back to its first array. Returns the pointer to free later, or
 * NULL if there is not enough memory. It calls malloc and aligns the start itself: glibc's aligned_alloc (2.36) uses
 * little of what was freed again, so that in 100,000 calls a process grew to 4 GB. */
static void *allocate(Memory *memory) {
    void *block = memory->used < ENDLESS ? malloc(memory->used + 63) : NULL;
    *memory = (Memory){.start = block ? (char *)(((uintptr_t)block + 63) / 64 * 64) : NULL};
    return block;
}

/* The exponential, written so that the compiler can vectorise loops that call it:
 *   e^x = 2^n e^r  with n = round(x / ln 2), r = x - n ln 2, |r| <= ln 2 / 2
 * Returns e^r - 1 by a polynomial in r (coefficients: Cephes, expf) and writes 2^n to *power. */
static inline float reduced_exponential(float x, float *power) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: y + rounder has round(y) in its low bits */
    /* Keep x where 2^n is a normal number, neither 0 nor infinite. NaN passes. */
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    /* r = x - n ln 2, with ln 2 in two parts, so that n times the first one is exact */
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    /* e^r - 1 = r + r^2 p(r), with p(r) by Horner's rule */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    /* 2^n: shift n from the low bits of `shifted` to the exponent's place, and add the bits of 1.0 */
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(power, &bits, 4);
    return p * r * r + r;
}

/* sigmoid(x) = 1 / (1 + e^-x) */
static inline float sigmoid(float x) {
    float power, q = reduced_exponential(-x, &power);
    return 1.0f / (1.0f + (power * q + power)); /* e^-x = 2^n (q + 1) */
}

/* tanh |x| = -m / (m + 2) with m = e^(-2|x|) - 1, which keeps its digits near zero; tanh x has the sign of x */
static inline float hyperbolic_tangent(float x) {
    float power, q = reduced_exponential(-2.0f * fabsf(x), &power);
    float m = power * q + (power - 1.0f); /* 2^n (q + 1) - 1 */
    return copysignf(m / (m + 2.0f), x);
}

/* C [m, n] = A [m, k] B [k, n], or C += A B if `add`; C's rows begin ldc elements apart. native/__init__.py calls
 * `multiply` before the first training to test some products, which go through the same steps as all products here. */
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
    for (int counted = 0; counted < 2; counted++) { /* first count the bytes, then allocate them and take the arrays */
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
