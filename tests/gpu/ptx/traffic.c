/* What a request costs: 32-byte sectors of global memory, cycles of the 32 banks of shared memory. */
#include "inside.h"

#include <string.h>

static void add_traffic(PtxTraffic *t, uint32_t units, uint32_t ideal)
{
    t->requests++;
    t->units += units;
    t->ideal += ideal;
}

/* How many different numbers there are; neighbours in order are the usual case. */
static uint32_t count_distinct(const uint64_t *at, uint32_t n)
{
    uint64_t seen[LANES];
    uint32_t n_seen = 0;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t s = n_seen;
        while (s && seen[s - 1] != at[k]) s--;
        if (!s) seen[n_seen++] = at[k];
    }
    return n_seen;
}

static void count_sectors(Warp *w, const uint64_t address[LANES], uint32_t mask, uint32_t bytes)
{
    uint64_t at[LANES], sector[LANES];
    uint32_t n = 0;
    EACH (lane, mask) {
        at[n] = address[lane];
        sector[n++] = address[lane] / 32;
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

/* A request of 4 bytes a lane is one phase, of 8 two (half warps), of 16 four (of 8 lanes each). */
static void count_banks(Warp *w, const uint64_t address[LANES], uint32_t mask, uint32_t bytes)
{
    uint32_t lanes = bytes <= 4 ? 32 : bytes >= 16 ? 8 : 16, units = 0, ideal = 0, words[2 * LANES];
    for (uint32_t first = 0; first < LANES; first += lanes) {
        uint32_t n = 0;
        for (uint32_t lane = first; lane < first + lanes; lane++)
            for (uint32_t byte = 0; mask >> lane & 1 && byte < bytes; byte += 4)
                words[n++] = (uint32_t)(address[lane] + byte) / 4;
        units += count_phase(words, n);
        ideal += n > 0;
    }
    add_traffic(&w->block->count->shared, units, ideal);
}

void traffic_count(Warp *w, Space space, const uint64_t address[LANES], uint32_t mask, uint32_t bytes)
{
    if (space == GLOBAL)
        count_sectors(w, address, mask, bytes);
    else if (space == SHARED)
        count_banks(w, address, mask, bytes);
}
