/* Control flow: where the lanes of a warp are, calls, and barriers of the block.
 *
 * Lanes at one instruction are a path. The deepest call runs first, then the lowest pc, so that paths meet
 * again where reducible control flow does. An instruction that needs other lanes puts its path aside until
 * they come. */
#include "inside.h"

#include <string.h>

static void put_aside(Warp *w, Path p)
{
    for (uint32_t k = 0; k < w->n_others; k++)
        if (w->others[k].pc == p.pc && w->others[k].depth == p.depth) {
            w->others[k].mask |= p.mask;
            w->others[k].waits = false;
            return;
        }
    w->others[w->n_others++] = p;
}

void warp_go(Warp *w, uint32_t mask, uint32_t pc, uint32_t depth)
{
    if (mask == w->path.mask) {
        w->path.pc = pc;
        w->path.depth = depth;
        w->moved = true;
        return;
    }
    w->path.mask &= ~mask; /* the rest goes on to the next instruction */
    put_aside(w, (Path){mask, pc, depth, false});
}

static bool runs_before(const Path *a, const Path *b)
{
    if (a->waits != b->waits) return b->waits;
    return a->depth != b->depth ? a->depth > b->depth : a->pc < b->pc;
}

void warp_merge(Warp *w)
{
    for (uint32_t k = 0; k < w->n_others; k++) {
        Path *o = &w->others[k];
        if (w->path.mask && o->pc == w->path.pc && o->depth == w->path.depth) {
            w->path.mask |= o->mask;
            *o = w->others[--w->n_others];
            k--;
        }
    }
    if (!w->n_others) return;
    Path *best = &w->others[0];
    for (uint32_t k = 1; k < w->n_others; k++)
        if (runs_before(&w->others[k], best)) best = &w->others[k];
    if (w->path.mask && !runs_before(best, &w->path)) return;
    Path next = *best;
    *best = w->path;
    if (!best->mask) *best = w->others[--w->n_others];
    w->path = next;
    if (next.waits) {
        w->block->now = &w->block->module->code.at[next.pc];
        run_fail(w, (uint32_t)__builtin_ctz(next.mask),
                 "lanes %08x wait here for others of %08x that never come", next.mask, w->live);
    }
}

bool warp_converged(Warp *w, uint32_t mask, uint32_t need)
{
    if (!(need & w->live & ~mask)) return true;
    w->block->count->warps--; /* it has not happened yet */
    w->block->count->threads -= (uint32_t)__builtin_popcount(mask);
    Path here = {mask, w->path.pc, w->path.depth, true};
    w->path.mask &= ~mask; /* lanes whose guard does not hold go on */
    w->path.pc++;
    w->moved = true;
    for (uint32_t k = 0; k < w->n_others; k++)
        if (w->others[k].pc == here.pc && w->others[k].depth == here.depth) {
            w->others[k].mask |= mask;
            w->others[k].waits = false;
            here.mask = 0;
        }
    if (here.mask) w->others[w->n_others++] = here;
    if (!w->path.mask) warp_merge(w);
    return false;
}

/* ---- Branches ---- */
void run_bra(Warp *w, const Instruction *i, uint32_t mask) { warp_go(w, mask, i->target, w->path.depth); }

void run_brx(Warp *w, const Instruction *i, uint32_t mask)
{
    uint64_t own[LANES];
    const Wide *at = widened(w, i->a[0], own);
    while (mask) {
        uint32_t first = (uint32_t)__builtin_ctz(mask), same = 0;
        EACH (lane, mask)
            if (at[lane] == at[first]) same |= 1u << lane;
        if (at[first] >= i->symbol->targets.n)
            run_fail(w, first, "brx.idx to entry %llu of %u", (unsigned long long)at[first],
                     i->symbol->targets.n);
        mask &= ~same;
        warp_go(w, same, i->target + i->symbol->targets.at[at[first]]->pc, w->path.depth);
    }
}

static void copy_locals(Warp *w, const Instruction *i, uint32_t mask)
{
    Block *b = w->block;
    EACH (lane, mask) {
        unsigned char *local = b->local + (size_t)(w->first_thread + lane) * b->local_bytes;
        for (uint32_t k = 0; k < i->n_copies; k++)
            memmove(local + i->copies[k].to, local + i->copies[k].from, i->copies[k].bytes);
    }
}

void run_call(Warp *w, const Instruction *i, uint32_t mask)
{
    copy_locals(w, i, mask);
    if (w->path.depth == 64)
        run_fail(w, (uint32_t)__builtin_ctz(mask), "calls nested 64 deep (recursion is not known)");
    EACH (lane, mask) put(w, i->return_slot, lane, w->path.pc + 1);
    warp_go(w, mask, i->target, w->path.depth + 1);
}

void run_call_end(Warp *w, const Instruction *i, uint32_t mask) { copy_locals(w, i, mask); }

void run_ret(Warp *w, const Instruction *i, uint32_t mask)
{
    const Word *back = words(w, i->return_slot);
    while (mask) {
        uint32_t first = (uint32_t)__builtin_ctz(mask), same = 0;
        EACH (lane, mask)
            if (back[lane] == back[first]) same |= 1u << lane;
        mask &= ~same;
        warp_go(w, same, back[first], w->path.depth - 1);
    }
}

void run_trap(Warp *w, const Instruction *i, uint32_t mask)
{
    (void)i;
    run_fail(w, (uint32_t)__builtin_ctz(mask), "trap");
}

/* ---- Barriers ---- */
static void take_red(Warp *w, const Barrier *barrier)
{
    const Instruction *i = w->waiting;
    if (!i || i->d[0] == NO_SLOT) return;
    uint64_t value = i->mod[LOGIC] == M_POPC  ? barrier->n_true
                     : i->mod[LOGIC] == M_AND ? barrier->n_true == barrier->n_threads
                                              : barrier->n_true > 0;
    EACH (lane, w->live) put(w, i->d[0], lane, value);
}

static void release(Block *b, uint32_t number)
{
    Barrier *barrier = &b->barriers[number];
    b->time++;
    for (uint32_t k = 0; k < b->n_warps; k++) {
        Warp *w = &b->warps[k];
        if (w->state != AT_BARRIER || w->barrier != number) continue;
        w->floor = UINT32_MAX;
        for (uint32_t other = 0; other < b->n_warps; other++) {
            if (barrier->clock[other] > w->clock[other]) w->clock[other] = barrier->clock[other];
            if (other != k && w->clock[other] < w->floor) w->floor = w->clock[other];
        }
        w->clock[k] = b->time;
        w->state = RUNNING;
        w->sync = ++b->syncs;
        take_red(w, barrier);
    }
    *barrier = (Barrier){0};
}

/* Warps that have ended count as arrived where the barrier is of the whole block. */
static void check_barrier(Block *b, uint32_t number)
{
    Barrier *barrier = &b->barriers[number];
    if (!barrier->expected) return;
    uint32_t there = barrier->arrived;
    for (uint32_t k = 0; k < b->n_warps && !barrier->counted; k++) there += b->warps[k].state == ENDED;
    if (there >= barrier->expected) release(b, number);
}

static void arrive(Warp *w, const Instruction *i, uint32_t number, uint32_t threads, uint32_t n_true)
{
    Barrier *barrier = &w->block->barriers[number];
    uint32_t expected = threads ? threads / LANES : w->block->n_warps;
    if (barrier->expected && (barrier->expected != expected || barrier->counted != (threads != 0)))
        run_fail(w, 0, "barrier %u: others wait for %u warps, this one for %u", number, barrier->expected,
                 expected);
    barrier->expected = expected;
    barrier->counted = threads != 0;
    barrier->arrived++;
    barrier->n_true += n_true;
    barrier->n_threads += (uint32_t)__builtin_popcount(w->live);
    for (uint32_t k = 0; k < w->block->n_warps; k++)
        if (w->clock[k] > barrier->clock[k]) barrier->clock[k] = w->clock[k];
    if (i->mod[SYNC] == M_ARRIVE) {
        w->clock[w->number] = ++w->block->time; /* what follows is not covered */
    } else {
        w->state = AT_BARRIER;
        w->barrier = number;
        w->waiting = i;
    }
    check_barrier(w->block, number);
}

void run_bar(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!warp_converged(w, mask, FULL)) return;
    uint32_t lane = (uint32_t)__builtin_ctz(mask), n_true = 0;
    uint64_t number = get(w, i->a[0], lane);
    uint64_t threads = i->n_operands == 2 ? get(w, i->b[0], lane) : 0;
    EACH (l, mask)
        if (get(w, i->a[0], l) != number) run_fail(w, l, "lanes of one warp at different barriers");
    if (number >= MAX_BARRIERS) run_fail(w, lane, "barrier %llu: there are 16", (unsigned long long)number);
    if (threads % LANES)
        run_fail(w, lane, "a barrier of %llu threads, no multiple of 32", (unsigned long long)threads);
    if (i->mod[SYNC] == M_RED)
        n_true = (uint32_t)__builtin_popcount(mask & (get_bits(w, i->c[0]) ^ (i->not_c ? FULL : 0)));
    arrive(w, i, (uint32_t)number, (uint32_t)threads, n_true);
}

void run_bar_warp(Warp *w, const Instruction *i, uint32_t mask)
{
    uint32_t members = (uint32_t)get(w, i->a[0], (uint32_t)__builtin_ctz(mask));
    if (warp_converged(w, mask, members))
        w->sync = ++w->block->syncs; /* of some lanes: taken for one of all */
}

void run_exit(Warp *w, const Instruction *i, uint32_t mask)
{
    (void)i;
    w->live &= ~mask;
    w->path.mask &= ~mask;
    for (uint32_t k = 0; k < w->n_others; k++) w->others[k].waits = false; /* for these, perhaps */
    if (w->path.mask) return;
    w->moved = true;
    if (w->n_others) {
        warp_merge(w);
        return;
    }
    w->state = ENDED;
    for (uint32_t k = 0; k < MAX_BARRIERS; k++) check_barrier(w->block, k);
}
