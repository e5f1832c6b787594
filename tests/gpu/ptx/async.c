/* cp.async: global memory is read at once, shared memory filled only when a group has been waited for. */
#include "inside.h"

#include <string.h>

enum { UNCOMMITTED = UINT32_MAX };

/* cp.async d, s, bytes, n: the rest of the bytes is zero. */
static void fetch(Warp *w, const Instruction *i, uint32_t lane, uint64_t from, uint32_t n,
                  unsigned char *data)
{
    memset(data, 0, 16);
    if (from % i->bytes)
        run_fail(w, lane, "a copy of %u bytes from 0x%llx, which is not aligned", i->bytes,
                 (unsigned long long)from);
    if (n == 0) return;
    Space space = GLOBAL;
    uint32_t whole = n == i->bytes ? n : 1; /* alignment has been tested */
    for (uint32_t k = 0; k < n; k += whole) {
        uint64_t at = from + k;
        memcpy(data + k, memory_at(w, &space, lane, &at, (Access){.bytes = whole}), whole);
    }
}

void run_cp_async(Warp *w, const Instruction *i, uint32_t mask)
{
    Pending p = {.mask = mask, .bytes = i->bytes};
    uint64_t to[LANES], from[LANES];
    uint32_t reads = 0;
    EACH (lane, mask) {
        to[lane] = lanes_of(w, i->a[0])[lane] + (uint64_t)i->offset;
        from[lane] = lanes_of(w, i->b[0])[lane] + (uint64_t)(int32_t)i->target;
        uint64_t n = i->n_operands > 3 ? lanes_of(w, i->c[0])[lane] : i->bytes;
        if (n > i->bytes) run_fail(w, lane, "a copy of %u bytes from %llu", i->bytes, (unsigned long long)n);
        if (to[lane] % i->bytes)
            run_fail(w, lane,
                     "a copy of %u bytes to byte %llu of shared memory, which is not "
                     "aligned",
                     i->bytes, (unsigned long long)to[lane]);
        fetch(w, i, lane, from[lane], (uint32_t)n, p.data[lane]);
        shared_pend(w, lane, to[lane], i->bytes);
        p.to[lane] = (uint32_t)to[lane];
        p.group[lane] = UNCOMMITTED;
        if (n) reads |= 1u << lane;
    }
    traffic_count(w, GLOBAL, from, reads, i->bytes);
    traffic_count(w, SHARED, to, mask, i->bytes);
    PUSH(&w->block->c, &w->pending, p);
}

void run_cp_commit(Warp *w, const Instruction *i, uint32_t mask)
{
    (void)i;
    for (uint32_t k = 0; k < w->pending.n; k++)
        EACH (lane, w->pending.at[k].mask & mask)
            if (w->pending.at[k].group[lane] == UNCOMMITTED)
                w->pending.at[k].group[lane] = w->committed[lane];
    EACH (lane, mask) w->committed[lane]++;
}

/* wait_group n: all but the last n groups of each lane; wait_all: also what was not committed. */
void run_cp_wait(Warp *w, const Instruction *i, uint32_t mask)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < w->pending.n; k++) {
        Pending *p = &w->pending.at[k];
        EACH (lane, p->mask & mask) {
            bool done = i->offset == PREVIOUS_ALL ||
                        (p->group[lane] != UNCOMMITTED && p->group[lane] + i->offset < w->committed[lane]);
            if (!done) continue;
            shared_arrive(w, lane, p->to[lane], p->data[lane], p->bytes);
            p->mask &= ~(1u << lane);
        }
        if (p->mask && kept++ != k) w->pending.at[kept - 1] = *p;
    }
    w->pending.n = kept;
}
