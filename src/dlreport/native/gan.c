/* The gradients of one training step of the GAN's generator or discriminator on a CPU.
 *
 * In C for the reason that sequence.c gives. Each layer's columns are shared among threads. A block of columns is one
 * thread's from the product on, so threads change no number.
 *
 * Shapes, all arrays row-major and contiguous: B batch, M rows (B, or 2B for real and fake images together), Z latent
 * dim, P pixels, K and N a layer's inputs and outputs. The losses and the networks are those of gan/networks.py; a
 * network is a chain of layers
 *   y = activation(BatchNorm(x W' + b)),  W [N, K], with BatchNorm or without.
 */
#include "layer.h"

#ifdef _OPENMP
#include <omp.h>
static size_t this_thread(void) { return (size_t)omp_get_thread_num(); }
#else
static size_t this_thread(void) { return 0; }
#endif

typedef struct {
    float slope, epsilon, momentum; /* of LeakyReLU; of BatchNorm */
    int threads;
    Products products;
    size_t block;     /* elements of the largest, its shorter or longer side rounded up to pairs */
    float *blocks;    /* [threads, block]: room for a block of columns, contiguous or transposed */
    uint16_t *copies; /* [threads, block]: the same as bfloat16 */
} Options;

static float *own_block(const Options *o) { return o->blocks + this_thread() * o->block; }
static uint16_t *own_copy(const Options *o) { return o->copies + this_thread() * o->block; }

/* x [M, inputs of the first layer] -> output [M, outputs of the last] */
static float *forward(const Options *o, Layer *layers, size_t count, size_t M, const float *x) {
    const Products *p = &o->products;
    for (Layer *l = layers; l < layers + count; l++) {
        const size_t K = l->shape.inputs, N = l->shape.outputs;
        l->x = x;
        const void *X = left(p, M, K, x, l->x_left);
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
        for (size_t from = 0; from < N; from += COLUMNS) {
            /* these columns of y = x W': rows of W, transposed */
            const size_t width = width_of_block(N, from);
            float *W_T = own_block(o);
            transpose(width, K, l->W + from * K, K, W_T);
            product(p, M, width, K, X, right(p, K, width, W_T, own_copy(o)), false, l->y + from, N);
            forward_columns(l, M, from, o->slope, o->epsilon, o->momentum);
        }
        x = l->y;
    }
    return layers[count - 1].y;
}

/* Back through a network from dy = dloss/doutput, which is overwritten. Gradients go where the layers point; dloss/dx
 * [M, inputs], if wanted, is in one of the two buffers (each holds M times the widest layer) and returned. */
static float *backward(const Options *o, Layer *layers, size_t count, size_t M, float *dy, float *other,
                       bool want_dx) {
    const Products *p = &o->products;
    for (size_t k = count; k-- > 0;) {
        Layer *l = layers + k;
        const size_t K = l->shape.inputs, N = l->shape.outputs;
        const void *X = l->dW ? right(p, M, K, l->x, l->x_right) : NULL;
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
        for (size_t from = 0; from < N; from += COLUMNS) {
            const size_t width = width_of_block(N, from);
            backward_columns(l, M, from, o->slope, dy);
            if (!l->dW) continue;
            /* these rows of dW = dy' x: columns of dy, transposed */
            float *dy_T = own_block(o);
            transpose(M, width, dy + from, N, dy_T);
            const void *DY_T = left(p, width, M, dy_T, own_copy(o));
            product(p, width, K, M, DY_T, X, false, l->dW + from * K, K);
        }
        if (k == 0 && !want_dx) return NULL;
        const void *DY = left(p, M, N, dy, l->dy_left);
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
        for (size_t from = 0; from < K; from += COLUMNS) {
            /* these columns of dx = dy W: columns of W, made contiguous */
            const size_t width = width_of_block(K, from);
            float *W = own_block(o);
            for (size_t n = 0; n < N; n++) memcpy(W + n * width, l->W + n * K + from, width * sizeof(float));
            product(p, M, width, N, DY, right(p, N, width, W, own_copy(o)), false, other + from, K);
        }
        float *dx = other;
        other = dy, dy = dx;
    }
    return dy;
}

/* log(1 + e^x), which neither overflows nor loses small digits */
static inline float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

/* Mean of the binary cross entropy of sigmoid(logits) [count] with `label`, and its gradient by the logits */
static float binary_cross_entropy(size_t count, float label, const float *logits, float *gradient) {
    double sum = 0.0;
    for (size_t j = 0; j < count; j++) {
        sum += softplus(label > 0.5f ? -logits[j] : logits[j]);
        gradient[j] = (sigmoid(logits[j]) - label) / (float)count;
    }
    return (float)(sum / (double)count);
}

/* The loss and its gradients by one network's parameters. `real` [B, P]: the discriminator's, BCE(D(real), 1) +
 * BCE(D(G(z)), 0); NULL: the generator's, BCE(D(G(z)), 1). z [B, Z]. G's running means and variances move. */
typedef struct {
    size_t B;
    const float *real, *z;
    Network generator, discriminator;
    float slope, epsilon, momentum, loss; /* the last one is the result */
    float *gradients;
    size_t threads;
    Products products;
} Step;

enum { MOST_LAYERS = 16 };

int gan_gradients(Step *a, size_t size) {
    if (size != sizeof *a || !a->B || !a->threads) return MISFIT;
    const size_t g_count = a->generator.count, d_count = a->discriminator.count;
    if (!g_count || g_count > MOST_LAYERS || !d_count || d_count > MOST_LAYERS) return MISFIT;
    Layer G[MOST_LAYERS], D[MOST_LAYERS];
    read_layers(&a->generator, a->real ? NULL : a->gradients, G);
    read_layers(&a->discriminator, a->real ? a->gradients : NULL, D);

    /* Each layer's inputs are the outputs of the one before, D's first ones those of G's last, or z. */
    size_t widest = G[0].shape.inputs, before = widest;
    for (size_t k = 0; k < g_count + d_count; k++) {
        const Shape *shape = k < g_count ? &G[k].shape : &D[k - g_count].shape;
        if (shape->inputs != before) return MISFIT;
        before = shape->outputs;
        widest = before > widest ? before : widest;
    }
    if (before != 1) return MISFIT; /* a logit */

    const size_t B = a->B, M = a->real ? 2 * B : B, P = D[0].shape.inputs;
    const bool bf16 = a->products.bf16 != NULL;
    Options o = {a->slope, a->epsilon, a->momentum, (int)a->threads, a->products, 0, NULL, NULL};
    o.block = COLUMNS * ((M > widest ? M : widest) + 1);
    float *images = NULL, *dy = NULL, *other = NULL;
    Memory memory = {0};
    void *block = NULL;
    for (int counted = 0; counted < 2; counted++) {
        if (counted && !(block = allocate(&memory))) return NO_MEMORY;
        images = take(&memory, sizeof(float), M, P);
        dy = take(&memory, sizeof(float), M, widest), other = take(&memory, sizeof(float), M, widest);
        o.blocks = take(&memory, sizeof(float), a->threads, o.block);
        o.copies = take(&memory, 2, bf16 ? a->threads : 0, o.block);
        lay_out(G, g_count, B, bf16, &memory);
        lay_out(D, d_count, M, bf16, &memory);
    }

    const float *fake = forward(&o, G, g_count, B, a->z), *x = fake;
    if (a->real) { /* both through D at once: exact, since D has no BatchNorm */
        memcpy(images, a->real, B * P * sizeof(float));
        memcpy(images + B * P, fake, B * P * sizeof(float));
        x = images;
    }
    const float *logits = forward(&o, D, d_count, M, x);
    a->loss = binary_cross_entropy(B, 1.0f, logits, dy);
    if (a->real) a->loss += binary_cross_entropy(B, 0.0f, logits + B, dy + B);
    float *dfake = backward(&o, D, d_count, M, dy, other, !a->real);
    if (!a->real) backward(&o, G, g_count, B, dfake, dfake == dy ? other : dy, false);
    if (bf16) {
#pragma omp parallel num_threads(o.threads)
        a->products.release();
    }
    free(block);
    return DONE;
}
