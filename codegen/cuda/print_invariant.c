/* Values that do not change in a loop, ahead of it: divisions, roots and the like, and whatever takes several
 * operations. NVRTC moves little of that by itself: divisions of 64 bits are branches and loops to it.
 *
 * Requires: p->bound holds the variables that have a value here. Ensures: only what reads no memory and no local
 * is moved; it is total, so that it may be evaluated where it would not have been. */
#include "codegen/cuda/print.h"
#include "compiler/graph.h"
#include "compiler/simplify.h"
#include "compiler/walk.h"

enum { PURE_KNOWN = 4, PURE_YES = 8, WORTH = 6 };

static bool is_pure(Printer *p, const Node *n)
{
    uint8_t *fact = &p->facts[n->id];
    if (*fact & PURE_KNOWN) return *fact & PURE_YES;
    bool pure = n->op != N_READ && n->op != N_LOCAL && n->op != N_CHECK;
    for (unsigned k = 0; k < n->n_args && pure; k++) pure = is_pure(p, n->args[k]);
    *fact |= (uint8_t)(PURE_KNOWN | (pure ? PURE_YES : 0));
    return pure;
}

/* Operations, costly ones for many; stops counting after `most`. */
static unsigned work_of(const Printer *p, const Node *n, unsigned most)
{
    if (n->n_args == 0 || p->memo[n->id]) return 0;
    bool division = (n->op == N_FLOORDIV || n->op == N_MOD) && n->args[1]->op != N_INT;
    if (division || n->op == N_DIV || n->op == N_RAND || n->op == N_SQRT || is_transcendental(n->op)) return most + 1;
    unsigned work = 1;
    for (unsigned k = 0; k < n->n_args && work <= most; k++) work += work_of(p, n->args[k], most - work);
    return work;
}

typedef struct Invariants {
    Printer *p;
    NodeList found;
} Invariants;

static void collect(Invariants *v, Node *n)
{
    Printer *p = v->p;
    if (n->n_args == 0 || p->memo[n->id] || p->stamp[n->id] == p->now) return;
    p->stamp[n->id] = p->now;
    if (is_pure(p, n) && set_within(n->free, &p->bound) && work_of(p, n, WORTH) > WORTH) {
        PUSH(p->c, &v->found, n);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) collect(v, n->args[k]);
}

static void collect_statement(Invariants *v, const Statement *s)
{
    Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]) collect(v, all[k]);
    for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++) collect(v, s->subscripts[d]);
}

static void collect_block(Invariants *v, const Block *block, bool repeated)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        bool inside = repeated || s->kind == S_FOR;
        if (repeated) collect_statement(v, s);
        collect_block(v, &s->body, inside);
        collect_block(v, &s->otherwise, inside);
    }
}

void print_invariants(Printer *p, const Block *body, bool repeated, Span span)
{
    Invariants v = {.p = p};
    p->now++;
    collect_block(&v, body, repeated);
    if (!v.found.n) return;
    p->eager = true;
    print_shared(p, span, v.found.n, v.found.at);
    p->eager = false;
    for (uint32_t k = 0; k < v.found.n; k++)
        if (!p->memo[v.found.at[k]->id]) print_declared(p, v.found.at[k]);
}
