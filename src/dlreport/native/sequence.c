/* Training steps of a sequence model on one thread of a CPU, whole: nothing else runs between the products.
 *
 * Why C: a step is some forty products of a hundred microseconds. In PyTorch each of the small operations between them
 * costs 10 to 50 more, most of it spent on fetching PyTorch's own code, which the products' data drive out of the
 * cache.
 *
 * Shapes, all arrays row-major and contiguous: B batch, T time steps, D input dim, H hidden dim, O classes; G a whole
 * multiple of H, the columns of W_h (4H for the LSTM: i, f, o, g); N <= B different first inputs, M any number of rows.
 * The equations are those of the models' own files (sequence/models/), their backward passes are in cell.h.
 */
#include "cell.h"

/* What a step computes on its way. The first state follows from the first input alone, so sequences that begin alike
 * (there are ten digits) share it: it is computed, and its products are taken, once for each of the N beginnings. */
typedef struct {
    float *x_0, *z_0, *c_0, *tanh_c_0, *h_0, *dh_0, *dc_0; /* [N, D] [N, G], the others [N, H]: of the first step */
    float *zeros;                                          /* [N, H]: c before it */
    int *group;                                            /* [B]: which of the N each sequence is */
    float *z, *c, *tanh_c, *h;                             /* [T, B, G], the others [T, B, H]: of all steps; at t = 0
                                                              z is free for [N, G], c and h repeat c_0 and h_0 */
    float *dh, *dc, *logits;                               /* [B, H] [B, H] [B, O] */
    float *h_T, *W_T, *W_p_T;                              /* transposed: [H, B] [G, H] [O, H] */
    uint16_t *W_copy, *W_T_copy, *h_copy, *z_copy, *dz_copy; /* as bfloat16; of one step the last three */
} Work;

/* rows [N, D]: the different rows of x [B, D] in the order in which they come; group [B]; returns N */
static int distinct(int B, int D, const float *x, float *rows, int *group) {
    int N = 0;
    for (int b = 0; b < B; b++, x += D) {
        int k = 0;
        while (k < N && memcmp(rows + k * D, x, D * sizeof(float))) k++;
        if (k == N) memcpy(rows + N++ * D, x, D * sizeof(float));
        group[b] = k;
    }
    return N;
}

/* all [B, width] = rows[group] */
static void gather(int B, int width, const int *group, const float *rows, float *all) {
    for (int b = 0; b < B; b++) memcpy(all + b * width, rows + group[b] * width, width * sizeof(float));
}

/* rows [N, width] = the sums of `all` [B, width] by group */
static void sum_groups(int B, int N, int width, const int *group, const float *restrict all, float *restrict rows) {
    memset(rows, 0, (size_t)N * width * sizeof(float));
    for (int b = 0; b < B; b++)
        for (int j = 0; j < width; j++) rows[group[b] * width + j] += all[b * width + j];
}

static void lay_out(const Net *net, Work *w, Memory *memory) {
    const size_t B = net->B, T = net->T, D = net->D, H = net->H, O = net->O, G = net->G, s = sizeof(float);
    w->x_0 = take(memory, B * D, s), w->z_0 = take(memory, B * G, s), w->c_0 = take(memory, B * H, s);
    w->tanh_c_0 = take(memory, B * H, s), w->h_0 = take(memory, B * H, s), w->dh_0 = take(memory, B * H, s);
    w->dc_0 = take(memory, B * H, s), w->zeros = take(memory, B * H, s), w->group = take(memory, B, sizeof(int));
    w->z = take(memory, T * B * G, s), w->c = take(memory, T * B * H, s), w->tanh_c = take(memory, T * B * H, s);
    w->h = take(memory, T * B * H, s), w->dh = take(memory, B * H, s), w->dc = take(memory, B * H, s);
    w->logits = take(memory, B * O, s), w->h_T = take(memory, H * B, s), w->W_T = take(memory, G * H, s);
    w->W_p_T = take(memory, O * H, s);
    if (net->recurrent.bf16) { /* rounded up to whole pairs, of columns on the left, of rows on the right */
        w->W_copy = take(memory, (H + 1) * G, 2), w->W_T_copy = take(memory, (G + 1) * H, 2);
        w->h_copy = take(memory, (B + 1) * (H + 1), 2), w->z_copy = take(memory, B * (G + 1), 2);
        w->dz_copy = take(memory, (B + 1) * G, 2);
    }
}

/* dW_h [H, G] += h' dz of M sequences, h [M, H], dz [M, G] */
static void weight_gradient(const Net *net, const Work *w, int M, const float *h, const float *dz, float *dW_h) {
    const Products *p = &net->recurrent;
    const int H = net->H, G = net->G;
    transpose(M, H, h, H, w->h_T);
    product(p, H, G, M, left(p, H, M, w->h_T, w->h_copy), right(p, M, G, dz, w->dz_copy), true, dW_h, G);
}

/* Loss and accuracy -> result [2], and all gradients, of one batch x [T, B, D], target [B] */
static void backpropagate(const Cell *cell, const Net *net, const Work *w, const float *x, const int64_t *target,
                          float *parameters, float *gradients, float *result) {
    const int B = net->B, T = net->T, D = net->D, H = net->H, O = net->O, G = net->G;
    const size_t BH = (size_t)B * H, BG = (size_t)B * G;
    const Parameters p = split(net, parameters), d = split(net, gradients);
    const Products *recurrent = &net->recurrent, *output = &net->output;

    const int N = distinct(B, D, x, w->x_0, w->group);
    memset(w->z_0, 0, N * G * sizeof(float));
    cell->forward(net, N, w->x_0, &p, w->zeros, w->z_0, w->c_0, w->tanh_c_0, w->h_0);
    gather(B, H, w->group, w->h_0, w->h);
    if (cell->memory) gather(B, H, w->group, w->c_0, w->c);
    const void *W = right(recurrent, H, G, p.W_h, w->W_copy);
    for (int t = 1; t < T; t++) {
        float *z = w->z + t * BG, *h_before = w->h + (t - 1) * BH;
        if (t == 1) {
            product(recurrent, N, G, H, left(recurrent, N, H, w->h_0, w->h_copy), W, false, w->z, G);
            gather(B, G, w->group, w->z, z);
        } else {
            product(recurrent, B, G, H, left(recurrent, B, H, h_before, w->h_copy), W, false, z, G);
        }
        cell->forward(net, B, x + t * B * D, &p, w->c + (t - 1) * BH, z, w->c + t * BH, w->tanh_c + t * BH,
                      w->h + t * BH);
    }

    const float *h_last = w->h + (T - 1) * BH;
    for (int b = 0; b < B; b++) memcpy(w->logits + b * O, p.b_p, O * sizeof(float));
    product(output, B, O, H, h_last, p.W_p, true, w->logits, O);
    cross_entropy(B, O, target, w->logits, result);
    transpose(B, H, h_last, H, w->h_T);
    product(output, H, O, B, w->h_T, w->logits, false, d.W_p, O);
    memset(d.b_p, 0, O * sizeof(float));
    for (int b = 0; b < B; b++)
        for (int j = 0; j < O; j++) d.b_p[j] += w->logits[b * O + j];
    transpose(H, O, p.W_p, O, w->W_p_T);
    product(output, B, H, O, w->logits, w->W_p_T, false, w->dh, H);

    transpose(H, G, p.W_h, G, w->W_T);
    const void *W_T = right(recurrent, G, H, w->W_T, w->W_T_copy);
    memset(d.W_x, 0, D * G * sizeof(float));
    memset(d.b, 0, G * sizeof(float));
    memset(d.W_h, 0, H * G * sizeof(float));
    memset(w->dc, 0, BH * sizeof(float));
    for (int t = T - 1; t > 0; t--) {
        float *z = w->z + t * BG;
        cell->backward(net, B, x + t * B * D, &d, w->c + (t - 1) * BH, w->tanh_c + t * BH, w->h + t * BH, w->dh,
                       w->dc, z);
        if (t == 1) break;
        weight_gradient(net, w, B, w->h + (t - 1) * BH, z, d.W_h);
        product(recurrent, B, H, G, left(recurrent, B, G, z, w->z_copy), W_T, false, w->dh, H);
    }
    if (T > 1) { /* the second step's products, with its N beginnings */
        sum_groups(B, N, G, w->group, w->z + BG, w->z);
        weight_gradient(net, w, N, w->h_0, w->z, d.W_h);
        product(recurrent, N, H, G, left(recurrent, N, G, w->z, w->z_copy), W_T, false, w->dh_0, H);
    } else {
        sum_groups(B, N, H, w->group, w->dh, w->dh_0);
    }
    sum_groups(B, N, H, w->group, w->dc, w->dc_0);
    cell->backward(net, N, w->x_0, &d, w->zeros, w->tanh_c_0, w->h_0, w->dh_0, w->dc_0, w->z_0);
}

/* Scale the gradients, all together, to a norm of at most max_norm */
static void clip(size_t count, float max_norm, float *gradients) {
    double square = 0.0;
    for (size_t j = 0; j < count; j++) square += (double)gradients[j] * gradients[j];
    float factor = max_norm / ((float)sqrt(square) + 1e-6f);
    if (factor < 1.0f)
        for (size_t j = 0; j < count; j++) gradients[j] *= factor;
}

/* squares = alpha squares + (1 - alpha) gradients^2;  parameters -= rate gradients / (sqrt(squares) + epsilon) */
static void rmsprop(size_t count, float rate, float alpha, float epsilon, const float *restrict gradients,
                    float *restrict squares, float *restrict parameters) {
    for (size_t j = 0; j < count; j++) {
        squares[j] = alpha * squares[j] + (1.0f - alpha) * gradients[j] * gradients[j];
        parameters[j] -= rate * gradients[j] / (sqrtf(squares[j]) + epsilon);
    }
}

/* As RMSprop, along a running mean of the gradients; both runs corrected for their start at zero (Kingma & Ba, 2015) */
static void adam(size_t count, float rate, float beta, float alpha, float epsilon, int64_t step,
                 const float *restrict gradients, float *restrict means, float *restrict squares,
                 float *restrict parameters) {
    const float corrected = (float)(rate / (1.0 - pow(beta, step))), root = (float)sqrt(1.0 - pow(alpha, step));
    for (size_t j = 0; j < count; j++) {
        means[j] = beta * means[j] + (1.0f - beta) * gradients[j];
        squares[j] = alpha * squares[j] + (1.0f - alpha) * gradients[j] * gradients[j];
        parameters[j] -= corrected * means[j] / (sqrtf(squares[j]) / root + epsilon);
    }
}

/* K training steps of CELLS[cell]: x [K, T, B, D], target [K, B] -> results [K, 2], loss and accuracy of each step
 * before its update. `parameters`, their running `squares` and `means` and their `gradients` (of the last step, when done) are flat. By
 * Adam after `done` steps, or by RMSprop if there are no means. An infinite max_norm: no clipping. Returns 0, or 1 if
 * there is not enough memory. */
int train_sequence(int cell, int K, int B, int T, int D, int H, int G, int O, const float *x, const int64_t *target,
                   float rate, float beta, float alpha, float epsilon, float max_norm, int64_t done, float *parameters,
                   float *squares, float *means, float *gradients, float *results, const Products *products) {
    const Net net = {B, T, D, H, G, O, *products, {products->fp32, NULL, NULL}};
    const size_t count = (size_t)(D + H + 1) * net.G + (size_t)(H + 1) * O;
    Work work;
    Memory memory = {0};
    lay_out(&net, &work, &memory);
    void *block = allocate(&memory);
    if (!block) return 1;
    lay_out(&net, &work, &memory);
    memset(work.zeros, 0, (size_t)B * H * sizeof(float));
    for (int k = 0; k < K; k++, x += (size_t)T * B * D, target += B, results += 2) {
        backpropagate(&CELLS[cell], &net, &work, x, target, parameters, gradients, results);
        if (max_norm < INFINITY) clip(count, max_norm, gradients);
        if (means)
            adam(count, rate, beta, alpha, epsilon, done + k + 1, gradients, means, squares, parameters);
        else
            rmsprop(count, rate, alpha, epsilon, gradients, squares, parameters);
    }
    if (products->bf16) products->release(true);
    free(block);
    return 0;
}
