/* A launch: block after block, the warps of a block in turns.
 *
 * Requires: module_decode. Ensures: every check has passed, or the device's error says where and why not. */
#include "inside.h"

#include <stdio.h>
#include <string.h>

enum { TURN = 2000 }; /* instructions of a warp until the next one has its turn */

void run_fail(Warp *w, uint32_t lane, const char *fmt, ...)
{
    Block *b = w->block;
    uint32_t thread = w->first_thread + lane;
    const uint32_t *n = b->launch->block;
    Text t = {.c = &b->c};
    text_add(&t, "%s: ", b->function->name);
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
    va_end(args);
    text_add(&t, "\n  PTX line %u", b->now->line);
    if (b->now->source_line) text_add(&t, " (source line %u)", b->now->source_line);
    const char *line = b->module->text;
    for (uint32_t k = 1; line && k < b->now->line; k++) line = strchr(line, '\n') + 1;
    text_add(&t, ": %.*s", (int)strcspn(line, "\n"), line);
    text_add(&t, "\n  block (%u, %u, %u), thread (%u, %u, %u) of warp %u", b->at[0], b->at[1], b->at[2],
             thread % n[0], thread / n[0] % n[1], thread / n[0] / n[1], w->number);
    b->c.fatal = t.at;
    longjmp(b->c.escape, 1);
}

static uint32_t guarded(const Warp *w, const Instruction *i)
{
    if (i->guard == NO_SLOT) return w->path.mask;
    uint32_t holds = get_bits(w, i->guard);
    return w->path.mask & (i->guard_not ? ~holds : holds);
}

static void run_turn(Warp *w)
{
    Block *b = w->block;
    const Instruction *code = b->module->code.at;
    for (uint32_t n = 0; n < TURN && w->state == RUNNING; n++) {
        const Instruction *i = &code[w->path.pc];
        uint32_t mask = guarded(w, i);
        b->now = i;
        b->count = &b->module->counts[w->path.pc];
        b->count->warps++;
        b->count->threads += mask == FULL ? LANES : (uint32_t)__builtin_popcount(mask);
        w->moved = false;
        if (mask) i->run(w, i, mask);
        if (!w->moved) w->path.pc++;
        if (w->n_others) warp_merge(w);
    }
    if (b->left < TURN)
        run_fail(w, 0, "the block has run over the limit of instructions: a loop without an end?");
    b->left -= TURN;
}

/* ---- Blocks ---- */
static void set_special(Warp *w, Special s, uint32_t lane, uint64_t value)
{
    static const uint8_t widths[SPECIALS] = {
#define SPECIAL_u32 WORD
#define SPECIAL_u64 WIDE
#define SPECIAL(name, text, type) SPECIAL_##type,
#include "special_list.h"
#undef SPECIAL
    };
    put(w, slot_at(2 * (int32_t)s, widths[s]), lane, value);
}

static void set_specials(Warp *w)
{
    const Block *b = w->block;
    const uint32_t *n = b->launch->block, *grid = b->launch->grid;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t thread = w->first_thread + lane, bit = 1u << lane;
        const uint32_t tid[3] = {thread % n[0], thread / n[0] % n[1], thread / n[0] / n[1]};
        for (uint32_t k = 0; k < 3; k++) {
            set_special(w, S_tid_x + k, lane, tid[k]);
            set_special(w, S_ntid_x + k, lane, n[k]);
            set_special(w, S_ctaid_x + k, lane, b->at[k]);
            set_special(w, S_nctaid_x + k, lane, grid[k]);
        }
        set_special(w, S_laneid, lane, lane);
        set_special(w, S_warpid, lane, w->number);
        set_special(w, S_nwarpid, lane, b->n_warps);
        set_special(w, S_nsmid, lane, 1);
        set_special(w, S_lanemask_eq, lane, bit);
        set_special(w, S_lanemask_lt, lane, bit - 1);
        set_special(w, S_lanemask_le, lane, bit | (bit - 1));
        set_special(w, S_lanemask_ge, lane, ~(bit - 1));
        set_special(w, S_lanemask_gt, lane, ~(bit | (bit - 1)));
        set_special(w, S_dynamic_smem_size, lane, b->launch->shared);
        set_special(w, S_total_smem_size, lane, b->shared_bytes);
        set_special(w, S_dynamic, lane, ptx_static_shared(b->function));
    }
}

static void begin_warp(Warp *w)
{
    const Block *b = w->block;
    uint32_t left = b->n_threads - w->first_thread;
    memset(w->rows, 0, (size_t)(b->function->first_row + b->function->n_rows) * LANES * sizeof *w->rows);
    set_specials(w);
    w->live = left >= LANES ? FULL : (1u << left) - 1;
    w->path = (Path){w->live, b->function->first, 0, false};
    w->n_others = 0;
    w->state = RUNNING;
    w->waiting = NULL;
    w->pending.n = 0;
    memset(w->carry, 0, sizeof w->carry);
    memset(w->committed, 0, sizeof w->committed);
}

static _Noreturn void stuck(Block *b)
{
    Warp *w = b->warps;
    while (w->state != AT_BARRIER) w++;
    b->now = w->waiting;
    run_fail(w, 0, "warp %u waits at barrier %u for warps that never come (%u of %u are there)", w->number,
             w->barrier, b->barriers[w->barrier].arrived, b->barriers[w->barrier].expected);
}

static void execute_block(Block *b)
{
    memset(b->local, 0xff, (size_t)b->local_bytes * b->n_threads);
    memset(b->barriers, 0, sizeof b->barriers);
    for (uint32_t k = 0; k < b->n_warps; k++) begin_warp(&b->warps[k]);
    shared_begin_block(b);
    b->left = b->device->limit;
    for (;;) {
        uint32_t ran = 0, ended = 0;
        for (uint32_t k = 0; k < b->n_warps; k++) {
            if (b->warps[k].state == RUNNING) {
                run_turn(&b->warps[k]);
                ran++;
            }
            ended += b->warps[k].state == ENDED;
        }
        if (ended == b->n_warps) return;
        if (!ran) stuck(b);
    }
}

static void allocate_rows(Warp *w)
{
    PtxModule *m = w->block->module;
    const PtxFunction *f = w->block->function;
    size_t n = (size_t)(m->constant_rows + f->first_row + f->n_rows);
    w->rows = (uint32_t *)arena_alloc(&w->block->c, n * LANES * sizeof *w->rows) + m->constant_rows * LANES;
    for (uint32_t k = 0; k < m->constants.n; k++) {
        Constant c = m->constants.at[k];
        for (uint32_t lane = 0; lane < LANES; lane++) put(w, c.slot, lane, c.value);
    }
}

static void allocate_block(Block *b)
{
    const PtxFunction *f = b->function;
    uint32_t granule = f->granule ? f->granule : 1;
    b->shared_bytes = ptx_static_shared(f) + b->launch->shared;
    b->local_bytes = ptx_local_bytes(f);
    b->shared = arena_alloc(&b->c, b->shared_bytes + 16);
    b->local = arena_alloc(&b->c, (size_t)b->local_bytes * b->n_threads + 16);
    uint32_t n = b->shared_bytes / granule + 1;
    b->shadow = (Shadow){.granule = granule, .n = n};
    b->shadow.writer = NEW_ARRAY(&b->c, uint32_t, n);
    b->shadow.writer_line = NEW_ARRAY(&b->c, uint32_t, n);
    b->shadow.write_sync = NEW_ARRAY(&b->c, uint32_t, n);
    b->shadow.read_sync = NEW_ARRAY(&b->c, uint32_t, n);
    b->shadow.read_lanes = NEW_ARRAY(&b->c, uint32_t, n);
    b->shadow.write_lane = NEW_ARRAY(&b->c, uint8_t, n);
    b->shadow.reader = NEW_ARRAY(&b->c, uint32_t, (size_t)n * b->n_warps);
    b->shadow.pending = NEW_ARRAY(&b->c, uint8_t, n);
    b->warps = NEW_ARRAY(&b->c, Warp, b->n_warps);
    for (uint32_t k = 0; k < b->n_warps; k++) {
        Warp *w = &b->warps[k];
        w->block = b;
        w->number = k;
        w->first_thread = k * LANES;
        allocate_rows(w);
    }
}

/* Times have 26 bits: the shadow forgets all before they run out. */
static void keep_time(Block *b)
{
    if (b->time < 1u << 24) return;
    memset(b->shadow.writer, 0, b->shadow.n * sizeof *b->shadow.writer);
    memset(b->shadow.reader, 0, (size_t)b->shadow.n * b->n_warps * sizeof *b->shadow.reader);
    b->time = 0;
}

static void run_grid(Block *b)
{
    const uint32_t *grid = b->launch->grid;
    allocate_block(b);
    memory_begin_launch(b->device, (uint64_t)grid[0] * grid[1] * grid[2]);
    b->stamp = b->device->launch;
    b->granule_shift = (unsigned)__builtin_ctz(b->function->global_granule);
    b->alone = (uint64_t)grid[0] * grid[1] * grid[2] == 1;
    for (b->at[2] = 0; b->at[2] < grid[2]; b->at[2]++)
        for (b->at[1] = 0; b->at[1] < grid[1]; b->at[1]++)
            for (b->at[0] = 0; b->at[0] < grid[0]; b->at[0]++) {
                keep_time(b);
                b->stamp++;
                b->synchronised = false;
                execute_block(b);
            }
}

static const char *wrong_launch(const PtxLaunch *l, uint32_t threads)
{
    if (!l->grid[0] || !l->grid[1] || !l->grid[2]) return "a grid without blocks";
    if (l->grid[0] > INT32_MAX || l->grid[1] > 65535 || l->grid[2] > 65535) return "a grid that is too large";
    if (!threads || threads > 1024 || l->block[2] > 64) return "a block of 0 or more than 1024 threads";
    if (threads > ptx_max_threads(l->function)) return "more threads than the kernel was compiled for";
    if (ptx_static_shared(l->function) > 48 * 1024) return "more than 48 KiB of static shared memory";
    if ((uint64_t)ptx_static_shared(l->function) + l->shared > 227 * 1024)
        return "more than 227 KiB of shared memory";
    return NULL;
}

bool ptx_launch(PtxDevice *device, const PtxLaunch *launch)
{
    const PtxFunction *f = launch->function;
    uint64_t threads = (uint64_t)launch->block[0] * launch->block[1] * launch->block[2];
    const char *wrong = wrong_launch(launch, threads > 1024 ? 0 : (uint32_t)threads);
    if (wrong) {
        snprintf(device->error, sizeof device->error, "%s: %s", f->name, wrong);
        return false;
    }
    Block b = {.device = device,
               .module = f->module,
               .function = f,
               .launch = launch,
               .n_threads = (uint32_t)threads,
               .n_warps = ((uint32_t)threads + LANES - 1) / LANES};
    compilation_init(&b.c);
    memset(f->module->counts, 0, f->module->code.n * sizeof(PtxCount));
    device->error[0] = 0;
    if (setjmp(b.c.escape))
        snprintf(device->error, sizeof device->error, "%s", b.c.fatal);
    else
        run_grid(&b);
    compilation_free(&b.c);
    return !device->error[0];
}
