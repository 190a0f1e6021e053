/* One layer of the GAN's networks, forward and back, but for its products. Shapes: see gan.c. */
#pragma once

#include "common.h"

enum { NO_ACTIVATION, LEAKY_RELU, TANH }; /* by their index in ACTIVATIONS of gan.py */

#define COLUMNS 64 /* in a block */

typedef struct {
    size_t inputs, outputs, norm, activation; /* norm: whether there is BatchNorm */
} Shape;

/* As gan.py describes it: its layers, its parameters as parameters() orders them, its running means and variances by
 * layer, both flat */
typedef struct {
    size_t count;
    const Shape *shapes;
    float *parameters, *running;
} Network;

typedef struct {
    Shape shape;
    float *W, *b, *gamma, *beta;     /* parameters, the last two of BatchNorm */
    float *dW, *db, *dgamma, *dbeta; /* their gradients, or NULL */
    float *running_mean, *running_variance;
    const float *x;                       /* [M, inputs] */
    float *y, *normalised;                /* [M, outputs]: output; (x W' + b - mean) / deviation */
    float *inverse;                       /* [outputs]: 1 / deviation */
    uint16_t *x_left, *x_right, *dy_left; /* as bfloat16, as `left` and `right` give it */
} Layer;

static size_t width_of_block(size_t columns, size_t from) {
    return columns - from < COLUMNS ? columns - from : COLUMNS;
}

/* A network's layers: where the values of each begin; `gradients` are flat as the parameters, and may be NULL. */
static void read_layers(const Network *network, float *gradients, Layer *layers) {
    float *parameters = network->parameters, *running = network->running;
    for (size_t k = 0; k < network->count; k++) {
        Layer *l = layers + k;
        *l = (Layer){.shape = network->shapes[k]};
        const size_t outputs = l->shape.outputs, weights = l->shape.inputs * outputs;
        const size_t all = weights + outputs * (l->shape.norm ? 3 : 1);
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

/* What a pass of M rows needs */
static void lay_out(Layer *layers, size_t count, size_t M, bool bf16, Memory *memory) {
    for (Layer *l = layers; l < layers + count; l++) {
        const size_t inputs = l->shape.inputs, outputs = l->shape.outputs;
        l->y = take(memory, sizeof(float), M, outputs);
        if (l->shape.norm) {
            l->normalised = take(memory, sizeof(float), M, outputs);
            l->inverse = take(memory, sizeof(float), outputs, 1);
        }
        if (bf16) { /* rounded up to whole pairs, of columns on the left, of rows on the right */
            l->x_left = take(memory, 2, M, inputs + 1), l->x_right = take(memory, 2, M + 1, inputs);
            l->dy_left = take(memory, 2, M, outputs + 1);
        }
    }
}

/* What follows a layer's product x W', for the columns from `from` on, at most COLUMNS: no column needs another. */
static void forward_columns(const Layer *l, size_t M, size_t from, float slope, float epsilon, float momentum) {
    const size_t N = l->shape.outputs, width = width_of_block(N, from);
    const float count = (float)M;
    float mean[COLUMNS] = {0}, variance[COLUMNS] = {0}, inverse[COLUMNS];
    /* y += b, and its sum over the batch */
    for (size_t m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        for (size_t j = 0; j < width; j++) mean[j] += y[j] += l->b[from + j];
    }
    if (l->shape.norm) { /* in training mode: by the batch's mean and variance, which move the running ones */
        for (size_t j = 0; j < width; j++) mean[j] /= count;
        for (size_t m = 0; m < M; m++) {
            const float *restrict y = l->y + m * N + from;
            for (size_t j = 0; j < width; j++) variance[j] += (y[j] - mean[j]) * (y[j] - mean[j]);
        }
        /* sums of squares until here: divided by M to normalise, by M - 1 for the running variance */
        for (size_t j = 0; j < width; j++) {
            l->inverse[from + j] = inverse[j] = 1.0f / sqrtf(variance[j] / count + epsilon);
            l->running_mean[from + j] += momentum * (mean[j] - l->running_mean[from + j]);
            l->running_variance[from + j] += momentum * (variance[j] / (count - 1.0f) - l->running_variance[from + j]);
        }
        /* y = gamma (y - mean) / deviation + beta */
        for (size_t m = 0; m < M; m++) {
            float *restrict y = l->y + m * N + from, *restrict normalised = l->normalised + m * N + from;
            for (size_t j = 0; j < width; j++) {
                normalised[j] = (y[j] - mean[j]) * inverse[j];
                y[j] = normalised[j] * l->gamma[from + j] + l->beta[from + j];
            }
        }
    }
    for (size_t m = 0; m < M; m++) {
        float *restrict y = l->y + m * N + from;
        if (l->shape.activation == LEAKY_RELU) /* by a factor: as a choice of the result it is a branch to gcc */
            for (size_t j = 0; j < width; j++) y[j] *= y[j] > 0.0f ? 1.0f : slope;
        else if (l->shape.activation == TANH)
            for (size_t j = 0; j < width; j++) y[j] = hyperbolic_tangent(y[j]);
    }
}

/* From dy [M, N] = dloss/dy of a layer to dloss/d(x W' + b), in place, and to the gradients of b, gamma and beta, if
 * wanted; the same columns */
static void backward_columns(const Layer *l, size_t M, size_t from, float slope, float *all_dy) {
    const size_t N = l->shape.outputs, width = width_of_block(N, from);
    const float count = (float)M;
    float sum[COLUMNS] = {0}, along[COLUMNS] = {0}; /* over the rows: of dy, and of dy * normalised */
    /* back through the activation */
    for (size_t m = 0; m < M; m++) {
        float *restrict dy = all_dy + m * N + from;
        const float *restrict y = l->y + m * N + from;
        if (l->shape.activation == LEAKY_RELU) /* its slope follows from the sign of its result */
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
        if (l->dW) {
            memcpy(l->dgamma + from, along, width * sizeof(float));
            memcpy(l->dbeta + from, sum, width * sizeof(float));
        }
        /* back through BatchNorm: less what a change of the batch's mean and of its variance would take back,
         * gamma / deviation (dy - mean(dy) - normalised mean(dy * normalised)) */
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
                sum[j] += dy[j]; /* zero but for rounding: BatchNorm subtracts b again */
            }
        }
    }
    if (l->dW) memcpy(l->db + from, sum, width * sizeof(float));
}
