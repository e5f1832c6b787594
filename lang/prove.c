/* The prover of subscript safety: which claims are tried, in which order, and the answer. */
#include "prove_state.h"

#include <string.h>

static Prover *begin(Compilation *c, const ProveScope *scope)
{
    if (!c->prover) c->prover = NEW(c, Prover);
    Prover *p = c->prover;
    p->c = c;
    p->scope = scope;
    p->n_symbols = p->n_monos = p->n_known = p->n_splits = p->depth = p->work = p->effort = 0;
    p->weak = false;
    p->rules = p->context = 0;
    p->found.n = 0;
    for (unsigned k = 0; scope && k < scope->conditions.n; k++)
        assume(p, scope->conditions.at[k], true, (Origin){.rules = BIT(S12), .conditions = place_bit(k)});
    return p;
}

/* The variables of a term exist where it is evaluated, those inside subscripts too. */
static void know_variables(Prover *p, Node *n, unsigned *budget)
{
    Poly x;
    if (!*budget || n->free == set_empty(p->c)) return;
    --*budget;
    if (n->op == N_INDEX) (void)poly_of(p, n, &x);
    if (node_is_binder(n)) return;
    for (unsigned k = 0; k < n->n_args; k++) know_variables(p, n->args[k], budget);
}

/* The other variables in scope exist here, but not wherever a term without them may be moved. */
static void assume_facts(Prover *p)
{
    Poly x;
    p->context = FROM_FACT;
    for (unsigned k = 0; p->scope && k < p->scope->ranges.n; k++)
        (void)poly_of(p, node_index(p->c, p->scope->ranges.at[k].index), &x);
    for (unsigned k = 0; p->scope && k < p->scope->facts.n; k++)
        assume(p, p->scope->facts.at[k], true,
               (Origin){.from = FROM_FACT, .rules = BIT(S3), .facts = place_bit(k)});
    p->context = 0;
}

/* lo <= x as `slack` 0, x < hi as hi - x with `slack` 1: a - b >= slack. */
typedef struct Claim { Node *x, *a, *b; int64_t slack; } Claim; /* about x */

/* A parameter that multiplies a variable is expected not to be negative; where conditions are allowed, it
 * may be one. */
static void expect_factors(Prover *p, const Poly *a)
{
    for (unsigned t = 0; t < a->n; t++) {
        const Mono m = p->monos[a->mono[t]];
        for (unsigned k = 0; k < m.n && m.n > 1; k++)
            if (p->symbols[m.symbol[k]].op == N_PARAM && !mono_pure(p, a->mono[t]))
                split_on(p, (Split){.kind = SPLIT_SIGN, .symbol = m.symbol[k], .origin = {.rules = BIT(S7)}});
    }
}

static bool deny(Prover *p, const Claim *claim)
{
    Poly a, b, d;
    if (!poly_of(p, claim->a, &a) || !poly_of(p, claim->b, &b)) return false;
    if (!poly_scale_add(p, &b, 1, &a, -1, &d) || !poly_add_constant(&d, claim->slack - 1)) return false;
    unsigned budget = 64;
    know_variables(p, claim->x, &budget);
    if (p->n_known == MAX_KNOWN) return false;
    if (p->weak) expect_factors(p, &d);
    poly_tighten(&d);
    p->known[p->n_known++] = (Known){.p = d, .start = true};
    return true;
}

typedef struct Answer {
    ProveResult result;
    bool used_facts;
    uint32_t rules;
    Node *condition;
    ProveUsed used;
} Answer;

static void add_used(Compilation *c, ProveNodes *to, Node *n)
{
    for (uint32_t k = 0; k < to->n; k++)
        if (to->at[k] == n) return;
    PUSH(c, to, n);
}

static void join_used(Compilation *c, ProveNodes *to, const ProveNodes *from)
{
    for (uint32_t k = 0; k < from->n; k++) add_used(c, to, from->at[k]);
}

static ProveUsed used_of(Prover *p, const Origin *o)
{
    ProveUsed used = {0};
    for (unsigned k = 0; p->scope && k < p->scope->facts.n; k++)
        if (o->facts & place_bit(k)) add_used(p->c, &used.facts, p->scope->facts.at[k]);
    for (unsigned k = 0; p->scope && k < p->scope->conditions.n; k++)
        if (o->conditions & place_bit(k)) add_used(p->c, &used.conditions, p->scope->conditions.at[k]);
    for (unsigned k = 0; k < p->n_symbols; k++)
        if (o->variables & place_bit(k) && p->symbols[k].op == N_INDEX)
            add_used(p->c, &used.variables, p->symbols[k].node);
    return used;
}

static Node *all_found(Prover *p)
{
    Node *all = NULL;
    for (unsigned k = 0; k < p->found.n; k++) all = add_part(p->c, N_AND, all, p->found.at[k]);
    return all;
}

/* Without facts, with them, then allowing conditions (facts make those weaker): the first that succeeds. */
static Answer settle(Compilation *c, const ProveScope *scope, const Claim *claim)
{
    for (unsigned attempt = 0; attempt < 4; attempt++) {
        const bool facts = attempt == 1 || attempt == 2, weak = attempt >= 2;
        if (facts && !(scope && (scope->facts.n || scope->ranges.n))) continue;
        Prover *p = begin(c, scope);
        Origin used;
        p->weak = weak;
        if (!deny(p, claim)) break;
        const uint32_t translated = p->rules;
        if (facts) assume_facts(p);
        if (!refute(p, 0, &used)) continue;
        const bool by_facts = used.from & FROM_FACT;
        Node *condition = all_found(p);
        return (Answer){condition ? PROVED_IF : by_facts ? PROVED_BY_FACTS : PROVED, by_facts,
                        used.rules | translated, condition, used_of(p, &used)};
    }
    return (Answer){.result = NOT_PROVED};
}

/* Can it hold with two elements along every extent and the defaults of the parameters? Each of its parts
 * can. */
static bool can_hold(Compilation *c, const ProveScope *scope, Node *condition)
{
    Prover *p = begin(c, scope);
    Origin used;
    assume(p, condition, true, (Origin){0});
    for (unsigned k = 0; k < p->n_symbols; k++) {
        int64_t least;
        bool exact;
        Poly x;
        if (!supposed(p, k, &least, &exact) || !poly_symbol(p, k, &x)) continue;
        const Poly value = poly_constant(least);
        know_difference(p, &x, &value, 0, (Origin){0});
        if (exact) know_difference(p, &value, &x, 0, (Origin){0});
    }
    return !refute(p, 0, &used);
}

static const char *rule_names(Compilation *c, uint32_t rules)
{
    static const char *const names[RULES] = {
#define RULE(name, summary) #name,
#include "prove_rule_list.h"
#undef RULE
    };
    Text text = {.c = c};
    for (unsigned k = 0; k < RULES; k++)
        if (rules >> k & 1) text_add(&text, "%s%s", text.n ? " " : "", names[k]);
    return text.n ? text.at : "S2";
}

/* For words alone: divisors are positive, and ranges that are checked are not empty. */
static void expect_positive(Prover *p)
{
    for (unsigned k = 0; k < p->n_splits; k++)
        if (p->splits[k].kind == SPLIT_DIVISOR || p->splits[k].kind == SPLIT_CHECK)
            apply_alternative(p, &p->splits[k], 0, 0);
}

static Node *bound_of(Compilation *c, const ProveScope *scope, Node *x, bool upper)
{
    Prover *p = begin(c, scope);
    Poly a;
    if (!poly_of(p, x, &a)) return NULL;
    assume_facts(p);
    expect_positive(p);
    return find_bound(p, &a, upper);
}

static const char *print(Compilation *c, Node *n)
{
    Text text = {.c = c};
    node_print(&text, n);
    return text.at;
}

static const char *range_in_words(Compilation *c, const ProveScope *scope, Node *x)
{
    Node *lo = bound_of(c, scope, x, false), *hi = bound_of(c, scope, x, true);
    if (!lo && !hi) return "nothing bounds it";
    if (!lo) return format(c, "all that is known is that it is at most %s", print(c, hi));
    if (!hi) return format(c, "all that is known is that it is at least %s", print(c, lo));
    if (lo == hi) return format(c, "it is %s", print(c, lo));
    return format(c, "it is %s .. %s", print(c, lo), print(c, hi));
}

/* A read of a tensor that could have a declared range and has none. */
static const Tensor *undeclared(const Node *n, unsigned *budget)
{
    if (!*budget) return NULL;
    --*budget;
    if (n->op == N_READ && n->type == TYPE_INT && !n->tensor->body && !n->tensor->hi) return n->tensor;
    const Tensor *found = NULL;
    for (unsigned k = 0; k < n->n_args && !found; k++) found = undeclared(n->args[k], budget);
    return found;
}

static const char *hint_for(Compilation *c, Node *x, Node *lo, Node *hi, bool low_proved, bool high_proved)
{
    unsigned budget = 100;
    const Tensor *t = undeclared(x, &budget);
    if (t)
        return format(c, "declare the range of `%s`: `%s: int[...] in %s..%s`", t->name, t->name,
                      print(c, lo), print(c, hi));
    if (low_proved)
        return format(c, "read it only where `%s < %s`, or inside `pad(..., 0)`", print(c, x), print(c, hi));
    if (high_proved)
        return format(c, "read it only where `%s <= %s`, or inside `pad(..., 0)`", print(c, lo), print(c, x));
    return format(c, "read it only where `%s <= %s` and `%s < %s`, or inside `pad(..., 0)`", print(c, lo),
                  print(c, x), print(c, x), print(c, hi));
}

static Proof join_answers(Compilation *c, const Answer *low, const Answer *high)
{
    Proof proof = {.used_facts = low->used_facts || high->used_facts};
    proof.condition = low->condition;
    if (high->condition) proof.condition = add_part(c, N_AND, low->condition, high->condition);
    proof.result = proof.condition ? PROVED_IF : proof.used_facts ? PROVED_BY_FACTS : PROVED;
    proof.rule = rule_names(c, low->rules | high->rules);
    proof.used = low->used;
    join_used(c, &proof.used.facts, &high->used.facts);
    join_used(c, &proof.used.conditions, &high->used.conditions);
    join_used(c, &proof.used.variables, &high->used.variables);
    return proof;
}

Proof prove_between(Compilation *c, const ProveScope *scope, Node *x, Node *lo, Node *hi)
{
    const Answer low = settle(c, scope, &(Claim){x, x, lo, 0});
    const Answer high = settle(c, scope, &(Claim){x, hi, x, 1});
    const bool low_proved = low.result != NOT_PROVED, high_proved = high.result != NOT_PROVED;
    if (low_proved && high_proved) {
        Proof proof = join_answers(c, &low, &high);
        if (may_wrap(c, x)) { /* rule S13 */
            proof.used_facts = true;
            if (proof.result == PROVED) proof.result = PROVED_BY_FACTS;
        }
        if (!proof.condition || can_hold(c, scope, proof.condition)) return proof;
    }
    return (Proof){.result = NOT_PROVED, .range = range_in_words(c, scope, x),
                   .hint = hint_for(c, x, lo, hi, low_proved, high_proved)};
}

static bool is_whole_index(Compilation *c, const ProveScope *scope, const Node *x, const Node *extent)
{
    if (x->op != N_INDEX || node_size(c, x->index) != extent) return false;
    for (unsigned k = 0; scope && k < scope->ranges.n; k++)
        if (scope->ranges.at[k].index == x->index && (scope->ranges.at[k].lo || scope->ranges.at[k].hi))
            return false;
    return true;
}

Proof prove_in_range(Compilation *c, const ProveScope *scope, Node *coordinate, Node *extent)
{
    if (is_whole_index(c, scope, coordinate, extent)) return (Proof){.result = PROVED, .rule = "S1"};
    return prove_between(c, scope, coordinate, node_int(c, 0), extent);
}

static bool contradicts(Compilation *c, const ProveScope *scope, Node *test, bool assumed)
{
    Prover *p = begin(c, scope);
    Origin used;
    assume_facts(p);
    if (refute(p, 0, &used)) return false; /* nothing exists here: neither is worth saying */
    p = begin(c, scope);
    assume(p, test, assumed, (Origin){0});
    assume_facts(p);
    return refute(p, 0, &used);
}

int prove_truth(Compilation *c, const ProveScope *scope, Node *test)
{
    if (test->op == N_BOOL) return test->integer != 0;
    if (contradicts(c, scope, test, false)) return 1;
    return contradicts(c, scope, test, true) ? 0 : -1;
}
