/* Values that do not change in a loop, ahead of it: divisions, roots and the like, whatever takes several
 * operations, and elements of inputs. NVRTC moves little of that by itself: divisions of 64 bits are branches
 * and loops to it, and stores might change what is read.
 *
 * Requires: p->bound holds the variables that have a value here. Ensures: what is moved is total, so that it
 * may be evaluated where it would not have been: reads test their coordinates; and they are moved out of
 * loops alone, not out of branches. */
#include "codegen/cuda/print.h"
#include "compiler/graph.h"
#include "compiler/simplify.h"
#include "compiler/walk.h"

enum { STEADY_KNOWN = 4, STEADY_YES = 8, READS = 16, WORTH = 6 };

static bool find_steady(Printer *p, const Node *n, bool *reads)
{
    bool steady = n->op != N_LOCAL && n->op != N_CHECK;
    if (n->op == N_READ) *reads = true, steady = p->buffers[p->buffer_of[n->tensor->id] - 1].steady;
    return steady;
}

/* Does its value depend on variables alone? */
static bool is_steady(Printer *p, const Node *n)
{
    uint8_t *fact = &p->facts[n->id];
    if (*fact & STEADY_KNOWN) return *fact & STEADY_YES;
    bool reads = false, steady = find_steady(p, n, &reads);
    for (unsigned k = 0; k < n->n_args && steady; k++) {
        steady = is_steady(p, n->args[k]);
        reads = reads || p->facts[n->args[k]->id] & READS;
    }
    *fact |= (uint8_t)(STEADY_KNOWN | (steady ? STEADY_YES : 0) | (reads ? READS : 0));
    return steady;
}

/* Operations, costly ones for many; stops counting after `most`. */
static unsigned work_of(const Printer *p, const Node *n, unsigned most)
{
    if (n->n_args == 0 || p->memo[n->id]) return 0;
    bool division = (n->op == N_FLOORDIV || n->op == N_MOD) && n->args[1]->op != N_INT;
    if (division || n->op == N_DIV || n->op == N_RAND || n->op == N_SQRT || n->op == N_READ ||
        is_transcendental(n->op))
        return most + 1;
    unsigned work = 1;
    for (unsigned k = 0; k < n->n_args && work <= most; k++) work += work_of(p, n->args[k], most - work);
    return work;
}

typedef struct Invariants {
    Printer *p;
    NodeList found;
} Invariants;

static bool is_invariant(Printer *p, const Node *n, bool sure)
{
    return is_steady(p, n) && (sure || !(p->facts[n->id] & READS)) && set_within(n->free, &p->bound) &&
           work_of(p, n, WORTH) > WORTH;
}

/* sure: evaluated whenever the loop around is. A node is looked at once as sure, once as not. */
static void collect(Invariants *v, Node *n, bool sure)
{
    Printer *p = v->p;
    uint32_t mark = p->now + (sure ? 1 : 0);
    if (n->n_args == 0 || p->memo[n->id] || p->stamp[n->id] == mark || p->stamp[n->id] == p->now + 1) return;
    p->stamp[n->id] = mark;
    if (is_invariant(p, n, sure)) {
        PUSH(p->c, &v->found, n);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) collect(v, n->args[k], sure && k < print_sure(n));
}

static void collect_statement(Invariants *v, const Statement *s, bool sure)
{
    Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]) collect(v, all[k], sure);
    for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++) collect(v, s->subscripts[d], sure);
}

/* The variable of a loop inside hides one of the same index that has a value here. */
static void collect_block(Invariants *v, const Block *block, bool repeated, bool sure)
{
    Printer *p = v->p;
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        bool inside = repeated || s->kind == S_FOR, surely = sure && s->kind == S_FOR;
        if (repeated) collect_statement(v, s, sure);
        bool hides = s->kind == S_FOR && set_has(&p->bound, s->variable->id);
        if (hides) set_remove(&p->bound, s->variable->id);
        collect_block(v, &s->body, inside, surely);
        collect_block(v, &s->otherwise, inside, surely);
        if (hides) set_add(&p->bound, s->variable->id);
    }
}

static void declare(Invariants *v, Span span)
{
    Printer *p = v->p;
    p->now++;
    if (!v->found.n) return;
    p->eager = p->careful = true;
    print_shared(p, span, v->found.n, v->found.at);
    for (uint32_t k = 0; k < v->found.n; k++)
        if (!p->memo[v->found.at[k]->id]) print_declared(p, v->found.at[k]);
    p->eager = p->careful = false;
}

void print_invariants(Printer *p, const Block *body, bool repeated, Span span)
{
    Invariants v = {.p = p};
    p->now += 2; /* two stamps */
    collect_block(&v, body, repeated, true);
    declare(&v, span);
}

void print_invariants_of(Printer *p, unsigned n, Node *const *roots)
{
    Invariants v = {.p = p};
    p->now += 2;
    for (unsigned k = 0; k < n; k++)
        if (roots[k]) collect(&v, roots[k], false);
    declare(&v, (Span){0});
}
