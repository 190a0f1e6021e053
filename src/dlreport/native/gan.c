/* The gradients of one training step of the GAN's generator or discriminator on a CPU. The update is PyTorch's Adam.
 *
 * It is in C for the reason that sequence.c gives. Threads share the columns of each layer. One thread computes a whole
 * block of columns, from the product on, so the number of threads changes no result.
 *
 * The losses and the networks are those of gan/networks.py. A network is a chain of layers, with BatchNorm or without:
 *   y = activation(BatchNorm(x W' + b)),  x [M, K], W [N, K], b [N], y [M, N]
 * In comments dW is dloss/dW, and W' is W transposed.
 *
 * Shapes: B batch, M rows (B, or 2B for real and fake images together), Z latent dim, P pixels, K and N a layer's
 * inputs and outputs. All arrays are row-major and contiguous.
 */
#include "layer.h"

#ifdef _OPENMP
#include <omp.h>
static size_t this_thread(void) { return (size_t)omp_get_thread_num(); }
#else
static size_t this_thread(void) { return 0; }
#endif

typedef struct {
    float slope, epsilon, momentum; /* LeakyReLU's slope below zero; BatchNorm's epsilon and momentum */
    int threads;
    Products products;
    size_t block;     /* elements of the largest block: COLUMNS times its other side, rounded up to pairs */
    float *blocks;    /* [threads, block]: room for each thread's block of columns, transposed or contiguous */
    uint16_t *copies; /* [threads, block]: the same in bfloat16 */
} Options;

/* The calling thread's part of `blocks` and of `copies` */
static float *own_block(const Options *o) { return o->blocks + this_thread() * o->block; }
static uint16_t *own_copy(const Options *o) { return o->copies + this_thread() * o->block; }

/* The forward pass of a network: x [M, inputs of the first layer] -> output [M, outputs of the last layer]. Each layer
 * keeps its input and output for the backward pass. */
static float *forward(const Options *o, Layer *layers, size_t count, size_t M, const float *x) {
    const Products *p = &o->products;
    for (Layer *l = layers; l < layers + count; l++) {
        const size_t K = l->shape.inputs, N = l->shape.outputs;
        l->x = x;
        const void *X = left(p, M, K, x, l->x_left);
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
        for (size_t from = 0; from < N; from += COLUMNS) {
            /* These columns of y = x W' need these rows of W, transposed. */
            const size_t width = width_of_block(N, from);
            float *W_T = own_block(o);
            transpose(width, K, l->W + from * K, K, W_T);
            product(p, M, width, K, X, right(p, K, width, W_T, own_copy(o)), false, l->y + from, N);
            /* y = activation(BatchNorm(y + b)) */
            forward_columns(l, M, from, o->slope, o->epsilon, o->momentum);
        }
        x = l->y;
    }
    return layers[count - 1].y;
}

/* The backward pass of a network from dy = dloss/doutput [M, outputs of the last layer]. For each layer, from the last
 * to the first:
 *   dy becomes dloss/d(x W' + b), see backward_columns;  dW = dy' x;  dx = dy W, which is the dy of the layer before
 * The gradients of the parameters go where the layers point. `dy` and `other` are two buffers, each with room for M
 * rows of the widest layer. They exchange their roles after each layer. If `want_dx`, the one that holds dloss/dx [M,
 * inputs of the first layer] is returned, else NULL. */
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
            if (!l->dW) continue; /* the network is not being trained in this step */
            /* These rows of dW = dy' x need these columns of dy, transposed. */
            float *dy_T = own_block(o);
            transpose(M, width, dy + from, N, dy_T);
            const void *DY_T = left(p, width, M, dy_T, own_copy(o));
            product(p, width, K, M, DY_T, X, false, l->dW + from * K, K);
        }
        if (k == 0 && !want_dx) return NULL;
        const void *DY = left(p, M, N, dy, l->dy_left);
#pragma omp parallel for schedule(dynamic) num_threads(o->threads)
        for (size_t from = 0; from < K; from += COLUMNS) {
            /* These columns of dx = dy W need these columns of W, made contiguous. */
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

/* softplus(x) = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). This form neither overflows nor loses small digits. */
static inline float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

/* Return the mean of the binary cross entropy (BCE) of sigmoid(logits) [count] with `label`, 1 or 0, and write its
 * gradient by the logits. With l a logit and p = sigmoid(l):
 *   BCE(p, 1) = -log p = softplus(-l),  BCE(p, 0) = -log(1 - p) = softplus(l),  dBCE(p, label)/dl = p - label
 */
static float binary_cross_entropy(size_t count, float label, const float *logits, float *gradient) {
    double sum = 0.0;
    for (size_t j = 0; j < count; j++) {
        sum += softplus(label > 0.5f ? -logits[j] : logits[j]);
        gradient[j] = (sigmoid(logits[j]) - label) / (float)count;
    }
    return (float)(sum / (double)count);
}

/* What `gan_gradients` takes. It computes one network's loss, and its gradients by this network's parameters, from
 * latents z [B, Z]. With `real` images [B, P] these are the discriminator's, and the loss is
 *   BCE(D(real), 1) + BCE(D(G(z)), 0)
 * If `real` is NULL they are the generator's, and the loss is
 *   BCE(D(G(z)), 1)
 * In both cases G's running means and variances move. */
typedef struct {
    size_t B;
    const float *real, *z;
    Network generator, discriminator;
    float slope, epsilon, momentum, loss; /* loss is the result */
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
    /* only the network that is trained in this step gets gradients */
    read_layers(&a->generator, a->real ? NULL : a->gradients, G);
    read_layers(&a->discriminator, a->real ? a->gradients : NULL, D);

    /* Check that each layer's inputs are the outputs of the layer before, where D's first layer follows G's last. Find
     * the widest layer. */
    size_t widest = G[0].shape.inputs, before = widest;
    for (size_t k = 0; k < g_count + d_count; k++) {
        const Shape *shape = k < g_count ? &G[k].shape : &D[k - g_count].shape;
        if (shape->inputs != before) return MISFIT;
        before = shape->outputs;
        widest = before > widest ? before : widest;
    }
    if (before != 1) return MISFIT; /* D's output is one logit */

    const size_t B = a->B, M = a->real ? 2 * B : B, P = D[0].shape.inputs;
    const bool bf16 = a->products.bf16 != NULL;
    Options o = {a->slope, a->epsilon, a->momentum, (int)a->threads, a->products, 0, NULL, NULL};
    o.block = COLUMNS * ((M > widest ? M : widest) + 1);
    /* count the bytes of the arrays, allocate them, and take the arrays */
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

    /* fake = G(z), then the logits of D */
    const float *fake = forward(&o, G, g_count, B, a->z), *x = fake;
    if (a->real) { /* real and fake images go through D as one batch; this is exact, since D has no BatchNorm */
        memcpy(images, a->real, B * P * sizeof(float));
        memcpy(images + B * P, fake, B * P * sizeof(float));
        x = images;
    }
    const float *logits = forward(&o, D, d_count, M, x);
    /* The first B logits get label 1: they are of real images or, in the generator's step, of fake ones. The second B
     * get label 0. `dy` is dloss/dlogits. */
    a->loss = binary_cross_entropy(B, 1.0f, logits, dy);
    if (a->real) a->loss += binary_cross_entropy(B, 0.0f, logits + B, dy + B);
    /* Back through D, and in the generator's step on through G, from dfake = dloss/dG(z) */
    float *dfake = backward(&o, D, d_count, M, dy, other, !a->real);
    if (!a->real) backward(&o, G, g_count, B, dfake, dfake == dy ? other : dy, false);
    if (bf16) { /* each thread gives its matrix registers back */
#pragma omp parallel num_threads(o.threads)
        a->products.release();
    }
    free(block);
    return DONE;
}
