/* Variables for values that a statement uses at several places, and branches for large lazy operands.
 *
 * Requires: nodes of one statement. Ensures: the text of a statement grows with the number of its nodes, not
 * of its paths; what only one side of IF, AND or OR evaluates stays there. Breaks: memo holds names until
 * print_forget. */
#include "codegen/cuda/print.h"
#include "compiler/simplify.h"
#include "compiler/walk.h"

enum { LARGE = 24 }; /* operations: more do not stand in one lazy operand */

static bool is_costly(const Node *n)
{
    return n->op == N_READ || n->op == N_CHECK || n->op == N_RAND || is_transcendental(n->op);
}

/* Operations of the tree below, as it would be printed; stops counting after `most`. */
static unsigned size_of(const Printer *p, const Node *n, unsigned most)
{
    if (n->n_args == 0 || p->memo[n->id]) return 0;
    unsigned size = 1, times = print_guarded(p, n) ? 2 : 1;
    for (unsigned k = 0; k < n->n_args && size <= most; k++)
        size += times * size_of(p, n->args[k], most - size);
    return size;
}

static void count(Printer *p, const Node *n)
{
    if (p->stamp[n->id] != p->now) {
        p->stamp[n->id] = p->now;
        p->uses[n->id] = 0;
        bool twice = print_guarded(p, n);
        for (unsigned k = 0; k < n->n_args && !p->memo[n->id]; k++) {
            count(p, n->args[k]);
            if (twice) count(p, n->args[k]);
        }
    }
    p->uses[n->id]++;
}

const char *print_like(const Node *n)
{
    return n->op == N_READ        ? n->tensor->name
           : n->type == TYPE_BOOL ? "holds"
           : n->type == TYPE_INT  ? "n"
           : n->op == N_SQRT      ? "root"
                                  : "value";
}

static const char *name_of(Printer *p, const Node *n) { return name_new(p->c, &p->own, print_like(n)); }

void print_remember(Printer *p, const Node *n, const char *name)
{
    p->memo[n->id] = name;
    PUSH(p->c, &p->trail, n);
}

void print_forget(Printer *p, uint32_t mark)
{
    while (p->trail.n > mark) p->memo[p->trail.at[--p->trail.n]->id] = NULL;
}

void print_declared(Printer *p, Node *n)
{
    const char *name = name_of(p, n), *type = print_type(p, n);
    print_line(p, p->span);
    text_add(p->out, "const %s %s = ", type, name);
    print_node(p, n, print_may_fuse(p, n) ? BIND_MULTIPLY : BIND_ANY);
    text_add(p->out, ";\n");
    print_remember(p, n, name);
}

/* ---- lazy operands as branches ---- */

static void mark_sure(Printer *p, const Node *n, uint32_t stamp)
{
    if (p->stamp[n->id] == stamp || p->memo[n->id] || !n->n_args) return;
    p->stamp[n->id] = stamp;
    for (unsigned k = 0; k < print_sure(n); k++) mark_sure(p, n->args[k], stamp);
}

static void collect_sure(Printer *p, Node *n, uint32_t marked, uint32_t visited, NodeList *both)
{
    if (p->stamp[n->id] == visited || p->memo[n->id] || !n->n_args) return;
    bool common = p->stamp[n->id] == marked;
    p->stamp[n->id] = visited;
    if (common) PUSH(p->c, both, n);
    for (unsigned k = 0; !common && k < print_sure(n); k++)
        collect_sure(p, n->args[k], marked, visited, both);
}

/* What both sides evaluate stands before the branch, so that a chain of branches does not double its text
 * with every one. */
static void share_common(Printer *p, const Node *n)
{
    NodeList both = {0};
    uint32_t marked = ++p->now, visited = ++p->now;
    mark_sure(p, n->args[1], marked);
    collect_sure(p, n->args[2], marked, visited, &both);
    for (uint32_t k = 0; k < both.n; k++)
        if (is_costly(both.at[k]) || size_of(p, both.at[k], 2) > 2) {
            print_shared(p, p->span, 1, &both.at[k]);
            if (!p->memo[both.at[k]->id]) print_declared(p, both.at[k]);
        }
}

static void assign(Printer *p, const char *name, const char *type, Node *value)
{
    uint32_t mark = p->trail.n;
    p->indent++;
    print_shared(p, p->span, 1, &value);
    print_line(p, p->span);
    text_add(p->out, "%s = ", name);
    print_as(p, value, type, BIND_ANY);
    text_add(p->out, ";\n");
    p->indent--;
    print_forget(p, mark);
}

static void branch(Printer *p, Node *n)
{
    const char *name = name_of(p, n), *type = print_type(p, n);
    if (n->op == N_IF) share_common(p, n);
    print_line(p, p->span);
    if (n->op == N_IF) {
        text_add(p->out, "%s %s;\n", type, name);
    } else {
        text_add(p->out, "bool %s = ", name);
        print_node(p, n->args[0], BIND_ANY);
        text_add(p->out, ";\n");
    }
    print_line(p, p->span);
    text_add(p->out, "if (");
    if (n->op == N_IF)
        print_node(p, n->args[0], BIND_ANY);
    else
        text_add(p->out, "%s%s", n->op == N_OR ? "!" : "", name);
    text_add(p->out, ") {\n");
    assign(p, name, type, n->args[1]);
    if (n->op == N_IF) {
        print_line(p, p->span);
        text_add(p->out, "} else {\n");
        assign(p, name, type, n->args[2]);
    }
    print_line(p, p->span);
    text_add(p->out, "}\n");
    print_remember(p, n, name);
}

/* ---- all ---- */

static bool is_lazy(const Node *n) { return n->op == N_IF || n->op == N_AND || n->op == N_OR; }

static bool has_large_side(const Printer *p, const Node *n)
{
    for (unsigned k = 1; k < n->n_args; k++)
        if (size_of(p, n->args[k], LARGE) > LARGE) return true;
    return false;
}

static bool is_worth_a_name(const Printer *p, const Node *n)
{
    return p->uses[n->id] > 1 && (is_costly(n) || size_of(p, n, 2) > 2);
}

/* Operands first; `now` is the stamp of the count, then of this walk. */
static void share(Printer *p, Node *n)
{
    if (n->n_args == 0 || p->memo[n->id]) return;
    for (unsigned k = 0; k < (p->eager ? n->n_args : print_sure(n)); k++) share(p, n->args[k]);
    if (!p->eager && is_lazy(n) && has_large_side(p, n)) {
        uint32_t *uses = p->uses;
        p->uses = NEW_ARRAY(p->c, uint32_t, p->n_nodes + 1);
        branch(p, n);
        p->uses = uses;
    } else if (is_worth_a_name(p, n)) {
        print_declared(p, n);
    }
}

void print_shared(Printer *p, Span span, unsigned n, Node *const *roots)
{
    uint32_t *uses = p->uses;
    p->span = span;
    p->now++;
    for (unsigned k = 0; k < n; k++)
        if (roots[k]) count(p, roots[k]);
    for (unsigned k = 0; k < n; k++)
        if (roots[k]) share(p, roots[k]);
    p->uses = uses;
}
