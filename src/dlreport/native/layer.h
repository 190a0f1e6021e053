/* One layer of the GAN's networks, forward and backward, without its matrix products, which are in gan.c. gan.c also
 * explains the shapes. In comments dW is dloss/dW, and W' is W transposed. */
#pragma once

#include "common.h"

enum { NO_ACTIVATION, LEAKY_RELU, TANH }; /* each is an index in ACTIVATIONS of gan.py */

#define COLUMNS 64 /* of a block, which is the part of a layer that one thread computes at a time */

typedef struct {
    size_t inputs, outputs, norm, activation; /* norm: 1 with BatchNorm, 0 without */
} Shape;

/* A network as gan.py describes it: the shapes of its layers, and two flat arrays. They hold its parameters, in the
 * order of parameters(), and BatchNorm's running mean and variance, layer by layer. */
typedef struct {
    size_t count;
    const Shape *shapes;
    float *parameters, *running;
} Network;

typedef struct {
    Shape shape;
    float *W, *b, *gamma, *beta;     /* parameters; gamma and beta are BatchNorm's */
    float *dW, *db, *dgamma, *dbeta; /* the parameters' gradients, or NULL */
    float *running_mean, *running_variance;
    const float *x;                       /* [M, inputs] */
    float *y, *normalised;                /* [M, outputs]: output; (x W' + b - mean) / deviation */
    float *inverse;                       /* [outputs]: 1 / deviation */
    uint16_t *x_left, *x_right, *dy_left; /* copies in bfloat16, as `left` and `right` write them */
} Layer;

/* The number of columns in the block that begins at `from` */
static size_t width_of_block(size_t columns, size_t from) {
    return columns - from < COLUMNS ? columns - from : COLUMNS;
}

/* Write to `layers` the shape of each layer and where its values begin in the flat arrays. `gradients` has the order of
 * the parameters, and may be NULL. */
static void read_layers(const Network *network, float *gradients, Layer *layers) {
    float *parameters = network->parameters, *running = network->running;
    for (size_t k = 0; k < network->count; k++) {
        Layer *l = layers + k;
        *l = (Layer){.shape = network->shapes[k]};
        const size_t outputs = l->shape.outputs, weights = l->shape.inputs * outputs;
        const size_t all = weights + outputs * (l->shape.norm ? 3 : 1);
        /* in the order of parameters(): W, b, and with BatchNorm gamma, beta */
        l->W = parameters, l->b = parameters + weights;
        if (l->shape.norm) l->gamma = l->b + outputs, l->beta = l->gamma + outputs;
        parameters += all;
        if (gradients) {
            l->dW = gradients, l->db = gradients + weights;
            if (l->shape.norm) l->dgamma = l->db + outputs, l->dbeta = l->dgamma + outputs;
            gradients += all;
        }
        if (l->shape.norm) {
            l->running_mean = running, l->running_variance = running + outputs;
            running += 2 * outputs;
        }
    }
}

/* Take from memory the arrays that a forward and a backward pass of M rows need. */
static void lay_out(Layer *layers, size_t count, size_t M, bool bf16, Memory *memory) {
    for (Layer *l = layers; l < layers + count; l++) {
        const size_t inputs = l->shape.inputs, outputs = l->shape.outputs;
        l->y = take(memory, sizeof(float), M, outputs);
        if (l->shape.norm) {
            l->normalised = take(memory, sizeof(float), M, outputs);
            l->inverse = take(memory, sizeof(float), outputs, 1);
        }
        if (bf16) { /* with room for pairs: of columns in a left matrix, of rows in a right one */
            l->x_left = take(memory, 2, M, inputs + 1), l->x_right = take(memory, 2, M + 1, inputs);
            l->dy_left = take(memory, 2, M, outputs + 1);
        }
    }
}

/* The rest of a layer's forward pass, for the block of columns that begins at `from`. l->y comes as x W' and leaves as
 * the layer's output. Blocks can be computed in any order, since no column needs another. For each column:
 *   y += b
 *   with BatchNorm, in training mode, over the M rows of the batch:
 *     mean = sum(y) / M,  variance = sum((y - mean)^2) / M,  deviation = sqrt(variance + epsilon)
 *     normalised = (y - mean) / deviation,  y = gamma normalised + beta
 *   y = activation(y)
 */
static void forward_columns(const Layer *l, size_t M, size_t from, float slope, float epsilon, float momentum) {
    const size_t N = l->shape.outputs, width = width_of_block(N, from);
    const float count = (float)M;
    float mean[COLUMNS] = {0}, variance[COLUMNS] = {0}, inverse[COLUMNS];
    /* y += b; `mean` first holds the sum of y over the batch */
    for (size_t m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        for (size_t j = 0; j < width; j++) mean[j] += y[j] += l->b[from + j];
    }
    if (l->shape.norm) {
        for (size_t j = 0; j < width; j++) mean[j] /= count;
        for (size_t m = 0; m < M; m++) {
            const float *restrict y = l->y + m * N + from;
            for (size_t j = 0; j < width; j++) variance[j] += (y[j] - mean[j]) * (y[j] - mean[j]);
        }
        /* `variance` holds sum((y - mean)^2). Divided by M it normalises. Divided by M - 1, the unbiased estimate, it
         * moves the running variance: running += momentum (batch - running). */
        for (size_t j = 0; j < width; j++) {
            l->inverse[from + j] = inverse[j] = 1.0f / sqrtf(variance[j] / count + epsilon);
            l->running_mean[from + j] += momentum * (mean[j] - l->running_mean[from + j]);
            l->running_variance[from + j] += momentum * (variance[j] / (count - 1.0f) - l->running_variance[from + j]);
        }
        /* normalised = (y - mean) / deviation,  y = gamma normalised + beta */
        for (size_t m = 0; m < M; m++) {
            float *restrict y = l->y + m * N + from, *restrict normalised = l->normalised + m * N + from;
            for (size_t j = 0; j < width; j++) {
                normalised[j] = (y[j] - mean[j]) * inverse[j];
                y[j] = normalised[j] * l->gamma[from + j] + l->beta[from + j];
            }
        }
    }
    /* LeakyReLU(y) = y if y > 0, else slope y. It is written as a factor, since gcc makes a branch of a choice between
     * two results. */
    for (size_t m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        if (l->shape.activation == LEAKY_RELU)
            for (size_t j = 0; j < width; j++) y[j] *= y[j] > 0.0f ? 1.0f : slope;
        else if (l->shape.activation == TANH)
            for (size_t j = 0; j < width; j++) y[j] = hyperbolic_tangent(y[j]);
    }
}

/* The backward pass of `forward_columns`, for the same block of columns. dy [M, N] comes as dloss/dy of the layer and
 * leaves as dloss/d(x W' + b). If the layer has gradients, those of b, gamma and beta are written too. */
static void backward_columns(const Layer *l, size_t M, size_t from, float slope, float *all_dy) {
    const size_t N = l->shape.outputs, width = width_of_block(N, from);
    const float count = (float)M;
    float sum[COLUMNS] = {0}, along[COLUMNS] = {0}; /* sums over the rows: of dy, and of dy normalised */
    /* Back through the activation: dy *= its derivative. LeakyReLU keeps the sign, so its output's sign shows which
     * slope it had. The derivative of y = tanh is 1 - y^2. */
    for (size_t m = 0; m < M; m++) {
        float *restrict dy = all_dy + m * N + from;
        const float *restrict y = l->y + m * N + from;
        if (l->shape.activation == LEAKY_RELU)
            for (size_t j = 0; j < width; j++) dy[j] *= y[j] > 0.0f ? 1.0f : slope;
        else if (l->shape.activation == TANH)
            for (size_t j = 0; j < width; j++) dy[j] *= 1.0f - y[j] * y[j];
        for (size_t j = 0; j < width; j++) sum[j] += dy[j];
    }
    if (l->shape.norm) {
        for (size_t m = 0; m < M; m++) {
            const float *restrict dy = all_dy + m * N + from, *restrict normalised = l->normalised + m * N + from;
            for (size_t j = 0; j < width; j++) along[j] += dy[j] * normalised[j];
        }
        if (l->dW) { /* dgamma = sum(dy normalised),  dbeta = sum(dy) */
            memcpy(l->dgamma + from, along, width * sizeof(float));
            memcpy(l->dbeta + from, sum, width * sizeof(float));
        }
        /* Back through BatchNorm:
         *   dy = gamma / deviation (dy - mean(dy) - normalised mean(dy normalised))
         * The second term is there because a change of one row also moves the batch's mean, the third because it moves
         * the batch's variance. */
        float mean[COLUMNS], mean_along[COLUMNS], scale[COLUMNS];
        for (size_t j = 0; j < width; j++) {
            mean[j] = sum[j] / count, mean_along[j] = along[j] / count;
            scale[j] = l->gamma[from + j] * l->inverse[from + j];
            sum[j] = 0.0f;
        }
        for (size_t m = 0; m < M; m++) {
            float *restrict dy = all_dy + m * N + from;
            const float *restrict normalised = l->normalised + m * N + from;
            for (size_t j = 0; j < width; j++) {
                dy[j] = scale[j] * (dy[j] - mean[j] - normalised[j] * mean_along[j]);
                sum[j] += dy[j]; /* db is zero but for rounding: BatchNorm subtracts b again */
            }
        }
    }
    /* db = the sum over the rows of dloss/d(x W' + b) */
    if (l->dW) memcpy(l->db + from, sum, width * sizeof(float));
}
