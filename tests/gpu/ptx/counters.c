/* What a launch did: by class, by basic block, by line. */
#include "inside.h"

const char *ptx_class_name(PtxClass class)
{
    static const char *const names[PTX_CLASSES] = {
#define CLASS(name, text) text,
#include "class_list.h"
#undef CLASS
    };
    return names[class];
}

static void add(PtxTraffic *to, PtxTraffic what)
{
    to->requests += what.requests;
    to->units += what.units;
    to->ideal += what.ideal;
}

static PtxCounters sum(const PtxModule *m, uint32_t first, uint32_t end)
{
    PtxCounters all = {0};
    for (uint32_t pc = first; pc < end; pc++) {
        const Instruction *i = &m->code.at[pc];
        const PtxCount *n = &m->counts[pc];
        bool load = i->run == run_load || i->run == run_ldmatrix;
        all.warps[i->class] += n->warps;
        all.threads[i->class] += n->threads;
        if (i->run == run_mma) all.mma_flops += n->warps * 2 * 16 * 8 * (uint64_t)i->offset;
        add(load || i->run == run_cp_async ? &all.global_load : &all.global_store, n->global);
        add(load ? &all.shared_load : &all.shared_store, n->shared);
    }
    return all;
}

PtxCounters ptx_counters(const PtxFunction *f) { return sum(f->module, 0, f->module->code.n); }

PtxCount ptx_line_count(const PtxFunction *f, uint32_t line)
{
    PtxCount sum = {0};
    for (uint32_t pc = f->first; pc < f->last; pc++) {
        const PtxCount *n = &f->module->counts[pc];
        if (f->module->code.at[pc].line != line) continue;
        sum.warps += n->warps;
        sum.threads += n->threads;
        add(&sum.global, n->global);
        add(&sum.shared, n->shared);
    }
    return sum;
}

/* ---- Basic blocks ---- */
static void mark_leaders(const PtxModule *m, const PtxFunction *f, bool *leader)
{
    leader[0] = true;
    for (uint32_t pc = f->first; pc < f->last; pc++) {
        const Instruction *i = &m->code.at[pc];
        if (i->ends && pc + 1 < f->last) leader[pc + 1 - f->first] = true;
        if (i->run == run_bra) leader[i->target - f->first] = true;
        for (uint32_t k = 0; i->run == run_brx && k < i->symbol->targets.n; k++)
            leader[i->symbol->targets.at[k]->pc] = true;
    }
}

/* Loops are the ranges from the target of a branch backwards to the last such branch; in the order of their
 * heads. */
static void find_loops(PtxModule *m, PtxFunction *f)
{
    uint32_t *end = NEW_ARRAY(&m->c, uint32_t, f->last - f->first);
    for (uint32_t pc = f->first; pc < f->last; pc++) {
        const Instruction *i = &m->code.at[pc];
        if (i->run == run_bra && i->target <= pc) end[i->target - f->first] = pc + 1;
    }
    for (uint32_t pc = f->first; pc < f->last; pc++)
        if (end[pc - f->first]) PUSH(&m->c, &f->loops, (PtxLoop){pc, end[pc - f->first]});
}

/* Of loops with as many mma (or instructions, where none has any), the innermost. */
PtxCounters ptx_loop_counters(const PtxFunction *f)
{
    PtxCounters best = {0};
    uint64_t most = 0;
    for (uint32_t n = 0; n < f->loops.n; n++) {
        PtxCounters c = sum(f->module, f->loops.at[n].first, f->loops.at[n].end);
        uint64_t all = 0, weight = c.warps[PTX_MMA] << 32;
        for (uint32_t k = 0; k < PTX_CLASSES; k++) all += c.warps[k];
        if (!weight) weight = all;
        if (weight >= most) best = c; /* heads of inner loops come later */
        if (weight >= most) most = weight;
    }
    return best;
}

static void function_blocks(PtxModule *m, PtxFunction *f)
{
    uint32_t n = f->last - f->first;
    if (!f->has_body) return;
    bool *leader = NEW_ARRAY(&m->c, bool, n);
    uint32_t *depth = NEW_ARRAY(&m->c, uint32_t, n);
    mark_leaders(m, f, leader);
    find_loops(m, f);
    for (uint32_t k = 0; k < f->loops.n; k++)
        for (uint32_t pc = f->loops.at[k].first; pc < f->loops.at[k].end; pc++) depth[pc - f->first]++;
    PtxBlockCount *b = NULL;
    for (uint32_t k = 0; k < n; k++) {
        const Instruction *i = &m->code.at[f->first + k];
        if (leader[k]) {
            PUSH(&m->c, &f->blocks, (PtxBlockCount){.first = i->line, .depth = depth[k]});
            b = &f->blocks.at[f->blocks.n - 1];
            b->pc = f->first + k;
        }
        if (i->line) b->last = i->line;
        b->n[i->class]++;
    }
}

void module_blocks(PtxModule *m)
{
    for (uint32_t k = 0; k < m->functions.n; k++) function_blocks(m, m->functions.at[k]);
}

const PtxBlockCount *ptx_block_counts(const PtxFunction *f, uint32_t *n)
{
    for (uint32_t k = 0; k < f->blocks.n; k++)
        f->blocks.at[k].warps = f->module->counts[f->blocks.at[k].pc].warps;
    *n = f->blocks.n;
    return f->blocks.at;
}
