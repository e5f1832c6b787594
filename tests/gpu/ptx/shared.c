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

static uint32_t *readers(const Block *b, uint32_t warp)
{
    return b->shadow.reader + (size_t)warp * b->shadow.n;
}

static void check_readers(Warp *w, uint32_t lane, uint32_t g, uint64_t address)
{
    for (uint32_t other = 0; other < w->block->n_warps; other++)
        if (readers(w->block, other)[g] > w->clock[other] && other != w->number)
            race(w, lane, "writes", other, address, 0);
}

static void check_granule(Warp *w, uint32_t lane, uint32_t g, Access access)
{
    Shadow *s = &w->block->shadow;
    uint64_t address = (uint64_t)g * s->granule;
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
        readers(w->block, w->number)[g] = w->clock[w->number];
        return;
    }
    check_readers(w, lane, g, address);
    s->writer[g] = w->clock[w->number] << WARP_BITS | (access.strong ? STRONG : 0) | w->number;
    s->writer_line[g] = w->block->now->line;
}

/* ---- Many granules at once: what check_granule does where nothing is special ---- */

/* Written before this interval and in this block, with nothing that is under way; by warps that this one has
 * met, or by itself. */
static bool settled(const Warp *w, uint32_t g, uint32_t n)
{
    const Shadow *s = &w->block->shadow;
    uint32_t odd = 0, own = w->number, floor = w->floor, base = s->base, sync = w->sync;
    for (uint32_t k = g; k < g + n; k++) {
        uint32_t time = s->writer[k] >> WARP_BITS;
        odd |= s->pending[k] | (uint32_t)(time < base) | (uint32_t)(s->write_sync[k] == sync) |
               ((uint32_t)(time > floor) & (uint32_t)((s->writer[k] & (2 * STRONG - 1)) != own));
    }
    return !odd;
}

static bool may_write(const Warp *w, uint32_t g, uint32_t n)
{
    const Shadow *s = &w->block->shadow;
    uint32_t odd = 0, own = w->number, floor = w->floor, sync = w->sync;
    for (uint32_t k = g; k < g + n; k++)
        odd |= s->pending[k] | (uint32_t)(s->write_sync[k] == sync) | (uint32_t)(s->read_sync[k] == sync) |
               ((uint32_t)(s->writer[k] >> WARP_BITS > floor) &
                (uint32_t)((s->writer[k] & (2 * STRONG - 1)) != own));
    for (uint32_t other = 0; other < w->block->n_warps; other++) {
        const uint32_t *reader = readers(w->block, other);
        uint32_t known = w->clock[other];
        for (uint32_t k = g; other != own && k < g + n; k++) odd |= (uint32_t)(reader[k] > known);
    }
    return !odd;
}

/* By these lanes; each by its own one where `step` is 1 (of n granules), else all by all. */
static void note_read(const Warp *w, uint32_t g, uint32_t n, uint32_t lanes, uint32_t first, uint32_t step)
{
    Shadow *s = &w->block->shadow;
    uint32_t *reader = readers(w->block, w->number), clock = w->clock[w->number], sync = w->sync;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t who = step ? 1u << (first + k) : lanes, at = g + k;
        s->read_lanes[at] = (s->read_sync[at] == sync ? s->read_lanes[at] : 0) | who;
        s->read_sync[at] = sync;
        reader[at] = clock;
    }
}

static void note_write(const Warp *w, uint32_t g, uint32_t n, uint32_t lane, uint32_t step)
{
    Shadow *s = &w->block->shadow;
    uint32_t word = w->clock[w->number] << WARP_BITS | w->number, line = w->block->now->line, sync = w->sync;
    for (uint32_t k = 0; k < n; k++) {
        s->writer[g + k] = word;
        s->writer_line[g + k] = line;
        s->write_sync[g + k] = sync;
        s->write_lane[g + k] = (uint8_t)(lane + step * k);
    }
}

static uint32_t lanes_at(const Request *r, uint32_t mask, uint64_t at)
{
    uint32_t same = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) same |= (uint32_t)(r->at[lane] == at) << lane;
    return same & mask;
}

/* One lane, or several that read the same bytes. */
static void touch(Warp *w, uint64_t address, uint32_t lanes, Access access)
{
    const Shadow *s = &w->block->shadow;
    uint32_t g = (uint32_t)address / s->granule,
             n = ((uint32_t)address + access.bytes - 1) / s->granule - g + 1;
    uint32_t lane = (uint32_t)__builtin_ctz(lanes);
    if (access.write && may_write(w, g, n))
        note_write(w, g, n, access.matrix ? ALL_LANES : lane, 0);
    else if (!access.write && settled(w, g, n))
        note_read(w, g, n, access.matrix ? FULL : lanes, 0, 0);
    else
        EACH (one, lanes)
            for (uint32_t k = g; k < g + n; k++) check_granule(w, one, k, access);
}

bool shared_request(Warp *w, const Request *r)
{
    const Block *b = w->block;
    uint32_t n = (uint32_t)__builtin_popcount(r->mask), bytes = r->access.bytes, rest;
    bool write = r->access.write, outside = false;
    for (uint32_t lane = 0; lane < LANES; lane++)
        outside |= r->at[lane] > b->shared_bytes || bytes > b->shared_bytes - r->at[lane];
    if (outside || r->access.strong || r->access.atomic) return false;
    if (r->shape == IN_ORDER && bytes == b->shadow.granule) {
        uint32_t g = (uint32_t)r->at[r->first] / bytes;
        if (write ? may_write(w, g, n) : settled(w, g, n)) {
            if (write)
                note_write(w, g, n, r->first, 1);
            else
                note_read(w, g, n, 0, r->first, 1);
            return true;
        }
    }
    for (uint32_t left = r->mask; left; left = rest) {
        uint32_t lane = (uint32_t)__builtin_ctz(left);
        uint32_t same = write || r->access.matrix ? 1u << lane : lanes_at(r, left, r->at[lane]);
        touch(w, r->at[lane], same, r->access);
        rest = left & ~same;
    }
    return true;
}

unsigned char *shared_at(Warp *w, uint32_t lane, uint64_t address, Access access)
{
    Block *b = w->block;
    if (address > b->shared_bytes || access.bytes > b->shared_bytes - address)
        run_fail(w, lane, "%s of %u bytes of shared memory out of bounds: at byte %lld of %u",
                 access.write ? "a write" : "a read", access.bytes, (long long)address, b->shared_bytes);
    if (!access.strong && !access.atomic) {
        touch(w, address, 1u << lane, access);
        return b->shared + address;
    }
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
        s->write_sync[g] = w->sync;
        s->write_lane[g] = (uint8_t)lane;
        s->writer[g] = w->clock[w->number] << WARP_BITS | w->number;
    }
}
