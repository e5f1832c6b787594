/* Shared memory and its shadow: who wrote and read what, and when.
 *
 * Time is that of vector clocks (Lamport; Flanagan and Freund 2009): a warp's clock goes on at barriers,
 * where it takes over what the others that arrived there knew. An access happened before this one if its time
 * is not above what the warp knows of the other; all else is a race. Entries are as coarse as the least
 * access of the kernel, so that neighbours are never mistaken for the same bytes.
 *
 * Lanes of one warp are ordered by bar.warp.sync and barriers alone: shuffles, votes and running in step
 * order no memory. An interval between two of these has a number of its own (Warp.sync), which stands beside
 * every access: one by another lane in the same interval is a race. */
#include "inside.h"

#include <string.h>

enum { STRONG = 1 << 5, WARP_BITS = 6 };

void shared_begin_block(Block *b)
{
    b->shadow.base = ++b->time;
    for (uint32_t k = 0; k < b->n_warps; k++) {
        Warp *w = &b->warps[k];
        for (uint32_t other = 0; other < b->n_warps; other++) w->clock[other] = b->time - 1;
        w->floor = b->time - 1;
        w->clock[k] = b->time;
        w->sync = ++b->syncs;
    }
    memset(b->shadow.pending, 0, b->shadow.n);
    memset(b->shared, 0xff, b->shared_bytes);
}

static _Noreturn void race(Warp *w, uint32_t lane, const char *what, uint32_t other, uint64_t address,
                           uint32_t line)
{
    if (line)
        run_fail(w, lane,
                 "race in shared memory: %s byte %llu, which warp %u wrote on line %u with no barrier "
                 "between",
                 what, (unsigned long long)address, other, line);
    run_fail(w, lane, "race in shared memory: %s byte %llu, which warp %u read with no barrier between", what,
             (unsigned long long)address, other);
}

/* ldmatrix hands a row to other lanes than the one that names it: `lane` is none of them. */
enum { ALL_LANES = LANES };

static uint32_t lane_bit(uint32_t lane) { return lane == ALL_LANES ? FULL : 1u << lane; }

static void check_lanes(Warp *w, uint32_t lane, uint32_t g, Access access)
{
    const Shadow *s = &w->block->shadow;
    uint32_t who = access.matrix ? ALL_LANES : lane;
    bool same_store = access.write && s->writer_line[g] == w->block->now->line; /* which one stays is open */
    bool wrote = s->write_sync[g] == w->sync && s->write_lane[g] != who && !same_store;
    bool read = access.write && s->read_sync[g] == w->sync && s->read_lanes[g] & ~lane_bit(who);
    if (access.strong || (!wrote && !read)) return;
    run_fail(w, lane,
             "race in shared memory: %s byte %llu, which another lane of the warp %s with no bar.warp.sync "
             "between",
             access.write ? "writes" : "reads", (unsigned long long)g * s->granule, wrote ? "wrote" : "read");
}

static void note_lane(Warp *w, uint32_t lane, uint32_t g, Access access)
{
    Shadow *s = &w->block->shadow;
    if (access.strong) return;
    if (access.write) {
        s->write_sync[g] = w->sync;
        s->write_lane[g] = (uint8_t)(access.matrix ? ALL_LANES : lane);
        return;
    }
    if (s->read_sync[g] != w->sync) s->read_lanes[g] = 0;
    s->read_sync[g] = w->sync;
    s->read_lanes[g] |= lane_bit(access.matrix ? ALL_LANES : lane);
}

static void check_readers(Warp *w, uint32_t lane, const uint32_t *reader, uint64_t address)
{
    for (uint32_t other = 0; other < w->block->n_warps; other++)
        if (reader[other] > w->clock[other] && other != w->number) race(w, lane, "writes", other, address, 0);
}

static void check_granule(Warp *w, uint32_t lane, uint32_t g, Access access)
{
    Shadow *s = &w->block->shadow;
    uint64_t address = (uint64_t)g * s->granule;
    uint32_t *readers = s->reader + (size_t)g * w->block->n_warps;
    uint32_t written = s->writer[g] >> WARP_BITS, by = s->writer[g] & (STRONG - 1);
    if (s->pending[g])
        run_fail(w, lane, "%s of byte %llu of shared memory, into which a cp.async is under way",
                 access.write ? "a write" : "a read", (unsigned long long)address);
    if ((!access.write || access.atomic) && written < s->base)
        run_fail(w, lane, "a read of byte %llu of shared memory, which nobody wrote",
                 (unsigned long long)address);
    if (written > w->floor && by != w->number && w->clock[by] < written &&
        !(access.strong && s->writer[g] & STRONG))
        race(w, lane, access.write ? "writes" : "reads", by, address, s->writer_line[g]);
    check_lanes(w, lane, g, access);
    note_lane(w, lane, g, access);
    if (!access.write) {
        readers[w->number] = w->clock[w->number];
        return;
    }
    check_readers(w, lane, readers, address);
    s->writer[g] = w->clock[w->number] << WARP_BITS | (access.strong ? STRONG : 0) | w->number;
    s->writer_line[g] = w->block->now->line;
}

unsigned char *shared_at(Warp *w, uint32_t lane, uint64_t address, Access access)
{
    Block *b = w->block;
    if (address > b->shared_bytes || access.bytes > b->shared_bytes - address)
        run_fail(w, lane, "%s of %u bytes of shared memory out of bounds: at byte %lld of %u",
                 access.write ? "a write" : "a read", access.bytes, (long long)address, b->shared_bytes);
    uint32_t first = (uint32_t)address / b->shadow.granule;
    uint32_t last = ((uint32_t)address + access.bytes - 1) / b->shadow.granule;
    for (uint32_t g = first; g <= last; g++) check_granule(w, lane, g, access);
    return b->shared + address;
}

void shared_pend(Warp *w, uint32_t lane, uint64_t address, uint32_t bytes)
{
    Shadow *s = &w->block->shadow;
    shared_at(w, lane, address, (Access){.bytes = bytes, .write = true});
    memset(s->pending + address / s->granule, 1, bytes / s->granule);
}

void shared_arrive(Warp *w, uint32_t lane, uint64_t address, const unsigned char *data, uint32_t bytes)
{
    Shadow *s = &w->block->shadow;
    memcpy(w->block->shared + address, data, bytes);
    for (uint32_t g = (uint32_t)address / s->granule; g < (address + bytes) / s->granule; g++) {
        s->pending[g] = 0;
        note_lane(w, lane, g, (Access){.write = true});
        s->writer[g] = w->clock[w->number] << WARP_BITS | w->number;
    }
}
