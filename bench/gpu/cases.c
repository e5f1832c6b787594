/* The cases of bench/gpu_counters and the pairs that each of them must visit. */
#include "bench/gpu/counters.h"

static uint64_t all(const CounterCase *c) { return (uint64_t)c->n * c->n; }
static uint64_t causal(const CounterCase *c) { return (uint64_t)c->n * (c->n + 1) / 2; }

static uint64_t window_256(const CounterCase *c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->n; i++) sum += i < 256 ? i + 1 : 256;
    return sum;
}

static uint64_t neighborhood_13(const CounterCase *c) { return (uint64_t)c->n * c->n * 13 * 13; }

const CounterCase counter_cases[] = {
    {"full, d = 64", "score/full.attn", {0}, 64, 1, 512, all, 1, 6, 1.05, 2, false},
    {"full, d = 128", "score/full.attn", {0}, 128, 1, 512, all, 1, 4, 1.05, 1, false},
    {"full, d = 256", "score/full.attn", {0}, 256, 1, 128, all, 1, 6, 0, 1, false},
    {"causal, d = 64", "mask/causal.attn", {0}, 64, 1, 512, causal, 0, 6, 1.05, 2, false},
    {"causal, d = 128", "mask/causal.attn", {0}, 128, 1, 512, causal, 0, 4, 1.05, 1, false},
    {"sigmoid, d = 64", "normaliser/sigmoid.attn", {0}, 64, 1, 512, causal, 0, 0, 0, 2, false},
    {"full, f32, d = 64", "score/full.attn", {0}, 64, 1, 512, all, 1, 0.4, 1.05, 2, true},
    {"full, f32, d = 128", "score/full.attn", {0}, 128, 1, 256, all, 1, 0.4, 1.05, 2, true},
    {"causal, 4096", "mask/causal.attn", {0}, 16, 1, 4096, causal, 1.05, 0, 0, 2, false},
    {"window 256, 4096",
     "window/sliding_window.attn",
     {"window=256"},
     16,
     1,
     4096,
     window_256,
     1.30,
     0,
     0,
     2,
     false},
    {"neighborhood 13x13",
     "window/neighborhood2d.attn",
     {"window=13", "dilation=1"},
     16,
     1,
     64,
     neighborhood_13,
     2.5,
     0,
     0,
     2,
     false},
};
const unsigned n_counter_cases = sizeof counter_cases / sizeof *counter_cases;
