/* The gradients of one training step of the GAN's generator or discriminator on a CPU.
 *
 * In C for the reason that sequence.c gives. Each layer's columns are shared among as many threads as PyTorch was told
 * to use (it tells OpenMP). A block of columns is one thread's from the product on, so threads change no number.
 *
 * Shapes, all arrays row-major and contiguous: B batch, M rows (B, or 2B for real and fake images together), Z latent
 * dim, P pixels. The losses and the networks are those of models/gan.py; a network is a chain of layers
 *   y = activation(BatchNorm(x W' + b)),  W [outputs, inputs], with BatchNorm or without.
 */
#include "common.h"

#ifdef _OPENMP
#include <omp.h>
#else
static int omp_get_thread_num(void) { return 0; }
static int omp_get_max_threads(void) { return 1; }
#endif

enum { NO_ACTIVATION, LEAKY_RELU, TANH }; /* by their index in ACTIVATIONS of __init__.py */

#define COLUMNS 64 /* in a block */

typedef struct {
    int inputs, outputs, norm, activation;
    float *W, *b, *gamma, *beta;     /* parameters, the last two of BatchNorm */
    float *dW, *db, *dgamma, *dbeta; /* their gradients */
    float *running_mean, *running_variance;
    const float *x;                       /* [M, inputs] */
    float *y, *normalised;                /* [M, outputs]: output; (x W' + b - mean) / deviation */
    float *inverse;                       /* [outputs]: 1 / deviation */
    uint16_t *x_left, *x_right, *dy_left; /* as bfloat16, as `left` and `right` give it */
} Layer;

typedef struct {
    float slope, epsilon, momentum; /* of LeakyReLU; of BatchNorm */
    Products products;
    size_t block;     /* elements of the largest, its shorter or longer side rounded up to pairs */
    float *blocks;    /* [threads, block]: room for a block of columns, contiguous or transposed */
    uint16_t *copies; /* [threads, block]: the same as bfloat16 */
} Options;

static float *own_block(const Options *o) { return o->blocks + omp_get_thread_num() * o->block; }
static uint16_t *own_copy(const Options *o) { return o->copies + omp_get_thread_num() * o->block; }
static int width_of_block(int columns, int from) { return columns - from < COLUMNS ? columns - from : COLUMNS; }

/* Set up the layers of a network from their shapes [count, 4] (inputs, outputs, norm, activation) and flat arrays: its
 * parameters and gradients (may be NULL) as parameters() orders them, its running means and variances by layer. */
static void read_layers(const int *shapes, int count, float *parameters, float *gradients, float *running,
                        Layer *layers) {
    for (int k = 0; k < count; k++, shapes += 4) {
        Layer *l = layers + k;
        const int inputs = shapes[0], outputs = shapes[1], norm = shapes[2];
        *l = (Layer){.inputs = inputs, .outputs = outputs, .norm = norm, .activation = shapes[3]};
        const size_t weights = (size_t)inputs * outputs;
        l->W = parameters, l->b = parameters + weights, l->gamma = l->b + outputs, l->beta = l->gamma + outputs;
        parameters += weights + outputs * (norm ? 3 : 1);
        if (gradients) {
            l->dW = gradients, l->db = gradients + weights, l->dgamma = l->db + outputs, l->dbeta = l->dgamma + outputs;
            gradients += weights + outputs * (norm ? 3 : 1);
        }
        if (norm) {
            l->running_mean = running, l->running_variance = running + outputs;
            running += 2 * outputs;
        }
    }
}

/* What a pass of M rows needs */
static void lay_out(Layer *layers, int count, size_t M, int bf16, Memory *memory) {
    for (Layer *l = layers; l < layers + count; l++) {
        const size_t inputs = l->inputs, outputs = l->outputs;
        l->y = take(memory, M * outputs, sizeof(float));
        if (l->norm) {
            l->normalised = take(memory, M * outputs, sizeof(float));
            l->inverse = take(memory, outputs, sizeof(float));
        }
        if (bf16) {
            l->x_left = take(memory, M * (inputs + 1), 2), l->x_right = take(memory, (M + 1) * inputs, 2);
            l->dy_left = take(memory, M * (outputs + 1), 2);
        }
    }
}

/* What follows a layer's product x W', for the columns from `from` on, at most COLUMNS: no column needs another. */
static void forward_columns(const Options *o, const Layer *l, int M, int from) {
    const int N = l->outputs, width = width_of_block(N, from);
    float mean[COLUMNS] = {0}, variance[COLUMNS] = {0}, inverse[COLUMNS];
    for (int m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        for (int j = 0; j < width; j++) mean[j] += y[j] += l->b[from + j];
    }
    if (l->norm) { /* in training mode: by the batch's mean and variance, which move the running ones */
        for (int j = 0; j < width; j++) mean[j] /= M;
        for (int m = 0; m < M; m++) {
            const float *restrict y = l->y + m * N + from;
            for (int j = 0; j < width; j++) variance[j] += (y[j] - mean[j]) * (y[j] - mean[j]);
        }
        for (int j = 0; j < width; j++) {
            l->inverse[from + j] = inverse[j] = 1.0f / sqrtf(variance[j] / M + o->epsilon);
            l->running_mean[from + j] += o->momentum * (mean[j] - l->running_mean[from + j]);
            l->running_variance[from + j] += o->momentum * (variance[j] / (M - 1) - l->running_variance[from + j]);
        }
        for (int m = 0; m < M; m++) {
            float *restrict y = l->y + m * N + from, *restrict normalised = l->normalised + m * N + from;
            for (int j = 0; j < width; j++) {
                normalised[j] = (y[j] - mean[j]) * inverse[j];
                y[j] = normalised[j] * l->gamma[from + j] + l->beta[from + j];
            }
        }
    }
    const float slope = o->slope;
    for (int m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        if (l->activation == LEAKY_RELU)
            for (int j = 0; j < width; j++) y[j] *= y[j] > 0.0f ? 1.0f : slope;
        else if (l->activation == TANH)
            for (int j = 0; j < width; j++) y[j] = hyperbolic_tangent(y[j]);
    }
}

/* From dy [M, N] = dloss/dy of a layer to dloss/d(x W' + b), in place, and to the gradients of b, gamma and beta, if
 * wanted; the same columns */
static void backward_columns(const Options *o, const Layer *l, int M, int from, float *all_dy) {
    const int N = l->outputs, width = width_of_block(N, from);
    const float slope = o->slope;
    float sum[COLUMNS] = {0}, along[COLUMNS] = {0}; /* over the rows: of dy, and of dy * normalised */
    for (int m = 0; m < M; m++) {
        float *restrict dy = all_dy + m * N + from;
        const float *restrict y = l->y + m * N + from;
        if (l->activation == LEAKY_RELU) /* its slope follows from the sign of its result */
            for (int j = 0; j < width; j++) dy[j] *= y[j] > 0.0f ? 1.0f : slope;
        else if (l->activation == TANH)
            for (int j = 0; j < width; j++) dy[j] *= 1.0f - y[j] * y[j];
        for (int j = 0; j < width; j++) sum[j] += dy[j];
    }
    if (l->norm) {
        for (int m = 0; m < M; m++) {
            const float *restrict dy = all_dy + m * N + from, *restrict normalised = l->normalised + m * N + from;
            for (int j = 0; j < width; j++) along[j] += dy[j] * normalised[j];
        }
        if (l->dW) {
            memcpy(l->dgamma + from, along, width * sizeof(float));
            memcpy(l->dbeta + from, sum, width * sizeof(float));
        }
        float mean[COLUMNS], mean_along[COLUMNS], scale[COLUMNS];
        for (int j = 0; j < width; j++) {
            mean[j] = sum[j] / M, mean_along[j] = along[j] / M;
            scale[j] = l->gamma[from + j] * l->inverse[from + j];
            sum[j] = 0.0f;
        }
        for (int m = 0; m < M; m++) {
            float *restrict dy = all_dy + m * N + from;
            const float *restrict normalised = l->normalised + m * N + from;
            for (int j = 0; j < width; j++) {
                dy[j] = scale[j] * (dy[j] - mean[j] - normalised[j] * mean_along[j]);
                sum[j] += dy[j]; /* zero but for rounding: BatchNorm subtracts b again */
            }
        }
    }
    if (l->dW) memcpy(l->db + from, sum, width * sizeof(float));
}

/* x [M, inputs of the first layer] -> output [M, outputs of the last] */
static float *forward(const Options *o, Layer *layers, int count, int M, const float *x) {
    const Products *p = &o->products;
    for (Layer *l = layers; l < layers + count; l++) {
        const int K = l->inputs, N = l->outputs;
        l->x = x;
        const void *X = left(p, M, K, x, l->x_left);
#pragma omp parallel for schedule(dynamic)
        for (int from = 0; from < N; from += COLUMNS) {
            const int width = width_of_block(N, from);
            float *W_T = own_block(o);
            transpose(width, K, l->W + (size_t)from * K, K, W_T);
            product(p, M, width, K, X, right(p, K, width, W_T, own_copy(o)), false, l->y + from, N);
            forward_columns(o, l, M, from);
        }
        x = l->y;
    }
    return layers[count - 1].y;
}

/* Back through a network from dy = dloss/doutput, which is overwritten. Gradients go where the layers point; dloss/dx
 * [M, inputs], if wanted, is in one of the two buffers (each holds M times the widest layer) and returned. */
static float *backward(const Options *o, Layer *layers, int count, int M, float *dy, float *other, int want_dx) {
    const Products *p = &o->products;
    for (Layer *l = layers + count - 1; l >= layers; l--) {
        const int K = l->inputs, N = l->outputs;
        const void *X = l->dW ? right(p, M, K, l->x, l->x_right) : NULL;
#pragma omp parallel for schedule(dynamic)
        for (int from = 0; from < N; from += COLUMNS) {
            const int width = width_of_block(N, from);
            backward_columns(o, l, M, from, dy);
            if (!l->dW) continue;
            float *dy_T = own_block(o);
            transpose(M, width, dy + from, N, dy_T);
            const void *DY_T = left(p, width, M, dy_T, own_copy(o));
            product(p, width, K, M, DY_T, X, false, l->dW + (size_t)from * K, K);
        }
        if (l == layers && !want_dx) return NULL;
        const void *DY = left(p, M, N, dy, l->dy_left);
#pragma omp parallel for schedule(dynamic)
        for (int from = 0; from < K; from += COLUMNS) {
            const int width = width_of_block(K, from);
            float *W = own_block(o);
            for (int n = 0; n < N; n++) memcpy(W + n * width, l->W + (size_t)n * K + from, width * sizeof(float));
            product(p, M, width, N, DY, right(p, N, width, W, own_copy(o)), false, other + from, K);
        }
        float *dx = other;
        other = dy, dy = dx;
    }
    return dy;
}

static inline float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

/* Mean of the binary cross entropy of sigmoid(logits) [count] with `label`, and its gradient by the logits */
static float binary_cross_entropy(int count, float label, const float *logits, float *gradient) {
    double sum = 0.0;
    for (int j = 0; j < count; j++) {
        sum += softplus(label > 0.5f ? -logits[j] : logits[j]);
        gradient[j] = (sigmoid(logits[j]) - label) / count;
    }
    return sum / count;
}

/* The loss and its gradients by one network's parameters. `real` [B, P]: the discriminator's, BCE(D(real), 1) +
 * BCE(D(G(z)), 0); NULL: the generator's, BCE(D(G(z)), 1). z [B, Z]; networks as read_layers wants them. G's running
 * means and variances move. Returns 0, or 1 if there is not enough memory. */
int gan_gradients(int B, const float *real, const float *z, int g_count, const int *g_shapes, float *g_parameters,
                  float *g_running, int d_count, const int *d_shapes, float *d_parameters, float *d_running,
                  float slope, float epsilon, float momentum, float *gradients, float *loss,
                  const Products *products) {
    Options o = {slope, epsilon, momentum, *products};
    const int M = real ? 2 * B : B, bf16 = products->bf16 != NULL;
    Layer G[g_count], D[d_count];
    read_layers(g_shapes, g_count, g_parameters, real ? NULL : gradients, g_running, G);
    read_layers(d_shapes, d_count, d_parameters, real ? gradients : NULL, d_running, D);
    int widest = G[0].inputs; /* of all layers: each one's inputs are the outputs of another, or z */
    for (int k = 0; k < g_count; k++) widest = G[k].outputs > widest ? G[k].outputs : widest;
    for (int k = 0; k < d_count; k++) widest = D[k].outputs > widest ? D[k].outputs : widest;
    const size_t P = D[0].inputs, threads = omp_get_max_threads();
    o.block = (size_t)COLUMNS * ((M > widest ? M : widest) + 1);
    float *images = NULL, *dy = NULL, *other = NULL;
    Memory memory = {0};
    void *block = NULL;
    for (int counted = 0; counted < 2; counted++) {
        if (counted && !(block = allocate(&memory))) return 1;
        images = take(&memory, M * P, sizeof(float));
        dy = take(&memory, (size_t)M * widest, sizeof(float)), other = take(&memory, (size_t)M * widest, sizeof(float));
        o.blocks = take(&memory, threads * o.block, sizeof(float));
        o.copies = take(&memory, bf16 ? threads * o.block : 0, 2);
        lay_out(G, g_count, B, bf16, &memory);
        lay_out(D, d_count, M, bf16, &memory);
    }

    const float *fake = forward(&o, G, g_count, B, z), *x = fake;
    if (real) { /* both through D at once: exact, since D has no BatchNorm */
        memcpy(images, real, B * P * sizeof(float));
        memcpy(images + B * P, fake, B * P * sizeof(float));
        x = images;
    }
    const float *logits = forward(&o, D, d_count, M, x);
    *loss = binary_cross_entropy(B, 1.0f, logits, dy);
    if (real) *loss += binary_cross_entropy(B, 0.0f, logits + B, dy + B);
    float *dfake = backward(&o, D, d_count, M, dy, other, !real);
    if (!real) backward(&o, G, g_count, B, dfake, dfake == dy ? other : dy, 0);
    if (bf16) {
#pragma omp parallel
        products->release(true);
    }
    free(block);
    return 0;
}
