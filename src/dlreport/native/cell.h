/* One time step of each model, forward and backward, and the loss. sequence.c explains the shapes. In comments dW is
 * dloss/dW, and W' is W transposed. */
#pragma once

#include "common.h"

typedef struct {
    size_t B, T, D, H, G, O;
    Products recurrent, output; /* with W_h, in fp32 or bf16; with W_p, always in fp32 */
} Net;

/* The parameters or their gradients. They lie one after the other, in the order of the model's parameters(). */
typedef struct {
    float *W_x, *W_h, *b, *W_p, *b_p; /* [D, G] [H, G] [G] [H, O] [O] */
} Parameters;

/* Return where each parameter begins in the flat array `all`. */
static Parameters split(const Net *net, float *all) {
    Parameters p;
    p.W_x = all;
    p.W_h = p.W_x + net->D * net->G;
    p.b = p.W_h + net->H * net->G;
    p.W_p = p.b + net->G;
    p.b_p = p.W_p + net->H * net->O;
    return p;
}

/* The inputs' part of one sequence's gate arguments: row [N] += x W_x + bias, with x [D], W_x [D, N], bias [N] */
static inline void add_input(size_t D, size_t N, const float *x, const float *W_x, const float *bias,
                             float *restrict row) {
    for (size_t j = 0; j < N; j++) row[j] += bias[j] + x[0] * W_x[j];
    for (size_t d = 1; d < D; d++)
        for (size_t j = 0; j < N; j++) row[j] += x[d] * W_x[d * N + j];
}

/* Backward pass of `add_input`. row [N] is dloss/drow. In row += x W_x + bias each bias[j] adds to row[j] alone, and
 * W_x[d, j] adds to it times x[d]. So
 *   d_bias [N] += row,  dW_x [D, N] += x' row */
static inline void add_input_gradient(size_t D, size_t N, const float *x, const float *row, float *restrict dW_x,
                                      float *restrict d_bias) {
    for (size_t j = 0; j < N; j++) {
        d_bias[j] += row[j];
        dW_x[j] += x[0] * row[j];
    }
    for (size_t d = 1; d < D; d++)
        for (size_t j = 0; j < N; j++) dW_x[d * N + j] += x[d] * row[j];
}

/* The type of a forward function: one time step of M sequences.
 *   On entry   z [M, G] = h_{t-1} W_h; c_before [M, H] = c_{t-1}, zeros at the first step
 *   On return  z holds what the backward function needs; c = c_t, tanh_c = tanh(c_t) and h = h_t, each [M, H]
 * A model without c uses h alone. */
typedef void Forward(const Net *net, size_t M, const float *x, const Parameters *p, const float *restrict c_before,
                     float *restrict z, float *restrict c, float *restrict tanh_c, float *restrict h);

/* The type of a backward function: back through the same time step.
 *   On entry   dh [M, H] = dloss/dh_t; dc [M, H] = the part of dloss/dc_t that comes by way of c_{t+1}; z as above
 *   On return  z = dloss/d(gate arguments); dc = the part of dloss/dc_{t-1} that comes by way of c_t
 * It also adds this step's part to the gradients of W_x and b. sequence.c computes dW_h and dloss/dh_{t-1} from z. */
typedef void Backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                      const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                      const float *restrict dh, float *restrict dc, float *restrict z);

/* VanillaRNN: h_t = tanh(z) with z = h_{t-1} W_h + x_t W_x + b */
static void vanilla_rnn_forward(const Net *net, size_t M, const float *x, const Parameters *p,
                                const float *restrict c_before, float *restrict z, float *restrict c,
                                float *restrict tanh_c, float *restrict h) {
    (void)c_before, (void)c, (void)tanh_c;
    const size_t D = net->D, H = net->H;
    for (size_t m = 0; m < M; m++, x += D, z += H, h += H) {
        add_input(D, H, x, p->W_x, p->b, z); /* z += x_t W_x + b */
        for (size_t j = 0; j < H; j++) h[j] = hyperbolic_tangent(z[j]);
    }
}

/* dz = dh (1 - h_t^2), since h_t = tanh(z) and the derivative of tanh is 1 - tanh^2 */
static void vanilla_rnn_backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                                 const float *restrict c_before, const float *restrict tanh_c,
                                 const float *restrict h, const float *restrict dh, float *restrict dc,
                                 float *restrict z) {
    (void)c_before, (void)tanh_c, (void)dc;
    const size_t D = net->D, H = net->H;
    for (size_t m = 0; m < M; m++, x += D, z += H, h += H, dh += H) {
        for (size_t j = 0; j < H; j++) z[j] = dh[j] * (1.0f - h[j] * h[j]);
        add_input_gradient(D, H, x, z, gradient->W_x, gradient->b); /* dW_x += x_t' dz,  db += dz */
    }
}

/* LSTM: z = h_{t-1} W_h + x_t W_x + b has four blocks of H columns, the arguments of the gates. The gates take their
 * place in z:
 *   i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o),  g = tanh(z_g)
 *   c_t = g i + c_{t-1} f,  h_t = tanh(c_t) o */
static void lstm_forward(const Net *net, size_t M, const float *x, const Parameters *p,
                         const float *restrict c_before, float *restrict z, float *restrict c, float *restrict tanh_c,
                         float *restrict h) {
    const size_t D = net->D, H = net->H, G = net->G;
    for (size_t m = 0; m < M; m++, x += D, z += G, h += H, c_before += H, c += H, tanh_c += H) {
        add_input(D, G, x, p->W_x, p->b, z); /* z += x_t W_x + b */
        /* the gates i, f, o are the first three blocks, g is the last */
        for (size_t j = 0; j < 3 * H; j++) z[j] = sigmoid(z[j]);
        for (size_t j = 3 * H; j < 4 * H; j++) z[j] = hyperbolic_tangent(z[j]);
        for (size_t j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            c[j] = g * i + c_before[j] * f;
            tanh_c[j] = hyperbolic_tangent(c[j]);
            h[j] = tanh_c[j] * o;
        }
    }
}

/* By the chain rule; the derivative of a sigmoid s is s (1 - s), that of a tanh is 1 - tanh^2. c_t acts on the loss by
 * way of c_{t+1} and of h_t, so
 *   d = dloss/dc_t = dc + dh o (1 - tanh(c_t)^2)
 *   dz_i = d g i (1 - i),  dz_f = d c_{t-1} f (1 - f),  dz_o = dh tanh(c_t) o (1 - o),  dz_g = d i (1 - g^2)
 *   dc for the step before = d f
 * z holds the gates, and dz takes their place. */
static void lstm_backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                          const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                          const float *restrict dh, float *restrict dc, float *restrict z) {
    (void)h;
    const size_t D = net->D, H = net->H, G = net->G;
    for (size_t m = 0; m < M; m++, x += D, z += G, dh += H, c_before += H, tanh_c += H, dc += H) {
        for (size_t j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            float d = dc[j] + dh[j] * o * (1.0f - tanh_c[j] * tanh_c[j]);
            z[j] = d * g * i * (1.0f - i);
            z[H + j] = d * c_before[j] * f * (1.0f - f);
            z[2 * H + j] = dh[j] * tanh_c[j] * o * (1.0f - o);
            z[3 * H + j] = d * i * (1.0f - g * g);
            dc[j] = d * f;
        }
        add_input_gradient(D, G, x, z, gradient->W_x, gradient->b); /* dW_x += x_t' dz,  db += dz */
    }
}

typedef struct {
    size_t gates; /* G / H */
    bool memory;  /* whether it has a c */
    Forward *forward;
    Backward *backward;
} Cell;

/* The models, in the order of CELLS in sequence.py */
static const Cell CELLS[] = {
    {1, false, vanilla_rnn_forward, vanilla_rnn_backward},
    {4, true, lstm_forward, lstm_backward},
};

/* Write to result [2] the loss, which is the mean over the batch of -log softmax(logits)[target], and the share of
 * correct answers. Replace logits [B, O] by the loss's gradient, (softmax(logits) - onehot(target)) / B. */
static void cross_entropy(size_t B, size_t O, const int64_t *target, float *logits, float *result) {
    const float count = (float)B;
    double loss = 0.0;
    size_t correct = 0;
    for (size_t b = 0; b < B; b++, logits += O) {
        const size_t answer = (size_t)target[b];
        float sum = 0.0f;
        size_t best = 0; /* the model's answer: the index of the largest logit */
        for (size_t j = 1; j < O; j++) best = logits[j] > logits[best] ? j : best;
        /* softmax(l)[j] = e^(l[j] - top) / sum, where `sum` adds these exponentials over j. Subtracting the largest
         * logit leaves the softmax as it is and keeps every exponential from overflowing. */
        float top = logits[best], at_target = logits[answer];
        for (size_t j = 0; j < O; j++) sum += logits[j] = expf(logits[j] - top);
        /* the gradient: softmax / B, less 1 / B at the target */
        for (size_t j = 0; j < O; j++) logits[j] /= sum * count;
        logits[answer] -= 1.0f / count;
        /* -log softmax(l)[target] = log(sum) + top - l[target] */
        loss += logf(sum) + top - at_target;
        correct += best == answer;
    }
    result[0] = (float)(loss / (double)B);
    result[1] = (float)correct / count;
}
