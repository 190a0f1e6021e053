/* The gradients of one training step of the GAN's generator or discriminator on a CPU.
 *
 * In C for the reason that sequence.c gives. The products, and what follows them layer by layer, use as many threads as
 * PyTorch was told to (it tells BLAS and OpenMP).
 *
 * Shapes, all arrays row-major and contiguous: B batch, M rows (B, or 2B for real and fake images together), Z latent
 * dim, P pixels. The losses and the networks are those of models/gan.py; a network is a chain of layers
 *   y = activation(BatchNorm(x W' + b)),  W [outputs, inputs], with BatchNorm or without.
 */
#include "common.h"

enum { NO_ACTIVATION, LEAKY_RELU, TANH }; /* by their index in ACTIVATIONS of __init__.py */

#define COLUMNS 64 /* a piece of work for one thread; sums over rows are whole in it, so threads change no number */

typedef struct {
    int inputs, outputs, norm, activation;
    float *W, *b, *gamma, *beta;     /* parameters, the last two of BatchNorm */
    float *dW, *db, *dgamma, *dbeta; /* their gradients */
    float *running_mean, *running_variance;
    const float *x;                 /* [M, inputs] */
    float *y, *normalised;          /* [M, outputs]: output; (x W' + b - mean) / deviation */
    float *inverse;                 /* [outputs]: 1 / deviation */
    uint16_t *x_copy, *W_copy, *dy_copy; /* as bfloat16 */
} Layer;

typedef struct {
    int bf16;
    float slope, epsilon, momentum; /* of LeakyReLU; of BatchNorm */
    Gemm *gemm;
} Options;

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
            l->x_copy = take(memory, M * inputs, 2), l->W_copy = take(memory, inputs * outputs, 2);
            l->dy_copy = take(memory, M * outputs, 2);
        }
    }
}

/* What follows a layer's product x W', for the columns from `from` on, at most COLUMNS: no column needs another. */
static void forward_columns(const Options *o, const Layer *l, int M, int from) {
    const int N = l->outputs, width = N - from < COLUMNS ? N - from : COLUMNS;
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
    const int N = l->outputs, width = N - from < COLUMNS ? N - from : COLUMNS;
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
    for (Layer *l = layers; l < layers + count; l++) {
        l->x = x;
        const void *X = operand(o->bf16, (size_t)M * l->inputs, x, l->x_copy);
        const void *W = operand(o->bf16, (size_t)l->outputs * l->inputs, l->W, l->W_copy);
        product(o->gemm, 'N', 'T', M, l->outputs, l->inputs, X, W, 0.0f, l->y);
#pragma omp parallel for
        for (int from = 0; from < l->outputs; from += COLUMNS) forward_columns(o, l, M, from);
        x = l->y;
    }
    return layers[count - 1].y;
}

/* Back through a network from dy = dloss/doutput, which is overwritten. Gradients go where the layers point; dloss/dx
 * [M, inputs], if wanted, is in one of the two buffers (each holds M times the widest layer) and returned. */
static float *backward(const Options *o, Layer *layers, int count, int M, float *dy, float *other, int want_dx) {
    for (Layer *l = layers + count - 1; l >= layers; l--) {
#pragma omp parallel for
        for (int from = 0; from < l->outputs; from += COLUMNS) backward_columns(o, l, M, from, dy);
        const void *DY = operand(o->bf16, (size_t)M * l->outputs, dy, l->dy_copy);
        const void *X = o->bf16 ? (const void *)l->x_copy : l->x, *W = o->bf16 ? (const void *)l->W_copy : l->W;
        if (l->dW) product(o->gemm, 'T', 'N', l->outputs, l->inputs, M, DY, X, 0.0f, l->dW);
        if (l == layers && !want_dx) return NULL;
        product(o->gemm, 'N', 'N', M, l->inputs, l->outputs, DY, W, 0.0f, other);
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
int gan_gradients(int bf16, int B, const float *real, const float *z, int g_count, const int *g_shapes,
                  float *g_parameters, float *g_running, int d_count, const int *d_shapes, float *d_parameters,
                  float *d_running, float slope, float epsilon, float momentum, float *gradients,
                  float *loss, Gemm *gemm) {
    const Options o = {bf16, slope, epsilon, momentum, gemm};
    const int M = real ? 2 * B : B;
    Layer G[g_count], D[d_count];
    read_layers(g_shapes, g_count, g_parameters, real ? NULL : gradients, g_running, G);
    read_layers(d_shapes, d_count, d_parameters, real ? gradients : NULL, d_running, D);
    int widest = 0;
    for (int k = 0; k < g_count; k++) widest = G[k].outputs > widest ? G[k].outputs : widest;
    for (int k = 0; k < d_count; k++) widest = D[k].inputs > widest ? D[k].inputs : widest;
    const size_t P = D[0].inputs;
    float *images = NULL, *dy = NULL, *other = NULL;
    Memory memory = {0};
    for (int counted = 0; counted < 2; counted++) {
        if (counted && !(memory.start = aligned_alloc(64, memory.used))) return 1;
        memory.used = 0;
        images = take(&memory, M * P, sizeof(float));
        dy = take(&memory, (size_t)M * widest, sizeof(float)), other = take(&memory, (size_t)M * widest, sizeof(float));
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
    free(memory.start);
    return 0;
}
