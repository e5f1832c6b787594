/* What a request costs: 32-byte sectors of global memory, cycles of the 32 banks of shared memory. */
#include "inside.h"

#include <string.h>

static void add_traffic(PtxTraffic *t, uint32_t units, uint32_t ideal)
{
    t->requests++;
    t->units += units;
    t->ideal += ideal;
}

/* How many different numbers there are; most often they are in order. */
static uint32_t count_distinct(const uint64_t *at, uint32_t n)
{
    uint64_t seen[LANES];
    uint32_t n_seen = 0, steps = n != 0, falls = 0;
    for (uint32_t k = 1; k < n; k++) {
        steps += at[k] != at[k - 1];
        falls += at[k] < at[k - 1];
    }
    if (!falls) return steps;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t s = n_seen;
        while (s && seen[s - 1] != at[k]) s--;
        if (!s) seen[n_seen++] = at[k];
    }
    return n_seen;
}

static void count_sectors(Warp *w, const Request *r)
{
    uint64_t at[LANES], sector[LANES], first = r->at[r->first];
    uint32_t n = 0, bytes = r->access.bytes;
    if (r->shape != SCATTERED) { /* one piece */
        uint32_t all = r->shape == IN_ORDER ? (uint32_t)__builtin_popcount(r->mask) * bytes : bytes;
        uint64_t last = first + all - 1;
        add_traffic(&w->block->count->global, (uint32_t)(last / 32 - first / 32) + 1, (all + 31) / 32);
        return;
    }
    EACH (lane, r->mask) {
        at[n] = r->at[lane];
        sector[n++] = r->at[lane] / 32;
    }
    uint32_t asked = count_distinct(at, n) * bytes; /* aligned, so that they do not overlap otherwise */
    add_traffic(&w->block->count->global, count_distinct(sector, n), (asked + 31) / 32);
}

/* Cycles of one phase: the most different words that one bank has to give. */
static uint32_t count_phase(const uint32_t *words, uint32_t n)
{
    uint32_t seen[32][LANES], n_seen[32] = {0}, most = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t bank = words[k] % 32, s = n_seen[bank];
        while (s && seen[bank][s - 1] != words[k]) s--;
        if (s) continue;
        seen[bank][n_seen[bank]++] = words[k];
        if (n_seen[bank] > most) most = n_seen[bank];
    }
    return most;
}

/* Does no bank have to give two different words? (Not knowing is no.) */
static bool apart(const uint64_t *at, uint32_t mask, uint32_t bytes)
{
    uint32_t banks = 0, own = bytes < 8 ? 1 : (1u << bytes / 4) - 1;
    uint64_t before = UINT64_MAX;
    EACH (lane, mask) {
        uint64_t word = at[lane] / 4;
        uint32_t bits = own << word % 32;
        if (word != before && banks & bits) return false;
        banks |= bits;
        before = word;
    }
    return true;
}

/* A request of 4 bytes a lane is one phase, of 8 two (half warps), of 16 four (of 8 lanes each). */
static void count_banks(Warp *w, const Request *r)
{
    uint32_t bytes = r->access.bytes, lanes = bytes <= 4 ? 32 : bytes >= 16 ? 8 : 16, units = 0, ideal = 0;
    for (uint32_t first = 0; first < LANES; first += lanes) {
        uint32_t words[2 * LANES], n = 0,
                                   mask = r->mask >> first & (lanes == LANES ? FULL : (1u << lanes) - 1);
        if (!mask) continue;
        ideal++;
        if (r->shape != SCATTERED || apart(r->at + first, mask, bytes)) {
            units++;
            continue;
        }
        EACH (lane, mask)
            for (uint32_t byte = 0; byte < bytes; byte += 4)
                words[n++] = (uint32_t)(r->at[first + lane] + byte) / 4;
        units += count_phase(words, n);
    }
    add_traffic(&w->block->count->shared, units, ideal);
}

void traffic_count(Warp *w, const Request *r)
{
    if (!r->mask) {
        if (r->space == GLOBAL) add_traffic(&w->block->count->global, 0, 0);
    } else if (r->space == GLOBAL)
        count_sectors(w, r);
    else if (r->space == SHARED)
        count_banks(w, r);
}
