/* The prover of subscript safety: decides whether an int coordinate lies in [0, extent) for all elements
 * that exist. Rules are numbered (S1, S2, ...) in docs/safety.md; nothing else is used, so what compiles
 * does not depend on luck. */
#ifndef ATTN_LANG_PROVE_H
#define ATTN_LANG_PROVE_H

#include "program.h"

/* Where a read stands. Every free index v of the coordinate ranges over [0, extent) unless `ranges`
 * narrows it. All variables that exist there should be in `ranges`, those that the coordinate lacks too:
 * that they have a value at all says that their ranges are not empty. */
typedef struct ProveRange { Index *index; Node *lo, *hi; } ProveRange; /* lo <= INDEX(index) < hi */
typedef struct ProveScope {
    VEC(ProveRange) ranges;
    VEC(Node *) facts;       /* bool Nodes known to be true here (conditions around the read) */
    VEC(Node *) conditions;  /* bool Nodes over SIZE and PARAM known from `require` and earlier conditions */
} ProveScope;

typedef enum ProveResult {
    PROVED,            /* from ranges, declared ranges and conditions alone */
    PROVED_BY_FACTS,   /* needs facts: the read must be guarded */
    PROVED_IF,         /* whenever *condition holds (over SIZE and PARAM; it allows for empty ranges) */
    NOT_PROVED         /* *range says in words what the coordinate may be, e.g. "it is -3 .. size(j) + 2" */
} ProveResult;

typedef struct Proof {
    ProveResult result;
    bool used_facts;         /* the read must be guarded: PROVED_BY_FACTS, or PROVED_IF with facts besides */
    Node *condition;         /* PROVED_IF: bool over SIZE and PARAM; else NULL */
    const char *range;       /* NOT_PROVED: in words */
    const char *hint;        /* NOT_PROVED: how to mend it */
    const char *rule;        /* the rules that were used, e.g. "S1 S2 S6"; NULL if not proved */
    ProveUsed used;
} Proof;
/* 0 <= coordinate < extent ? */
Proof prove_in_range(Compilation *c, const ProveScope *scope, Node *coordinate, Node *extent);
/* lo <= x < hi for arbitrary bounds (arguments of callees with declared ranges, recurrence steps: t' < t). */
Proof prove_between(Compilation *c, const ProveScope *scope, Node *x, Node *lo, Node *hi);
bool int_may_wrap(Compilation *c, const Node *n); /* could the int leave 64 bits, for any sizes and parameters? */
/* Is the bool node true (1), false (0) or unknown (-1) over all its variables' ranges? For always-true
 * masks. */
int prove_truth(Compilation *c, const ProveScope *scope, Node *test);

#endif
