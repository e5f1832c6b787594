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

/* Lanes outside the mask ask for what its first lane does. */
static void complete(Request *r, uint32_t mask)
{
    r->mask = mask;
    r->first = mask ? (uint32_t)__builtin_ctz(mask) : 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        if (!(mask >> lane & 1)) r->at[lane] = r->at[r->first];
}

/* Whole copies by one request, others byte by byte. */
static void fetch_all(Warp *w, const Instruction *i, Request *from, const uint64_t n[LANES], Pending *p)
{
    uint32_t reads = 0, whole = 0;
    EACH (lane, p->mask) {
        reads |= (uint32_t)(n[lane] != 0) << lane;
        whole |= (uint32_t)(n[lane] == i->bytes) << lane;
    }
    complete(from, reads);
    if (reads == whole) {
        if (reads)
            memory_request(w, from);
        else
            traffic_count(w, from);
        EACH (lane, p->mask)
            if (reads >> lane & 1)
                memcpy(p->data[lane], from->bytes[lane], i->bytes);
            else
                memset(p->data[lane], 0, sizeof p->data[lane]);
        return;
    }
    EACH (lane, p->mask) fetch(w, i, lane, from->at[lane], (uint32_t)n[lane], p->data[lane]);
    request_shape(from);
    traffic_count(w, from);
}

void run_cp_async(Warp *w, const Instruction *i, uint32_t mask)
{
    PUSH(&w->block->c, &w->pending, (Pending){.mask = mask, .bytes = i->bytes});
    Pending *p = &w->pending.at[w->pending.n - 1];
    Request to = {.access = {.bytes = i->bytes}, .space = SHARED}, from = to;
    uint64_t n[LANES] = {0};
    from.space = GLOBAL;
    EACH (lane, mask) {
        to.at[lane] = get(w, i->a[0], lane) + (uint64_t)i->offset;
        from.at[lane] = get(w, i->b[0], lane) + (uint64_t)(int32_t)i->target;
        n[lane] = i->n_operands > 3 ? get(w, i->c[0], lane) : i->bytes;
        if (n[lane] > i->bytes)
            run_fail(w, lane, "a copy of %u bytes from %llu", i->bytes, (unsigned long long)n[lane]);
        if (to.at[lane] % i->bytes)
            run_fail(w, lane,
                     "a copy of %u bytes to byte %llu of shared memory, which is not "
                     "aligned",
                     i->bytes, (unsigned long long)to.at[lane]);
        p->to[lane] = (uint32_t)to.at[lane];
        p->group[lane] = UNCOMMITTED;
    }
    fetch_all(w, i, &from, n, p);
    EACH (lane, mask) shared_pend(w, lane, to.at[lane], i->bytes);
    complete(&to, mask);
    request_shape(&to);
    traffic_count(w, &to);
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
